"""Layers read from the engine's own directories (overlay2): names and sizes straight from the filesystem.

A deleted name is a 0/0 character device there, and a folder that hides the lower ones bears the extended attribute
`trusted.overlay.opaque` (`user.overlay.opaque` in a rootless engine); kernel: Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BufferedReader
from itertools import islice
from operator import attrgetter
from pathlib import Path

from ci_budget.core.layers.entries import WHITEOUT
from ci_budget.core.layers.model import Entry, Kind
from ci_budget.errors import UnmeasuredError

MOST_NAMES = 2_000_000
_PATH = attrgetter("path")
_BLOCK = 4096
_NAMESPACES = ("trusted.overlay.", "user.overlay.")


class LayerFolders:
    """Layer directories of one engine; each is measured once, however many images share it."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}

    def measure(self, folders: Sequence[str]) -> int:
        """Payload of all the directories in bytes. Raises UnmeasuredError when one cannot be read."""
        return sum(self._sizes[folder] if folder in self._sizes else self._size(folder) for folder in folders)

    def read(self, folder: str) -> tuple[Entry, ...]:
        """What one layer directory holds, in path order. Raises UnmeasuredError when it cannot be read."""
        entries = tuple(islice(read_folder(Path(folder)), MOST_NAMES + 1))
        if len(entries) > MOST_NAMES:
            raise UnmeasuredError(f"the layer directory {folder} has more than {MOST_NAMES:,} names")
        self._sizes[folder] = sum(entry.size for entry in entries)
        return entries

    def _size(self, folder: str) -> int:
        self._sizes[folder] = size = sum(facts.st_size for facts in _regular_files(folder))
        return size


def read_folder(folder: Path) -> Iterator[Entry]:
    """The entries of a layer directory, in path order. Raises UnmeasuredError when it cannot be read."""
    linked: dict[str, int] = {}
    return join_links(walk(str(folder), "", linked, []), linked)


def walk(top: str, path: str, linked: dict[str, int], left: list[str], enough: int = MOST_NAMES) -> Iterator[Entry]:
    """What lies below one folder of a layer directory, in path order, each with its own size.

    `linked` takes the inodes of files with several links, by path, before they come. After `enough` names no further
    folder is entered: `left` names those. Raises UnmeasuredError when one cannot be read.
    """
    count = 0
    try:
        pending, opaque = _scan(top, path, linked)
        if opaque:
            yield Entry(path, Kind.OPAQUE)
        while pending:
            entry = pending.pop()
            count += 1
            yield entry
            if entry.kind is Kind.FOLDER:
                if count > enough:
                    left.append(entry.path)
                    continue
                below, opaque = _scan(top, entry.path, linked)
                if opaque:
                    yield Entry(entry.path, Kind.OPAQUE)
                pending += below
    except OSError as error:
        raise _unreadable(top, error) from error


def join_links(entries: Iterable[Entry], linked: Mapping[str, int]) -> Iterator[Entry]:
    """The same, where only the first of several links has a size and the others name it; `linked`: see `walk`."""
    first: dict[int, str] = {}
    for entry in entries:
        if entry.kind is Kind.FILE and entry.path in linked:
            carrier = first.setdefault(linked[entry.path], entry.path)
            if carrier != entry.path:
                yield entry._replace(size=0, same_as=carrier)
                continue
        yield entry


