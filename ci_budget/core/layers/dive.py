"""The figures that dive (github.com/wagoodman/dive, 0.13) gives for an image, by its own rules, oddities included.

`dive/filetree/efficiency.go`: over all paths that are leaves of a layer's tree, efficiency is the sum of the smallest
size seen / the sum of all sizes seen; wasted bytes are all sizes of the paths seen at least twice. A whiteout counts as
a node of size 0, that of a folder as what the layers below hold there. Where a whiteout names nothing, dive stops
reading that layer, and its smallest size is -1 unless another layer has the path. Opaque markers are unknown to it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ci_budget.core.layers.entries import WHITEOUT
from ci_budget.core.layers.model import Entry, ImageLayers, Kind, Layer


@dataclass(frozen=True, kw_only=True)
class DiveFigures:
    """`efficiency`: 0 to 1, dive's `efficiencyScore`; `wasted_bytes`: its `inefficientBytes`."""

    efficiency: float
    wasted_bytes: int


@dataclass(slots=True)
class _Node:
    size: int = 0
    is_folder: bool = False
    children: dict[str, _Node] | None = None


def dive_figures(image: ImageLayers) -> DiveFigures:
    """What `dive --json` says of the image."""
    seen = _Seen()
    deleting = [index for index, layer in enumerate(image.layers) if _whiteouts(layer)]
    wanted, shared = _Wanted(image), _shared_folders(image)
    below = _Node()
    for index, layer in enumerate(image.layers):
        if index == 0 and deleting:
            below = _tree(wanted.of(layer))  # dive looks a first layer's whiteouts up in that layer itself
        hidden = {entry.path: _find(below, entry.path) for entry in _whiteouts(layer)}
        if None in hidden.values():
            for path, size in _ordered_leaves(_tree(_content(layer)), below):
                seen.add(path, size)
        else:
            for path, size in _shared_leaves(layer, hidden, shared):
                seen.add(path, size)
                seen.alone -= size
            seen.alone += layer.size
            for path, node in hidden.items():
                seen.add(path, _whole_size(node))
        if 0 < index < max(deleting, default=0):
            _lay_over(below, wanted.of(layer))
    return seen.figures()


class _Seen:
    """The leaves of all layers. `alone`: bytes of those that lie where no other layer has anything."""

    def __init__(self) -> None:
        self.alone = 0
        self._sizes: dict[str, list[int]] = {}
        self._unsized: set[str] = set()

    def add(self, path: str, size: int | None) -> None:
        """A leaf; without a size, what dive stopped at."""
        if size is None:
            self._unsized.add(path)
        else:
            self._sizes.setdefault(path, []).append(size)

    def figures(self) -> DiveFigures:
        once = self.alone + sum(sizes[0] for sizes in self._sizes.values() if len(sizes) == 1)
        again = [sizes for sizes in self._sizes.values() if len(sizes) > 1]
        wasted = sum(map(sum, again))
        least = sum(map(min, again)) - len(self._unsized - self._sizes.keys())
        return DiveFigures(efficiency=(once + least) / (once + wasted) if once + wasted else 1.0, wasted_bytes=wasted)


def _shared_folders(image: ImageLayers) -> set[str]:
    """Where more than one layer has or deletes something: nothing else can be seen twice."""
    seen: set[str] = set()
    shared: set[str] = set()
    for layer in image.layers:
        deleted = {posixpath.dirname(entry.path) for entry in _whiteouts(layer)}
        shared |= (layer.folders.keys() & seen) | deleted
        seen |= layer.folders.keys()
    return shared


def _shared_leaves(layer: Layer, hidden: Iterable[str], shared: set[str]) -> Iterator[tuple[str, int]]:
    """Paths and sizes of a layer's leaves in the shared folders, whiteouts left out."""
    parents = {posixpath.dirname(path) for path in hidden}
    for folder in layer.folders.keys() & shared:
        for entry in layer.folders[folder]:
            if entry.path not in layer.folders and entry.path not in parents:
                yield entry.path, entry.size


