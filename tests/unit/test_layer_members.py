"""Members of a layer's archive as real tools write them: sparse files, overridden sizes, packings; and their limits."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard

from ci_budget.core.layers.model import Entry, Kind
from ci_budget.edges.layers import layer_archives
from ci_budget.edges.layers.layer_archives import ArchiveLimits, Kept, read_layer
from ci_budget.errors import UnmeasuredError
from tests.image_archives import file, folder, layer, special


def read(data: bytes, **limits: int) -> list[tuple[str, int]]:
    found = read_layer(io.BytesIO(data), Kept(wanted=lambda _: False, limits=ArchiveLimits(**limits)))
    return [(one.path, one.size) for one in found.entries]


def refusal(data: bytes, **limits: int) -> str:
    with pytest.raises(UnmeasuredError) as caught:
        read(data, **limits)
    return caught.value.what


class TestSparseFiles:
    """As GNU tar writes them: the size is that of the whole file, and what follows is found."""

    @pytest.mark.parametrize("form", ["gnu", "pax 0.0", "pax 0.1", "pax 1.0"])
    @pytest.mark.parametrize("parts", [1, 3, 70], ids=["few", "some", "many"])
    def test_every_format(self, tmp_path: Path, form: str, parts: int) -> None:
        size = parts * 200_000 + 100_000
        with (tmp_path / "holes").open("wb") as stream:
            stream.truncate(size)
            for part in range(parts):
                stream.seek(part * 200_000 + 65_536)
                stream.write(b"data" * 1024)
        (tmp_path / "after").write_bytes(b"12345")
        kind, _, version = form.partition(" ")
        words = [f"--sparse-version={version}"] if version else []
        command = ["tar", "--create", "--sparse", "--hole-detection=raw", f"--format={kind}", *words, "holes", "after"]
        data = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout
        assert len(data) < size / 2, "it is stored without its holes"
        assert read(data) == [("after", 5), ("holes", size)]

    def test_its_list_of_parts_is_cut_off(self) -> None:
        header = bytearray(tarfile.TarInfo("s").tobuf(tarfile.GNU_FORMAT))
        header[156:157] = tarfile.GNUTYPE_SPARSE
        header[482], header[483:495] = 1, b"%011o " % 10
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        said = "a layer's archive cannot be read: unexpected end of data"
        assert refusal(bytes(header) + bytes(511)) == said
        assert read(bytes(header) + bytes(512)) == [("s", 10)]


class TestExtendedHeaders:
    """What stands in them counts, and not what the short header says."""

    def test_a_size(self) -> None:
        """Of a file over 8 GiB the short header has no room for it: here it says 0."""
        info = tarfile.TarInfo("short")
        block = info.tobuf(tarfile.USTAR_FORMAT)
        record = b"10 size=7\n"
        head = tarfile.TarInfo("PaxHeader")
        head.type, head.size = tarfile.XHDTYPE, len(record)
        data = head.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0") + block + b"content".ljust(512, b"\0")
        assert read(data + layer(file("after", b"12"))) == [("after", 2), ("short", 7)]

    def test_a_path_and_owners(self) -> None:
        member, _ = file("short", b"12", path="a/long/one", uid="70000", gid="80000")
        member.pax_headers = {"path": "a/long/one", "uid": "70000", "gid": "80000"}
        found = read_layer(io.BytesIO(layer((member, b"12"))), Kept(wanted=lambda _: True, limits=ArchiveLimits()))
        assert found.entries[-1] == Entry("a/long/one", Kind.FILE, 2, 0o644, 70_000, 80_000)
        assert found.contents == {"a/long/one": b"12"}

    def test_one_as_large_as_is_read(self) -> None:
        most = 2**20
        name = "n" * 100
        for size, said in ((most, None), (most + 1, "an extended header of 1,048,577 bytes")):
            head = tarfile.TarInfo("PaxHeader")
            head.type, head.size = tarfile.XHDTYPE, size
            line = b"1048576 comment=".ljust(size - 1, b"x") + b"\n"
            body = line.ljust(-(-size // 512) * 512, b"\0")
            data = head.tobuf(tarfile.USTAR_FORMAT) + body + layer(file(name, b"1"))
            if said is None:
                assert read(data) == [(name, 1)]
            else:
                assert refusal(data) == f"a layer's archive cannot be read: {said}"


class TestKinds:
    """What a member is."""

    def test_each(self) -> None:
        kinds = {
            "file": tarfile.REGTYPE, "old": tarfile.AREGTYPE, "hard": tarfile.LNKTYPE, "soft": tarfile.SYMTYPE,
            "folder": tarfile.DIRTYPE, "pipe": tarfile.FIFOTYPE, "char": tarfile.CHRTYPE, "block": tarfile.BLKTYPE,
            "contiguous": tarfile.CONTTYPE,
        }  # fmt: skip
        members = [special(name, kind, "file" if name == "hard" else "x") for name, kind in kinds.items()]
        found = read_layer(io.BytesIO(layer(*members)), Kept(wanted=lambda _: False, limits=ArchiveLimits())).entries
        assert {one.path: one.kind.value for one in found} == {
            "file": "file", "old": "file", "hard": "file", "soft": "link", "folder": "folder", "pipe": "other",
            "char": "other", "block": "other", "contiguous": "file",
        }  # fmt: skip

    def test_a_hard_link_that_claims_a_size_has_none(self) -> None:
        info, _ = special("hard", tarfile.LNKTYPE, "elsewhere")
        info.size = 7
        header = info.tobuf(tarfile.USTAR_FORMAT)
        assert read(header + layer(file("after", b"1"))) == [("after", 1), ("hard", 0)]

    def test_modes_without_the_kind(self) -> None:
        info, _ = folder("a")
        info.mode = 0o107777
        entries = read_layer(
            io.BytesIO(layer((info, b""))), Kept(wanted=lambda _: False, limits=ArchiveLimits())
        ).entries
        assert entries == (Entry("a", Kind.FOLDER, mode=0o7777),)


class TestLimits:
    """Each as much as is allowed, and one more."""

    def test_names_of_all_layers(self) -> None:
        kept = Kept(wanted=lambda _: False, limits=ArchiveLimits(all_names=4))
        for _ in range(2):
            read_layer(io.BytesIO(layer(file("a"), file("b"))), kept)
        assert kept.names == 4
        with pytest.raises(UnmeasuredError, match=r"^the layers have more than 4 names$"):
            read_layer(io.BytesIO(layer(file("a"))), kept)

    def test_contents(self) -> None:
        limits = ArchiveLimits(record=10, records=25)
        kept = Kept(wanted=lambda path: path != "other", limits=limits)
        members = [file("a", b"x" * 10), file("b", b"x" * 11), file("c", b"x" * 10), file("other", b"x")]
        found = read_layer(io.BytesIO(layer(*members, file("d", b"x" * 6), file("e", b"x" * 5))), kept)
        assert (sorted(found.contents), kept.taken, kept.dropped) == (["a", "c", "e"], 25, ["b", "d"])

    @pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress], ids=["gzip", "zstd"])
    def test_unpacking(self, pack: object) -> None:
        plain = layer(file("zeros", bytes(1_000_000)))
        packed = pack(plain)  # type: ignore[operator]
        ratio = len(plain) // len(packed)
        assert read(packed, expanded=len(plain), ratio=1) == [("zeros", 1_000_000)]
        assert read(packed, expanded=1, ratio=ratio + 1) == [("zeros", 1_000_000)]
        for limits in ({"expanded": 500_000, "ratio": 1}, {"expanded": 1, "ratio": ratio // 4}):
            assert "it looks like a decompression bomb, and is not read" in refusal(packed, **limits)

    def test_what_unpacking_may_need_in_memory(self) -> None:
        """The window that a zstd frame asks for: 128 MiB, and not a byte more."""

        def framed(exponent: int) -> bytes:
            parameters = zstandard.ZstdCompressionParameters(window_log=exponent, write_content_size=0)
            writer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
            return writer.compress(layer(file("a", b"1"))) + writer.flush()

        assert read(framed(27)) == [("a", 1)]
        said = refusal(framed(28))
        assert said.startswith("a layer's archive cannot be read: its compression is broken (")

    def test_several_frames_are_one_layer(self) -> None:
        plain = layer(file("a", b"1" * 5000), file("b", b"2"))
        for pack in (gzip.compress, zstandard.ZstdCompressor().compress):
            assert read(pack(plain[:3000]) + pack(plain[3000:])) == [("a", 5000), ("b", 1)]

    def test_the_limits_as_they_are(self) -> None:
        limits = layer_archives.LIMITS
        assert (limits.names, limits.all_names) == (2_000_000, 4_000_000)
        assert (limits.record, limits.records) == (16_777_216, 100_663_296)
        assert (limits.expanded, limits.ratio) == (2_147_483_648, 400)
