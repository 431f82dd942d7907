"""From the names that a source lists to a layer's entries, so that every source gives the same ones."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field

from ci_budget.core.layers.model import Entry, Kind, path_key
from ci_budget.errors import UnmeasuredError

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_MARKER = ".wh..wh."
LARGEST_NAME = 16_384
LARGEST_NAMES = 2**28
"""Characters of all names of a layer, folders that no member names included; two million of 134 each."""
LARGEST_DEPTHS = 2**25
"""Sum of how deep each of them lies; two million 16 folders deep."""
LARGEST_LAYER = 2**50  # 1 PiB: more than any disk, and the sum of many still fits the stored formats
_RANK = {Kind.WHITEOUT: 0, Kind.OPAQUE: 2}


@dataclass(kw_only=True)
class LayerArchive:
    """The names of one layer's tar archive, fed member by member; a name that comes again replaces the earlier one.

    A whiteout beside a name that it hides is of the layers below alone, in whatever order they come (OCI image-spec,
    layer.md); a folder stays a new one. `limit` is how many names are taken in at most, markers included.
    """

    limit: int
    _entries: dict[str, Entry] = field(default_factory=dict)
    _deleted: set[str] = field(default_factory=set)
    _opaque: set[str] = field(default_factory=set)
    _links: dict[str, str] = field(default_factory=dict)
    _size: int = 0
    _length: int = 0

    def add(self, name: str, kind: Kind, size: int, mode: int, uid: int, gid: int, link: str = "") -> str | None:
        """Take in a member; its path, None for one that is no content of the image (the root, a marker).

        `kind` is never WHITEOUT or OPAQUE: the name says that. `link` is a hard link's target, empty for the rest.
        Raises UnmeasuredError for names and sizes that no engine writes.
        """
        path = clean_path(name)
        if not path:
            return None
        self._count(path)
        self._size += size
        if not 0 <= size <= self._size <= LARGEST_LAYER:
            raise UnmeasuredError(f"the size of {path[:200]!r} in a layer is absurd: {size}")
        folder, base = posixpath.split(path)
        if base == OPAQUE:
            self._opaque.add(folder)
            return None
        if path.startswith(_MARKER) or f"/{_MARKER}" in path:  # left behind by old storage drivers
            return None
        if base.startswith(WHITEOUT):
            name = base[len(WHITEOUT) :]
            if name in ("", ".", ".."):
                raise UnmeasuredError(f"{path[:200]!r} in a layer deletes what has no name")
            self._deleted.add(posixpath.join(folder, name))
            return None
        if link:
            self._links[path] = clean_path(link)
        else:
            self._links.pop(path, None)
        self._entries[path] = Entry(path, kind, size, mode, uid, gid)
        return path

    def entries(self) -> tuple[Entry, ...]:
        """What the layer holds, in path order, folders that no member names included.

        Raises UnmeasuredError for more names, or longer or deeper ones, than there is room for, or in a file.
        """
        found = self._entries
        inside = [f"{folder}/" for folder in self._opaque if folder]
        for path in [*found, *self._deleted, *inside]:
            folder = posixpath.dirname(path)
            while folder and folder not in found:
                self._count(folder)
                found[folder] = Entry(folder, Kind.FOLDER, mode=0o755)
                folder = posixpath.dirname(folder)
            if folder and found[folder].kind in (Kind.FILE, Kind.OTHER):
                raise UnmeasuredError(f"{path[:200]!r} in a layer lies in what is no folder there")
        if sum(path.count("/") for path in found) > LARGEST_DEPTHS:
            raise UnmeasuredError("the names in a layer lie absurdly deep")
        self._join_links()
        entries = [
            *(Entry(path, Kind.WHITEOUT) for path in self._deleted),
            *found.values(),
            *(Entry(folder, Kind.OPAQUE) for folder in self._opaque),
        ]
        entries.sort(key=lambda entry: (path_key(entry.path), _RANK.get(entry.kind, 1)))
        return tuple(entries)

    def _count(self, path: str) -> None:
        if len(self._entries) + len(self._deleted) + len(self._opaque) >= self.limit:
            raise UnmeasuredError(f"a layer has more than {self.limit:,} names")
        self._length += len(path)
        if self._length > LARGEST_NAMES:
            raise UnmeasuredError(f"the names in a layer have more than {LARGEST_NAMES:,} characters")

    def _join_links(self) -> None:
        """The first in path order of each group carries the size; a link to a symbolic link or a device is another."""
        groups: dict[str, list[str]] = {}
        for path, target in self._targets().items():
            groups.setdefault(target, []).append(path)
        for target, paths in groups.items():
            source = self._entries.get(target)
            if source is None or source.kind is Kind.FOLDER:
                continue  # of a lower layer: no payload here
            if source.kind is not Kind.FILE:
                self._entries |= {path: source._replace(path=path) for path in paths}
                continue
            first, *others = sorted({target, *paths}, key=path_key)
            self._entries[first] = source._replace(path=first)
            for other in others:
                self._entries[other] = source._replace(path=other, size=0, same_as=first)

    def _targets(self) -> dict[str, str]:
        """What each hard link leads to in the end, also through other links; in a ring that is one of its names."""
        found: dict[str, str] = {}
        for path in self._links:
            passed: dict[str, None] = {}
            while path in self._links and path not in found and path not in passed:
                passed[path] = None
                path = self._links[path]
            found |= dict.fromkeys(passed, found.get(path, path))
        return found


def clean_path(name: str) -> str:
    """A member's name as a path: relative, without `.` and doubled or trailing slashes; empty for the root.

    Raises UnmeasuredError for one that leads out of the image, or is absurdly long.
    """
    if len(name) > LARGEST_NAME:
        raise UnmeasuredError(f"a layer has a name of {len(name):,} characters")
    if not _is_plain(name):
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise UnmeasuredError(f"the name {name[:200]!r} in a layer leads out of the image")
        return "/".join(parts)
    return name


def _is_plain(name: str) -> bool:
    return not (name.startswith((".", "/")) or name.endswith(("/", ".")) or "//" in name or "/." in name)
