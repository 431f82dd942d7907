"""The figures that dive (github.com/wagoodman/dive, 0.13) gives for an image, by its own rules, oddities included.

`dive/filetree/efficiency.go`: over all paths that are leaves of a layer's tree, efficiency is the sum of the smallest
size seen / the sum of all sizes seen; wasted bytes are all sizes of the paths seen at least twice. A whiteout counts as
a node of size 0, that of a folder as what the layers below hold there. Where a whiteout names nothing, dive stops
reading that layer. Opaque markers are unknown to it.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    seen: dict[str, int] = {}
    again: dict[str, tuple[int, int]] = {}  # of the few that are seen more than once: all sizes, and the smallest
    deleting = [index for index, layer in enumerate(image.layers) if _deletes(layer)]
    wanted = _Wanted(image)
    below = _Node()
    for index, layer in enumerate(image.layers):
        if index == 0 and deleting:
            below = _tree(wanted.of(layer))  # dive looks a first layer's whiteouts up in that layer itself
        for path, size in _layer_leaves(layer, below):
            if path not in seen:
                seen[path] = size
            else:
                total, smallest = again.get(path, (seen[path], seen[path]))
                again[path] = total + size, min(smallest, size)
        if 0 < index < max(deleting, default=0):
            _lay_over(below, wanted.of(layer))
    once = sum(seen.values()) - sum(seen[path] for path in again)
    wasted, least = (sum(sizes[at] for sizes in again.values()) for at in (0, 1))
    return DiveFigures(efficiency=(once + least) / (once + wasted) if once + wasted else 1.0, wasted_bytes=wasted)


class _Wanted:
    """Tells what some whiteout of the image names, itself or a folder above it: nothing else is ever looked up."""

    def __init__(self, image: ImageLayers) -> None:
        self._named = {entry.path for layer in image.layers for entry in layer.entries if entry.kind is Kind.WHITEOUT}
        self._folders: dict[str, bool] = {"": False}

    def of(self, layer: Layer) -> Layer:
        """The layer with these entries alone."""
        named, folders = self._named, self._folders
        kept = []
        for entry in layer.entries:
            folder = entry.path[: max(0, entry.path.rfind("/"))]
            if (folders[folder] if folder in folders else self._within(folder)) or entry.path in named:
                kept.append(entry)
        return Layer(layer.diff_id, tuple(kept))

    def _within(self, folder: str) -> bool:
        """Whether a folder or one above it is named; without recursion, as below."""
        unknown = []
        while (known := self._folders.get(folder)) is None and not (known := folder in self._named):
            unknown.append(folder)
            folder = folder.rpartition("/")[0]
        self._folders[folder] = known
        self._folders.update(dict.fromkeys(unknown, known))
        return known


def _deletes(layer: Layer) -> bool:
    return any(entry.kind is Kind.WHITEOUT for entry in layer.entries)


def _layer_leaves(layer: Layer, below: _Node) -> Iterator[tuple[str, int]]:
    """Paths and sizes of the leaves of a layer above `below`; in dive's order only where it would stop half-way."""
    entries = [entry for entry in layer.entries if entry.kind is not Kind.OPAQUE]
    hidden = {entry.path: _find(below, entry.path) for entry in entries if entry.kind is Kind.WHITEOUT}
    if None in hidden.values():
        yield from _ordered_leaves(_tree(layer), below)
        return
    parents = {entry.path.rpartition("/")[0] for entry in entries}
    for entry in entries:
        if entry.kind is Kind.WHITEOUT:
            yield entry.path, _whole_size(hidden[entry.path])
        elif entry.path not in parents:
            yield entry.path, entry.size


def _tree(layer: Layer) -> _Node:
    root = _Node()
    for entry in layer.entries:
        if entry.kind is not Kind.OPAQUE:
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


def _ordered_leaves(tree: _Node, below: _Node) -> Iterator[tuple[str, int]]:
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


def _lay_over(below: _Node, layer: Layer) -> None:
    for entry in layer.entries:
        if entry.kind is Kind.WHITEOUT:
            folder, _, name = entry.path.rpartition("/")
            parent = _find(below, folder) if folder else below
            if parent is not None and parent.children:
                parent.children.pop(name, None)
    for entry in layer.entries:
        if entry.kind not in (Kind.WHITEOUT, Kind.OPAQUE):
            _add(below, entry.path.split("/"), entry)


def _find(root: _Node, path: str) -> _Node | None:
    node = root
    for name in path.split("/"):
        found = node.children.get(name) if node.children else None
        if found is None:
            return None
        node = found
    return node
