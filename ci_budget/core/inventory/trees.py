"""The files of some layers that belong to no package, as a tree of sums; two of them compared, folder by folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ci_budget.core.inventory.model import FileRecord, FolderRecord

_MOST_PARTS = 4
_TOLD = 80  # percent of a folder's movement that its parts must explain to be named in its place
_SHARE = 20  # a part counts from a twentieth of the folder's movement
_DEEPEST = 64


@dataclass
class _Node:
    """A folder or a file: bytes, and by layer."""

    size: int = 0
    by_layer: dict[int, int] = field(default_factory=dict)
    children: set[str] = field(default_factory=set)
    is_file: bool = False

    def add(self, layer: int, size: int) -> None:
        self.size += size
        self.by_layer[layer] = self.by_layer.get(layer, 0) + size


@dataclass(frozen=True, slots=True)
class Change:
    """A file or a folder (with all below it) that differs; bytes, None where it is not there."""

    path: str
    before: int | None
    after: int | None
    is_file: bool

    @property
    def delta(self) -> int:
        """Bytes more than before."""
        return (self.after or 0) - (self.before or 0)

    @property
    def name(self) -> str:
        """`/app/model.bin`, or `/app/` for a folder."""
        return f"/{self.path}" if self.is_file or not self.path else f"/{self.path}/"


class Listing:
    """Folders and files by the layer that holds them, folders down to `depth`, files from `smallest` bytes.

    Two listings that are held against each other have both in common: else what only one of them has a record of would
    look like a change.
    """

    def __init__(
        self, folders: Iterable[FolderRecord], files: Iterable[FileRecord], *, depth: int, smallest: int
    ) -> None:
        self.depth = depth
        self.folders: dict[int, list[FolderRecord]] = {}
        self.files: dict[int, list[FileRecord]] = {}
        for folder in (one for one in folders if not one.path or one.path.count("/") < depth):
            self.folders.setdefault(folder.layer, []).append(folder)
        for file in (one for one in files if one.size >= smallest):
            self.files.setdefault(file.layer, []).append(file)


class Tree:
    """What `layers` of a listing hold beside packages: folders as deep as it has them, and its larger files."""

    def __init__(self, listing: Listing, layers: Iterable[int]) -> None:
        self._nodes: dict[str, _Node] = {"": _Node()}
        for layer in layers:
            for folder in listing.folders.get(layer, ()):
                if folder.size > folder.owned:
                    self._node(folder.path).add(layer, folder.size - folder.owned)
            for file in listing.files.get(layer, ()):
                if not file.owned and file.size:
                    self._add_file(file, listing.depth)

    @property
    def total(self) -> int:
        """Bytes of everything."""
        return self._nodes[""].size

    def size(self, path: str) -> int | None:
        """Bytes of a folder with all below it, or of a file; None where it is not there."""
        found = self._nodes.get(path)
        return None if found is None else found.size

    def children(self, path: str) -> set[str]:
        """The paths directly below a folder."""
        found = self._nodes.get(path)
        return set() if found is None else found.children

    def is_file(self, path: str) -> bool:
        """Whether there is a file of this path."""
        found = self._nodes.get(path)
        return found is not None and found.is_file

    def layer_of(self, change: Change) -> int | None:
        """The layer that holds most of it; of those that hold the same, the upper one, which brought it again."""
        found = self._nodes.get(change.path)
        sizes = found.by_layer if found is not None else {}
        return max(sizes, key=lambda layer: (sizes[layer], layer), default=None)

    def _add_file(self, file: FileRecord, depth: int) -> None:
        node = self._node(file.path)
        node.add(file.layer, file.size)
        node.is_file = True
        parts = file.path.split("/")
        for level in range(depth + 1, len(parts)):  # deeper than there are records
            self._node("/".join(parts[:level])).add(file.layer, file.size)

    def _node(self, path: str) -> _Node:
        """The node, with the folders on the way, which a shallow inventory may not have."""
        found = self._nodes.get(path)
        if found is None:
            found = self._nodes[path] = _Node()
            while path:
                parent = path.rpartition("/")[0]
                known = parent in self._nodes
                self._nodes.setdefault(parent, _Node()).children.add(path)
                if known:
                    break
                path = parent
        return found


def compare_trees(old: Tree, new: Tree) -> Iterator[Change]:
    """What differs: as deep as few parts tell most of it, else their folder as one."""
    yield from _descend("", old, new, 0)


def _descend(path: str, old: Tree, new: Tree, depth: int) -> Iterator[Change]:
    whole = _change(path, old, new)
    parts = [_change(child, old, new) for child in sorted(old.children(path) | new.children(path))]
    moved = sum(abs(part.delta) for part in parts)
    large = [part for part in parts if part.delta and abs(part.delta) * _SHARE >= max(moved, abs(whole.delta))]
    told = sum(abs(part.delta) for part in large)
    unknown = abs(whole.delta - sum(part.delta for part in parts))  # small files, which have no record of their own
    clear = 0 < len(large) <= _MOST_PARTS and told * 100 >= _TOLD * (moved + unknown)
    if (clear or not path) and depth < _DEEPEST:
        for part in large if clear and path else parts:
            if part.delta or not part.is_file:
                yield from [part] if part.is_file else _descend(part.path, old, new, depth + 1)
    elif whole.delta:
        yield whole


def _change(path: str, old: Tree, new: Tree) -> Change:
    return Change(path, old.size(path), new.size(path), old.is_file(path) or new.is_file(path))
