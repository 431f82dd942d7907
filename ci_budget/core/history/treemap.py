"""Where an image's bytes lie, by step and path: a tree of at most a few hundred boxes, from the image's inventory."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from pydantic import Field

from ci_budget.core.inventory.model import Inventory, LayerRecord
from ci_budget.core.records.report import Stored
from ci_budget.core.text.plain_text import one_line, shorten

SMALLEST_SHARE: Final = 1 / 250
"""Of the image's bytes: what is smaller is put together with its neighbours."""

DEEPEST: Final = 5
_LONGEST: Final = 120


class Box(Stored):
    """A part of the image, in bytes; its `children` add up to it, or there are none."""

    name: str = Field(max_length=400)
    size: int = Field(ge=0)
    children: list[Box] = Field(default_factory=list, max_length=400)


def image_treemap(inventory: Inventory) -> Box:
    """The image by step, then by path as far as the inventory's folders and files go. The base is one box."""
    smallest = max(1, int(inventory.size * SMALLEST_SHARE))
    own = [(number, layer) for number, layer in enumerate(inventory.layers) if not layer.inherited]
    boxes = [_layer_box(inventory, [number], _step_name(inventory, layer), smallest) for number, layer in own]
    base = [number for number, layer in enumerate(inventory.layers) if layer.inherited]
    if base:
        boxes.insert(
            0, _layer_box(inventory, base, f"base image, {len(base)} layer{'' if len(base) == 1 else 's'}", smallest)
        )
    return Box(name="image", size=sum(box.size for box in boxes), children=_gathered(boxes, smallest, "steps"))


def _layer_box(inventory: Inventory, layers: list[int], name: str, smallest: int) -> Box:
    """One box for these layers, with the folders that they wrote into."""
    wanted = set(layers)
    sizes: dict[str, int] = defaultdict(int)
    below: dict[str, set[str]] = defaultdict(set)
    for folder in inventory.folders:
        if folder.layer in wanted:
            sizes[folder.path] += folder.size
    for path in sizes:
        if path:
            below[_known_parent(path, sizes)].add(path)
    files: dict[str, dict[str, int]] = defaultdict(dict)
    for file in inventory.files:
        if file.layer in wanted:
            inside = files[_known_parent(file.path, sizes)]
            inside[file.path] = inside.get(file.path, 0) + file.size

    def fill(path: str, label: str, size: int, depth: int) -> Box:
        if depth >= DEEPEST or size < 2 * smallest:
            return Box(name=_shown(label), size=size)
        children = [
            fill(sub, sub.removeprefix(path).lstrip("/") + "/", sizes[sub], depth + 1) for sub in sorted(below[path])
        ]
        children += [Box(name=_shown(file.rpartition("/")[2]), size=bytes_) for file, bytes_ in files[path].items()]
        children = _gathered(children, smallest, "entries")
        rest = size - sum(child.size for child in children)
        if rest > 0 and children:
            children.append(Box(name="small files", size=rest))
        if rest < 0:  # sums that do not add up are not drawn
            children = []
        if depth and len(children) == 1:  # a folder with nothing beside it: one box for both
            return Box(name=_shown(label + children[0].name), size=size, children=children[0].children)
        return Box(name=_shown(label), size=size, children=children)

    return fill("", name, sum(inventory.layers[number].size for number in layers), 0)


def _gathered(boxes: list[Box], smallest: int, what: str) -> list[Box]:
    """The large boxes, largest first; the small ones as one."""
    large = sorted((box for box in boxes if box.size >= smallest), key=lambda box: (-box.size, box.name))
    small = [box for box in boxes if 0 < box.size < smallest]
    if len(small) > 1:
        return [*large, Box(name=f"{len(small)} smaller {what}", size=sum(box.size for box in small))]
    return large + small


def _known_parent(path: str, known: dict[str, int]) -> str:
    """The nearest folder above `path` that has a sum of its own; the root at last."""
    parent = path
    while parent:
        parent = parent.rpartition("/")[0]
        if parent in known:
            break
    return parent


def _step_name(inventory: Inventory, layer: LayerRecord) -> str:
    if layer.step is None or layer.step >= len(inventory.steps):
        return "a step that the image does not name"
    step = inventory.steps[layer.step]
    place = f"{step.stage}:{step.line} " if step.stage and step.line else ""
    return f"{place}{step.created_by}"


def _shown(text: str) -> str:
    return shorten(one_line(text), _LONGEST)
