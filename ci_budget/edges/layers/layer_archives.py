"""Layers read from tar archives of any origin, plain, gzip or zstd, without unpacking anything.

An archive may lie: everything that could cost memory, time or truth is bounded here, and what is over a bound is
refused as a whole (UnmeasuredError), never read in part.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import IO, cast

from ci_budget.core.layers.entries import LayerArchive
from ci_budget.core.layers.model import Entry, Kind
from ci_budget.core.text.units import format_size
from ci_budget.edges.layers.forward_streams import CHUNK, Forward, Peeked, Section, Source, tarfile_error
from ci_budget.errors import UnmeasuredError

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_LARGEST_WINDOW = 2**27
_LARGEST_EXTENSION = 2**20
_BLOCK = 512
_MORE_PARTS = 504  # offset in a block of a sparse file's parts: whether another one follows
_HEADER_TYPES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
                 tarfile.GNUTYPE_LONGLINK)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """Bounds on one image. `names`: in each layer; `all_names`: in all of them; `record`, `records`: bytes of one, and
    of all files whose content is kept. `expanded`, `ratio`: a compressed layer may unpack to so many bytes, or to more
    while that is at most `ratio` times what was read.
    """

    names: int = 2_000_000
    all_names: int = 4_000_000
    record: int = 16 * 2**20
    records: int = 96 * 2**20
    expanded: int = 2 * 2**30
    ratio: int = 400


LIMITS = ArchiveLimits()


@dataclass(kw_only=True)
class Kept:
    """The contents that were asked for, over all layers of an image. `dropped`: paths that no longer fitted; `names`:
    how many there were so far."""

    wanted: Callable[[str], bool]
    limits: ArchiveLimits
    taken: int = 0
    dropped: list[str] = field(default_factory=list)
    names: int = 0

    def fits(self, path: str, size: int) -> bool:
        """Whether a file's content is asked for, and there is room for it; counts it."""
        if not self.wanted(path):
            return False
        if size > self.limits.record or self.taken + size > self.limits.records:
            self.dropped.append(path)
            return False
        self.taken += size
        return True


@dataclass(frozen=True, kw_only=True)
class ReadLayer:
    """A layer's entries, and the contents of the files that were asked for, by path."""

    entries: tuple[Entry, ...]
    contents: dict[str, bytes]


class _Member(tarfile.TarInfo):
    """A member that is never read with more trust than it earns."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> _Member:
        """As the library does it; but a broken header in the middle is an error, not the end."""
        try:
            return super().fromtarfile(tarfile)
        except _BROKEN as error:
            raise tarfile_error(f"a header is broken ({error})") from error
        except RecursionError as error:  # each extended header goes one deeper
            raise tarfile_error("too many extended headers in a row") from error

    def _proc_member(self, tarfile: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADER_TYPES and self.size > _LARGEST_EXTENSION:  # the library reads it into memory
            raise tarfile_error(f"an extended header of {self.size:,} bytes")
        return super()._proc_member(tarfile)  # type: ignore[misc,no-any-return]

    def _proc_sparse(self, tarfile: tarfile.TarFile) -> tarfile.TarInfo:
        """Only the size is taken: the list of a sparse file's parts may be as long as the archive."""
        _, more, size = self._sparse_structs  # type: ignore[attr-defined]
        del self._sparse_structs  # type: ignore[attr-defined]
        stream = cast("Forward", tarfile.fileobj)
        while more:
            block = stream.read(_BLOCK)
            if len(block) < _BLOCK:
                raise tarfile_error("unexpected end of data")
            more = block[_MORE_PARTS]
        self.sparse, self.offset_data = b"", stream.tell()
        tarfile.offset = self.offset_data + self._block(self.size)  # type: ignore[attr-defined]
        self.size = size
        return self

    def _proc_gnusparse_10(self, member: tarfile.TarInfo, _headers: object, _tarfile: tarfile.TarFile) -> None:
        member.sparse = b""