class _Wanted:
    """Tells what some whiteout of the image names, itself or a folder above it: nothing else is ever looked up."""

    def __init__(self, image: ImageLayers) -> None:
        self._named = {entry.path for layer in image.layers for entry in _whiteouts(layer)}
        self._around = {posixpath.dirname(path) for path in self._named}
        self._folders: dict[str, bool] = {"": False}

    def of(self, layer: Layer) -> list[Entry]:
        """These entries of the layer, and its whiteouts."""
        kept = _whiteouts(layer)
        for folder, entries in layer.folders.items():
            if self._within(folder):
                kept += entries
            elif folder in self._around:
                kept += [entry for entry in entries if entry.path in self._named]
        return kept

    def _within(self, folder: str) -> bool:
        """Whether a folder or one above it is named; without recursion, as below."""
        unknown = []
        while (known := self._folders.get(folder)) is None and not (known := folder in self._named):
            unknown.append(folder)
            folder = posixpath.dirname(folder)
        self._folders[folder] = known
        self._folders.update(dict.fromkeys(unknown, known))
        return known


def _whiteouts(layer: Layer) -> list[Entry]:
    return [entry for entry in layer.markers if entry.kind is Kind.WHITEOUT]


def _content(layer: Layer) -> Iterator[Entry]:
    return (entry for entry in layer.entries if entry.kind is not Kind.OPAQUE)


def _tree(entries: Iterable[Entry]) -> _Node:
    root = _Node()
    for entry in entries:
        names = entry.path.split("/")
        if entry.kind is Kind.WHITEOUT:
            names[-1] = WHITEOUT + names[-1]
        _add(root, names, entry)
    return root


def _add(root: _Node, names: list[str], entry: Entry) -> None:
    node = root
    for name in names:
        if node.children is None:
            node.children = {}
        found = node.children.get(name)
        if found is None:
            found = node.children[name] = _Node()
        node = found
    node.size, node.is_folder = entry.size, entry.kind is Kind.FOLDER


def _ordered_leaves(tree: _Node, below: _Node) -> Iterator[tuple[str, int | None]]:
    """Paths and sizes of the leaves, in dive's order, up to a whiteout of something that `below` does not have."""
    for path, node in _bottom_up(tree):
        if node.children:
            continue
        folder, _, name = path.rpartition("/")
        if not name.startswith(WHITEOUT):
            yield path, node.size
            continue
        hidden = f"{folder}/{name.removeprefix(WHITEOUT)}" if folder else name.removeprefix(WHITEOUT)
        target = _find(below, hidden)
        if target is None:
            yield hidden, None
            return
        yield hidden, _whole_size(target)


def _whole_size(node: _Node | None) -> int:
    """Of a folder, all that is in it; else 0."""
    if node is None or not node.is_folder:
        return 0
    return sum(one.size for _, one in _bottom_up(node)) + node.size


def _bottom_up(node: _Node) -> Iterator[tuple[str, _Node]]:
    """Everything below a node, children first, names in byte order; without recursion: paths may be deep."""
    pending = [(name, child, False) for name, child in _last_first(node)]
    while pending:
        path, child, opened = pending.pop()
        if opened or not child.children:
            yield path, child
        else:
            pending.append((path, child, True))
            pending.extend((f"{path}/{name}", one, False) for name, one in _last_first(child))


def _last_first(node: _Node) -> list[tuple[str, _Node]]:
    items = (node.children or {}).items()
    return sorted(items, key=lambda item: item[0].encode("utf-8", "surrogateescape"), reverse=True)


def _lay_over(below: _Node, entries: Sequence[Entry]) -> None:
    for entry in entries:
        if entry.kind is Kind.WHITEOUT:
            folder, _, name = entry.path.rpartition("/")
            parent = _find(below, folder) if folder else below
            if parent is not None and parent.children:
                parent.children.pop(name, None)
    for entry in entries:
        if entry.kind is not Kind.WHITEOUT:
            _add(below, entry.path.split("/"), entry)


def _find(root: _Node, path: str) -> _Node | None:
    node = root
    for name in path.split("/"):
        found = node.children.get(name) if node.children else None
        if found is None:
            return None
        node = found
    return node
