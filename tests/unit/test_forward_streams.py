"""Streams that only go forwards: what is read, what is passed over, and where they end."""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest

from ci_budget.edges.layers import forward_streams
from ci_budget.edges.layers.forward_streams import Forward, Hashed, Peeked, Section, Source, skip
from ci_budget.errors import UnmeasuredError

DATA = bytes(range(256)) * 400  # 102,400 bytes, every place known by its value


class Slow:
    """A pipe: it gives a little at a time, and has no `readinto`."""

    def __init__(self, data: bytes, most: int = 700) -> None:
        self._stream = io.BytesIO(data)
        self._most = most
        self.asked: list[int] = []

    def read(self, size: int = -1, /) -> bytes:
        self.asked.append(size)
        return self._stream.read(self._most if size < 0 else min(size, self._most))


@pytest.fixture(params=["file", "pipe"])
def source(request: pytest.FixtureRequest) -> Source:
    return io.BytesIO(DATA) if request.param == "file" else Slow(DATA)


class TestSkip:
    """The function, at every kind of stream."""

    def test_it_says_how_much_there_was(self, source: Source) -> None:
        assert skip(source, 1000) == 1000
        assert source.read(2) == DATA[1000:1002]
        assert skip(source, 0) == 0
        assert skip(source, 200_000) == len(DATA) - 1002
        assert (skip(source, 1), source.read(1)) == (0, b"")

    def test_more_than_a_chunk(self) -> None:
        size = 3 * forward_streams.CHUNK + 5
        for stream in (io.BytesIO(bytes(size) + b"x"), Slow(bytes(size) + b"x", most=2**30)):
            assert (skip(stream, size), stream.read(2)) == (size, b"x")

    def test_a_pipe_is_never_asked_for_more(self) -> None:
        stream = Slow(bytes(10 * forward_streams.CHUNK), most=2**30)
        skip(stream, 2 * forward_streams.CHUNK + 3)
        assert stream.asked == [forward_streams.CHUNK, forward_streams.CHUNK, 3]


class TestForward:
    """What tarfile reads from."""

    def test_reading_and_passing_over(self, source: Source) -> None:
        stream = Forward(source)
        assert (stream.read(5), stream.tell()) == (DATA[:5], 5)
        assert (stream.skip(10), stream.tell()) == (10, 15)
        assert (stream.seek(15), stream.read(3)) == (15, DATA[15:18])
        assert (stream.seek(70_000), stream.tell(), stream.read(40)) == (70_000, 70_000, DATA[70_000:70_040])
        assert (stream.read(90_000), stream.tell(), stream.read(1)) == (DATA[70_040:], len(DATA), b"")

    def test_beyond_the_end(self, source: Source) -> None:
        stream = Forward(source)
        assert (stream.seek(2**60), stream.tell(), stream.read(512)) == (len(DATA), len(DATA), b"")

    def test_it_never_goes_back(self, source: Source) -> None:
        stream = Forward(source)
        stream.read(512)
        assert stream.seek(512) == 512
        with pytest.raises(tarfile.ReadError, match=r"^a member lies before the one that was read$"):
            stream.seek(511)

    def test_a_header_brings_only_little_with_it(self) -> None:
        stream = Slow(DATA, most=2**30)
        Forward(stream).read(512)
        assert stream.asked == [2**14]


class TestSection:
    """A member's content."""

    def test_it_ends_where_it_ends(self, source: Source) -> None:
        stream = Forward(source)
        section = Section(stream, 10)
        assert (section.read(4), section.read(100), section.read(1), section.read()) == (DATA[:4], DATA[4:10], b"", b"")
        assert stream.tell() == 10
        section = Section(stream, 10)
        assert (section.skip(4), section.skip(100), section.skip(1)) == (4, 6, 0)
        assert (Section(stream, 7).read(), stream.tell()) == (DATA[20:27], 27)

    def test_one_that_is_cut_off(self, source: Source) -> None:
        stream = Forward(source)
        for use in ("read", "skip"):
            with pytest.raises(tarfile.ReadError, match=r"^unexpected end of data$"):
                getattr(Section(stream, len(DATA) + 1), use)(len(DATA) + 1)
        assert Section(Forward(io.BytesIO(DATA)), len(DATA)).read() == DATA


class TestPeeked:
    """Its first bytes are known, and what was read is counted."""

    def test_the_start_is_read_again(self, source: Source) -> None:
        stream = Peeked(source)
        start = stream.start
        assert (start, stream.taken) == (DATA[: len(start)], 0)
        assert len(start) == 512
        assert (stream.read(500), stream.read(100), stream.taken) == (DATA[:500], DATA[500:512], 512)
        assert (stream.read(100), stream.taken) == (DATA[512:612], 612)

    def test_all_of_it(self) -> None:
        stream = Peeked(io.BytesIO(DATA))
        assert (stream.read(), stream.taken, stream.read()) == (DATA, len(DATA), b"")
        stream = Peeked(io.BytesIO(DATA))
        stream.read(512)
        assert (stream.read(), stream.taken) == (DATA[512:], len(DATA))

    def test_passing_over(self, source: Source) -> None:
        stream = Peeked(source)
        assert (stream.skip(100), stream.read(1), stream.taken) == (100, DATA[100:101], 101)
        assert (stream.skip(1000), stream.read(1), stream.taken) == (1000, DATA[1101:1102], 1102)
        assert (stream.skip(200_000), stream.taken) == (len(DATA) - 1102, len(DATA))


class TestHashed:
    """A blob held against its digest, whoever read it, and how far."""

    @pytest.mark.parametrize("kind", ["sha256", "sha512"])
    @pytest.mark.parametrize("read", [0, 1000, len(DATA)])
    def test_the_right_one(self, source: Source, kind: str, read: int) -> None:
        blob = Hashed(source, f"{kind}:{hashlib.new(kind, DATA).hexdigest()}")
        skip(blob, read)
        blob.finish()
        assert source.read(1) == b""

    def test_one_byte_more(self) -> None:
        digest = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
        with pytest.raises(UnmeasuredError) as caught:
            Hashed(io.BytesIO(DATA + b"x"), digest).finish()
        assert caught.value.what == f"the blob {digest} has another content than its name says"