def _scan(top: str, path: str, linked: dict[str, int]) -> tuple[list[Entry], bool]:
    """The names of one folder, the last one first, and whether it hides the lower ones; `linked` takes the inodes of
    files with several links. Raises OSError, and UnmeasuredError for what only the layer's archive can tell: a folder
    that stands for a renamed one, a name that means a deletion there."""
    # by its handle: a long path to each of a hundred thousand names would take a third longer
    handle = os.open(f"{top}/{path}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        opaque = _is_opaque(handle, f"{top}/{path}")
        below, entries = f"{path}/" if path else "", []
        with os.scandir(handle) as found:
            for one in found:
                if one.name.startswith(WHITEOUT):
                    raise _ambiguous(f"{top}/{path}", one.name)
                facts = one.stat(follow_symlinks=False)
                entry = _entry(below + one.name, facts)
                if entry is not None:
                    entries.append(entry)
                    if facts.st_nlink > 1 and entry.kind is Kind.FILE:
                        linked[entry.path] = facts.st_ino
    finally:
        os.close(handle)
    entries.sort(key=_PATH, reverse=True)
    return entries, opaque


def _entry(path: str, facts: os.stat_result) -> Entry | None:
    mode = facts.st_mode
    if stat.S_ISREG(mode):
        return Entry(path, Kind.FILE, facts.st_size, mode & 0o7777, facts.st_uid, facts.st_gid)
    kind = Kind.OTHER
    if stat.S_ISDIR(mode):
        kind = Kind.FOLDER
    elif stat.S_ISLNK(mode):
        kind = Kind.LINK
    elif stat.S_ISCHR(mode) and facts.st_rdev == 0:
        return Entry(path, Kind.WHITEOUT)
    elif stat.S_ISSOCK(mode):
        return None  # archives leave sockets out
    return Entry(path, kind, 0, mode & 0o7777, facts.st_uid, facts.st_gid)


def _is_opaque(handle: int, folder: str) -> bool:
    """Whether a folder hides the lower ones. Raises UnmeasuredError for one that stands for a renamed one."""
    for name in os.listxattr(handle):
        if name.startswith(_NAMESPACES):
            if name.endswith(".redirect"):
                raise UnmeasuredError(f"the layer directory {folder} stands for a renamed one")
            if name.endswith(".opaque") and os.getxattr(handle, name) == b"y":
                return True
    return False


def _regular_files(folder: str) -> Iterator[os.stat_result]:
    """The regular files below a folder, of hard links one each. Raises UnmeasuredError as `_scan`."""
    linked: set[int] = set()
    pending = [folder]
    try:
        while pending:
            inner = pending.pop()
            with os.scandir(inner) as found:
                for one in found:
                    if one.name.startswith(WHITEOUT):
                        raise _ambiguous(inner, one.name)
                    facts = one.stat(follow_symlinks=False)
                    if stat.S_ISDIR(facts.st_mode):
                        pending.append(one.path)
                    elif stat.S_ISREG(facts.st_mode) and facts.st_ino not in linked:
                        if facts.st_nlink > 1:
                            linked.add(facts.st_ino)
                        yield facts
    except OSError as error:
        raise _unreadable(folder, error) from error


def read_inside(folder: str, path: str, limit: int) -> bytes | None:
    """A file of a layer directory, whole; None where it is larger than `limit` bytes or no plain file.

    `path` is that of an entry of this layer. No link is followed, not even in a folder on the way.
    """
    with _opened(folder, path) as stream:
        return stream.read() if stream is not None and os.fstat(stream.fileno()).st_size <= limit else None


def hash_inside(folder: str, path: str, *, sampled: bool) -> str | None:
    """SHA-256 of such a file, or of blocks at its start, middle and end; None where it is no plain file."""
    with _opened(folder, path) as stream:
        if stream is None:
            return None
        if not sampled:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        file, found = stream.fileno(), hashlib.sha256()
        size = os.fstat(file).st_size
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)  # read no more than that
        for start in (0, size // 2, max(0, size - _BLOCK)):
            found.update(os.pread(file, _BLOCK, start))
        return found.hexdigest()


@contextlib.contextmanager
def _opened(folder: str, path: str) -> Iterator[BufferedReader | None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        *parents, name = path.split("/")
        for parent in parents:
            inner = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handle)
            os.close(handle)
            handle = inner
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=handle)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            raise _unreadable(f"{folder}/{path}", error) from error
        yield None
        return
    finally:
        os.close(handle)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        yield None
        return
    with os.fdopen(file, "rb") as stream:
        yield stream


def _ambiguous(folder: str, name: str) -> UnmeasuredError:
    return UnmeasuredError(f"the layer directory {folder} has a file {name!r}, which deletes another one in an archive")


def _unreadable(folder: str, error: OSError) -> UnmeasuredError:
    return UnmeasuredError(f"the layer directory {folder} cannot be read: {error.strerror}")
