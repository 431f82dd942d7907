"""The build context on disk: which ignore file counts, and what the rules leave of the tree.

The walk is fsutil's: symbolic links are not followed, names come in the order of their bytes, sockets
arrive as empty files, FIFOs and devices are no regular files, and what vanishes meanwhile is left out.
"""

from __future__ import annotations

import errno
import os
import stat
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from ci_budget.core.context.ignore import LARGEST_FILE, IgnoreRules
from ci_budget.core.context.ignore_folders import IgnoreFolder
from ci_budget.core.context.measured import ContextFolder, ContextMeasure
from ci_budget.core.context.sources import follow_links
from ci_budget.errors import UnmeasuredError

_NAME = attrgetter("name")
_GONE = (errno.ENOENT, errno.ENOTDIR)


def find_ignore_file(context: Path, dockerfile: Path) -> Path | None:
    """The ignore file that counts: `<Dockerfile>.dockerignore` beside the Dockerfile, else the context's
    `.dockerignore`, else None. As the engine does, symbolic links are followed only inside the folder.

    Raises UnmeasuredError when a folder cannot be looked into."""
    for folder, name in ((dockerfile.parent, f"{dockerfile.name}.dockerignore"), (context, ".dockerignore")):
        try:
            found = _resolve_inside(folder, name)
            if found is not None and found.is_file():
                return found
        except OSError as error:
            raise UnmeasuredError(f"cannot look for the ignore file: {error.strerror}", file=folder / name) from error
    return None


def find_own_files(context: Path, dockerfile: Path) -> frozenset[str]:
    """The Dockerfile and its ignore file, as paths in the context, where they lie in it.

    Raises UnmeasuredError as `find_ignore_file`."""
    root = context.resolve()
    found = [one.resolve() for one in (dockerfile, find_ignore_file(context, dockerfile)) if one is not None]
    return frozenset(one.relative_to(root).as_posix() for one in found if one.is_relative_to(root))


def read_ignore_rules(context: Path, dockerfile: Path) -> IgnoreRules:
    """The rules of the ignore file that counts; none where there is none.

    Raises ConfigError for a pattern that the engine refuses, UnmeasuredError when the file cannot be read.
    """
    path = find_ignore_file(context, dockerfile)
    if path is None:
        return IgnoreRules()
    try:
        with path.open("rb") as file:
            return IgnoreRules.parse(file.read(LARGEST_FILE + 1), str(path))
    except OSError as error:
        raise UnmeasuredError(f"cannot read the ignore file: {error.strerror}", file=path) from error


def measure_context(root: Path, rules: IgnoreRules) -> ContextMeasure:
    """Measure what `COPY . /` would copy.

    Raises UnmeasuredError, naming it, for a directory of the context that cannot be read, and
    ConfigError for a pattern that the engine fails at when it compares a path with it.
    """
    tally = _Tally()
    try:
        base = root.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise UnmeasuredError(f"the build context cannot be read: {error}", file=root) from error
    entries = _list(str(base), "", excluded=False)
    if entries is None:
        raise UnmeasuredError("the build context does not exist, or is no directory", file=root)
    open_visits = [_Visit(rules.root(), str(base), "", iter(entries))]
    while open_visits:
        inner = _continue(open_visits[-1], tally)
        if inner is not None:
            open_visits.append(inner)
        else:
            tally.close(open_visits.pop())
    return ContextMeasure(
        size=tally.size,
        files=tally.files,
        folders=tuple(tally.folders),
        directories=frozenset(tally.directories),
        links=tally.links,
        twins=tally.twins,
    )


@dataclass(slots=True)
class _Visit:
    """A directory on the way: its rules, where it lies, its path in the context with a slash at its end."""

    folder: IgnoreFolder
    place: str
    prefix: str
    entries: Iterator[os.DirEntry[str]]
    names: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)