_BROKEN = (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError)  # type: ignore[attr-defined]
READ_ERRORS = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, OverflowError)
"""What reading a broken archive raises, OSError apart."""


def members(stream: Source) -> Iterator[tuple[tarfile.TarInfo, Callable[[], Source]]]:
    """The members of a tar stream, each with a function that opens its content; memory does not grow with them."""
    forward = Forward(stream)
    with tarfile.open(
        fileobj=cast("IO[bytes]", forward), mode="r:", tarinfo=_Member, encoding="utf-8",
        errors="surrogateescape",
    ) as archive:  # fmt: skip
        while (member := archive.next()) is not None:
            yield member, partial(_content, forward, member)
            archive.members.clear()  # type: ignore[attr-defined]  # else the library keeps them all


def _content(forward: Forward, member: tarfile.TarInfo) -> Source:
    if member.issparse():
        raise tarfile_error(f"{member.name[:200]!r} is stored as a sparse file, which is not unpacked")
    forward.seek(member.offset_data)
    return Section(forward, member.size)


def read_layer(stream: Source, kept: Kept) -> ReadLayer:
    """A layer from its archive, compressed or not. Raises UnmeasuredError for one that is broken or hostile."""
    layer, contents = LayerArchive(limit=kept.limits.names), {}
    try:
        for member, content in members(expanded(stream, kept.limits)):
            is_file = member.isreg() and not member.islnk()
            path = layer.add(
                member.name, _kind(member), member.size if is_file else 0, member.mode & 0o7777, member.uid, member.gid,
                member.linkname if member.islnk() else "",
            )  # fmt: skip
            if path is not None and is_file and kept.fits(path, member.size):
                contents[path] = content().read()
    except READ_ERRORS as error:
        raise UnmeasuredError(f"a layer's archive cannot be read: {error}") from error
    entries = layer.entries()
    kept.names += len(entries)
    if kept.names > kept.limits.all_names:
        raise UnmeasuredError(f"the layers have more than {kept.limits.all_names:,} names")
    return ReadLayer(entries=entries, contents=contents)


def _kind(member: tarfile.TarInfo) -> Kind:
    if member.isreg() or member.islnk():
        return Kind.FILE
    if member.isdir():
        return Kind.FOLDER
    return Kind.LINK if member.issym() else Kind.OTHER


def expanded(stream: Source, limits: ArchiveLimits) -> Source:
    """The plain bytes of a stream that may be gzip or zstd. What expands beyond all measure is refused on reading."""
    packed = Peeked(stream)
    if packed.start.startswith(GZIP):
        plain = gzip.GzipFile(fileobj=cast("io.BytesIO", packed))
        return _Bounded(cast("Source", plain), packed, limits)
    if packed.start.startswith(ZSTD):
        import zstandard  # heavy, and seldom needed

        reader = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
        frames = reader.stream_reader(cast("io.BytesIO", packed), read_across_frames=True)
        return _Bounded(cast("Source", frames), packed, limits, zstandard.ZstdError)
    return packed


class _Bounded:
    def __init__(
        self, plain: Source, packed: Peeked, limits: ArchiveLimits, broken: type[Exception] = zlib.error
    ) -> None:
        self._plain, self._packed, self._limits, self._broken = plain, packed, limits, broken
        self._made = 0

    def read(self, size: int = CHUNK, /) -> bytes:
        try:
            found = self._plain.read(size)
        except self._broken as error:
            raise tarfile_error(f"its compression is broken ({error})") from error
        self._made += len(found)
        if self._made > self._limits.expanded and self._made > self._limits.ratio * max(1, self._packed.taken):
            raise UnmeasuredError(
                f"a layer unpacks to more than {format_size(self._made)} from {format_size(self._packed.taken)}: "
                "it looks like a decompression bomb, and is not read"
            )
        return found
