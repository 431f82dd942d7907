"""Laying the layers of an image over each other: what is visible in the end, and what hid the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from ci_budget.core.layers.model import Entry, Kind

Cause = Literal["overwritten", "deleted", "hidden"]


@dataclass(frozen=True, slots=True)
class HiddenEntry:
    """An entry that an upper layer hid. `wrote` and `hid` are indices of layers; `by_path`: the path that hid it."""

    entry: Entry
    cause: Cause
    wrote: int
    hid: int
    by_path: str


@dataclass(slots=True)
class _Node:
    entry: Entry | None = None
    layer: int = -1
    children: dict[str, _Node] | None = field(default=None)


class Stack:
    """The visible tree after some layers; feed it from the lowest up."""

    def __init__(self) -> None:
        self._root = _Node(children={})

    def add(self, index: int, entries: tuple[Entry, ...]) -> Iterator[HiddenEntry]:
        """Lay a layer on top; yields the entries of lower layers that it hides. Exhaust it."""
        for entry in entries:
            if entry.kind is Kind.WHITEOUT:
                yield from self._delete(entry.path, index)
            elif entry.kind is Kind.OPAQUE:
                yield from self._clear(entry.path, index)
        folders: dict[str, _Node] = {}
        for entry in entries:
            if entry.kind is Kind.WHITEOUT or entry.kind is Kind.OPAQUE:
                continue
            folder, _, name = entry.path.rpartition("/")
            parent = folders.get(folder)
            if parent is None:
                parent = folders[folder] = self._reach(folder)
            if parent.children is None:
                parent.children = {}
            node = parent.children.get(name)
            if node is None:
                node = parent.children[name] = _Node()
            elif node.children or node.entry is not None:
                yield from _hidden_by(entry, node, index)
            node.entry, node.layer = entry, index

    def visible(self) -> Iterator[tuple[Entry, int]]:
        """What is there, with the index of the layer that has it; in no particular order."""
        for node in _below(self._root):
            if node.entry is not None:
                yield node.entry, node.layer

    def _reach(self, folder: str) -> _Node:
        """The node of a folder, made where it is not there."""
        node = self._root
        for name in folder.split("/") if folder else ():
            if node.children is None:
                node.children = {}
            found = node.children.get(name)
            if found is None:
                found = node.children[name] = _Node()
            node = found
        return node

    def _delete(self, path: str, index: int) -> Iterator[HiddenEntry]:
        *folders, name = path.split("/")
        parent = self._find(folders)
        node = parent.children.pop(name, None) if parent is not None and parent.children else None
        if node is None:
            return
        if node.entry is not None:
            yield HiddenEntry(node.entry, "deleted", node.layer, index, path)
        for below in _below(node):
            if below.entry is not None:
                yield HiddenEntry(below.entry, "deleted", below.layer, index, path)

    def _clear(self, path: str, index: int) -> Iterator[HiddenEntry]:
        node = self._find(path.split("/") if path else [])
        if node is None or not node.children:
            return
        for below in _below(node):
            if below.entry is not None:
                yield HiddenEntry(below.entry, "hidden", below.layer, index, path)
        node.children = {}

    def _find(self, names: list[str]) -> _Node | None:
        node = self._root
        for name in names:
            found = node.children.get(name) if node.children else None
            if found is None:
                return None
            node = found
        return node


def _hidden_by(entry: Entry, node: _Node, index: int) -> Iterator[HiddenEntry]:
    """What `entry` hides where it takes the place of `node`; a folder in a file's place, and anything in a folder's,
    is no new version of what was there."""
    if node.entry is not None and node.layer != index:
        replaced = (entry.kind is Kind.FOLDER) is not (node.entry.kind is Kind.FOLDER)
        yield HiddenEntry(node.entry, "hidden" if replaced else "overwritten", node.layer, index, entry.path)
    if entry.kind is not Kind.FOLDER and node.children:
        for below in _below(node):
            if below.entry is not None:
                yield HiddenEntry(below.entry, "hidden", below.layer, index, entry.path)
        node.children = None


def _below(node: _Node) -> Iterator[_Node]:
    pending = list(node.children.values()) if node.children else []
    while pending:
        found = pending.pop()
        yield found
        if found.children:
            pending.extend(found.children.values())