@dataclass
class _Tally:
    size: int = 0
    files: int = 0
    folders: list[ContextFolder] = field(default_factory=list)
    directories: set[str] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)
    twins: dict[str, int] = field(default_factory=dict)
    seen: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)

    def close(self, visit: _Visit) -> None:
        """Take over what a directory gave."""
        self.files += len(visit.names)
        if visit.names:
            path = visit.prefix[:-1]
            self.folders.append(ContextFolder(path=path, joined="/".join(visit.names), sizes=array("q", visit.sizes)))
        if visit.prefix and (visit.names or not visit.folder.excluded):
            self.add_directory(visit.prefix[:-1])

    def add_directory(self, path: str) -> None:
        """A directory is sent, and so are all above it."""
        while path and path not in self.directories:
            self.directories.add(path)
            path = path.rpartition("/")[0]

    def count_twin(self, path: str, info: os.stat_result, size: int) -> int:
        """The bytes that a file with several hard links arrives with: those of the first one sent."""
        key = (info.st_dev, info.st_ino)
        if key not in self.seen:
            self.seen[key] = (len(self.seen), size)
            self.size += size
        self.twins[path], first = self.seen[key]
        return first


def _continue(visit: _Visit, tally: _Tally) -> _Visit | None:
    """Go on with a directory up to the next one inside it; None at its end."""
    folder, prefix, names, sizes = visit.folder, visit.prefix, visit.names, visit.sizes
    uniform, ignores, empties = folder.uniform, folder.ignores, folder.empties
    for entry in visit.entries:
        name = entry.name
        try:
            if entry.is_dir(follow_symlinks=False):
                inner = _enter(visit, name)
                if inner is not None:
                    return inner
            elif uniform if uniform is not None else ignores(name):
                continue
            elif entry.is_file(follow_symlinks=False):
                info = entry.stat(follow_symlinks=False)
                size = 0 if empties is not None and empties(name) else info.st_size
                if info.st_nlink > 1:
                    size = tally.count_twin(prefix + name, info, size)
                else:
                    tally.size += size
                sizes.append(size)
                names.append(name)
            elif entry.is_symlink():
                tally.links[prefix + name] = os.readlink(entry.path)  # noqa: PTH115 - as it is written
                tally.add_directory(prefix[:-1])
            else:
                if stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode):
                    sizes.append(0)
                    names.append(name)
                tally.add_directory(prefix[:-1])
        except OSError as error:
            if error.errno not in _GONE:
                raise _unreadable(prefix + name, error) from error
    return None


def _enter(visit: _Visit, name: str) -> _Visit | None:
    """The directory of this name; None where there is nothing in it for us."""
    folder = visit.folder.enter(name)
    if folder is None:
        return None
    place, prefix = f"{visit.place}/{name}", f"{visit.prefix}{name}/"
    entries = _list(place, prefix, excluded=folder.excluded)
    return None if entries is None else _Visit(folder, place, prefix, iter(entries))


def _list(place: str, prefix: str, *, excluded: bool) -> list[os.DirEntry[str]] | None:
    try:
        with os.scandir(place) as entries:
            return sorted(entries, key=_NAME)
    except OSError as error:
        if error.errno in _GONE or (excluded and isinstance(error, PermissionError)):
            return None
        raise _unreadable(prefix[:-1] or place, error) from error


def _unreadable(path: str, error: OSError) -> UnmeasuredError:
    shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return UnmeasuredError(
        f"'{shown}' in the build context cannot be read: {error.strerror}",
        mend="Make it readable, or name it in the ignore file.",
    )


def _resolve_inside(folder: Path, name: str) -> Path | None:
    """The file, its symbolic links resolved as if `folder` were the root; None for links in a circle."""
    links: dict[str, str] = {}
    for _ in range(256):
        path = follow_links(links, name)
        if path is None:
            return None
        parts = path.split("/")
        ahead = ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
        link = next((part for part in ahead if (folder / part).is_symlink()), None)
        if link is None:
            return folder / path
        links[link] = str((folder / link).readlink())
    return None
