"""Laying the layers of an image over each other: what is visible in the end, and what hid the rest."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from ci_budget.core.layers.model import Entry, Kind, Layer

Cause = Literal["overwritten", "deleted", "hidden"]


@dataclass(frozen=True, slots=True)
class HiddenEntry:
    """An entry that an upper layer hid. `wrote` and `hid` are indices of layers; `by_path`: the path that hid it."""

    entry: Entry
    cause: Cause
    wrote: int
    hid: int
    by_path: str


_Names = dict[str, tuple[Entry, int]]
"""By path: the entry, and the index of the layer that has it."""


class Stack:
    """The visible tree after some layers; feed it from the lowest up."""

    def __init__(self) -> None:
        self._names: dict[str, _Names] = {"": {}}  # by folder
        self._inner: dict[str, set[str]] = {"": set()}  # by folder: the folders in it that are in `_names`

    def add(self, index: int, layer: Layer) -> Iterator[HiddenEntry]:
        """Lay a layer on top; yields the entries of lower layers that it hides. Exhaust it."""
        for marker in layer.markers:
            if marker.kind is Kind.WHITEOUT:
                yield from self._delete(marker.path, index)
            else:
                yield from self._clear(marker.path, index)
        for folder, entries in layer.folders.items():
            names = self._names.get(folder)
            if names is None:
                self._open(folder).update({entry.path: (entry, index) for entry in entries})
                continue
            for entry in entries:
                path = entry.path
                if path in names or path in self._names:
                    yield from self._replace(entry, names.get(path), index)
                names[path] = entry, index

    def visible(self) -> Iterator[tuple[Entry, int]]:
        """What is there, with the index of the layer that has it; in no particular order."""
        return chain.from_iterable(names.values() for names in self._names.values())

    def _open(self, folder: str) -> _Names:
        """The names of a folder that held none so far."""
        self._names[folder] = names = _Names()
        while folder:  # it, and those above it that are not known either
            above = posixpath.dirname(folder)
            inner = self._inner.get(above)
            if inner is not None:
                inner.add(folder)
                break
            self._inner[above] = {folder}
            self._names.setdefault(above, {})
            folder = above
        return names

    def _delete(self, path: str, index: int) -> Iterator[HiddenEntry]:
        found = self._names.get(posixpath.dirname(path), {}).pop(path, None)
        if found is not None:
            yield HiddenEntry(found[0], "deleted", found[1], index, path)
        for entry, layer in self._take_below(path):
            yield HiddenEntry(entry, "deleted", layer, index, path)

    def _clear(self, path: str, index: int) -> Iterator[HiddenEntry]:
        for entry, layer in self._take_below(path):
            yield HiddenEntry(entry, "hidden", layer, index, path)

    def _replace(self, entry: Entry, before: tuple[Entry, int] | None, index: int) -> Iterator[HiddenEntry]:
        """What `entry` hides where it takes the place of `before`; a folder in a file's place, and anything in a
        folder's, is no new version of what was there."""
        if before is not None and before[1] != index:
            replaced = (entry.kind is Kind.FOLDER) is not (before[0].kind is Kind.FOLDER)
            yield HiddenEntry(before[0], "hidden" if replaced else "overwritten", before[1], index, entry.path)
        if entry.kind is not Kind.FOLDER:
            yield from self._clear(entry.path, index)

    def _take_below(self, folder: str) -> Iterator[tuple[Entry, int]]:
        """Take everything out that lies below a folder."""
        if folder not in self._names:
            return
        self._inner.get(posixpath.dirname(folder), set()).discard(folder)
        pending = [folder]
        while pending:
            one = pending.pop()
            yield from self._names.pop(one, {}).values()
            pending.extend(self._inner.pop(one, ()))
        if not folder:  # the root itself is always there
            self._names[""], self._inner[""] = {}, set()
