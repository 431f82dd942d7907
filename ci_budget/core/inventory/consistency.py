"""Whether an inventory agrees with itself: it may have been edited, or written by something else."""

from __future__ import annotations

from collections.abc import Iterator

from ci_budget.core.inventory.model import Inventory


def find_contradiction(inventory: Inventory) -> str | None:
    """What cannot be so, as the end of a sentence; None where sums add up and every index leads somewhere."""
    layers, steps = len(inventory.layers), len(inventory.steps)
    whole = sum(layer.size for layer in inventory.layers)
    if whole != inventory.size:
        return f"its size is {inventory.size:,} bytes, and its layers have {whole:,}"
    if (highest := max(_layers(inventory), default=-1)) >= layers:
        return f"it names layer {highest} of {layers}, counted from 0"
    if (highest := max((one.step for one in inventory.layers if one.step is not None), default=-1)) >= steps:
        return f"it names step {highest} of {steps}, counted from 0"
    if not inventory.folders:
        return None
    roots = {one.layer: one for one in inventory.folders if not one.path}
    for index, layer in enumerate(inventory.layers):
        held = roots[index].size if index in roots else 0
        if held != layer.size:
            return f"layer {index} has {layer.size:,} bytes, and its folders have {held:,}"
    if over := next((one for one in inventory.folders if one.owned > one.size), None):
        return f"the packages in /{over.path} are larger than all that it holds"
    return None


def _layers(inventory: Inventory) -> Iterator[int]:
    """Every index of a layer that it names."""
    for records in (inventory.files, inventory.folders, inventory.packages):
        yield from (one.layer for one in records)
    yield from (one.layer for one in inventory.steps if one.layer is not None)
    waste = inventory.waste
    if waste is not None:
        yield from (layer for one in waste.groups for layer in (one.wrote, one.hid))
        yield from (layer for one in waste.largest for layer in (one.wrote, one.hid))
