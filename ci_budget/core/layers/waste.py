"""Bytes that every pull carries and no container can read: payload of all layers minus the visible payload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ci_budget.core.layers.model import Entry, ImageLayers, Kind
from ci_budget.core.layers.stack import Cause, HiddenEntry, Stack


@dataclass(frozen=True, slots=True)
class WastedPath:
    """A file's payload that an upper layer hides. `wrote`, `hid`: indices of the layers that wrote and hid it.

    `hid_by`: the path that hid it: its own where it was overwritten, a whiteout's, the folder that was made opaque.
    """

    path: str
    size: int
    cause: Cause
    wrote: int
    hid: int
    hid_by: str


@dataclass(frozen=True, kw_only=True)
class Waste:
    """All hidden payload of an image, largest first. Hard links of one layer are wasted only when all are hidden."""

    items: tuple[WastedPath, ...]

    @property
    def total(self) -> int:
        """Bytes."""
        return sum(item.size for item in self.items)

    def by_cause(self) -> Mapping[Cause, int]:
        """Bytes that were overwritten, deleted, and hidden by a folder that replaced another."""
        sums: dict[Cause, int] = {"overwritten": 0, "deleted": 0, "hidden": 0}
        for item in self.items:
            sums[item.cause] += item.size
        return sums

    def by_hiding_layer(self) -> Mapping[int, int]:
        """Bytes by the layer that hid them."""
        sums: dict[int, int] = {}
        for item in self.items:
            sums[item.hid] = sums.get(item.hid, 0) + item.size
        return sums


def measure_waste(image: ImageLayers) -> Waste:
    """The hidden payload of an image."""
    return survey(image)[1]


def survey(image: ImageLayers) -> tuple[list[tuple[Entry, int]], Waste]:
    """The visible entries with their layers' indices, in path order within a layer, and the waste; in one pass."""
    stack = Stack()
    hidden = [found for index, layer in enumerate(image.layers) for found in stack.add(index, layer)]
    gone = _hidden_links(hidden)
    groups = _groups(image)
    items = []
    for one in hidden:
        entry = one.entry
        if entry.kind is not Kind.FILE or entry.same_as is not None or entry.size == 0:
            continue
        links = groups.get((one.wrote, entry.path))
        if links is None:
            items.append(WastedPath(entry.path, entry.size, one.cause, one.wrote, one.hid, one.by_path))
        elif all((one.wrote, path) in gone for path in links):
            last = max((gone[one.wrote, path] for path in (entry.path, *links)), key=lambda found: found.hid)
            items.append(WastedPath(entry.path, entry.size, last.cause, one.wrote, last.hid, last.by_path))
    items.sort(key=lambda item: (-item.size, item.path, item.wrote))
    return list(stack.visible()), Waste(items=tuple(items))


def _hidden_links(hidden: list[HiddenEntry]) -> dict[tuple[int, str], HiddenEntry]:
    return {(one.wrote, one.entry.path): one for one in hidden}


def _groups(image: ImageLayers) -> dict[tuple[int, str], list[str]]:
    """By layer and carrying path: the other hard links."""
    groups: dict[tuple[int, str], list[str]] = {}
    for index, layer in enumerate(image.layers):
        for entry in layer.entries:
            if entry.same_as is not None:
                groups.setdefault((index, entry.same_as), []).append(entry.path)
    return groups
