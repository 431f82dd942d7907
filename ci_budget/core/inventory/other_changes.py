"""What made a context larger, or brought a layer: a sentence each, for the metric's message."""

from __future__ import annotations

from ci_budget.core.inventory.context_record import smallest_recorded, was_ignored
from ci_budget.core.inventory.inputs import less_names
from ci_budget.core.inventory.model import ContextRecord, Inventory
from ci_budget.core.inventory.origins import Origins
from ci_budget.core.inventory.trees import Change, Listing, Tree, compare_trees
from ci_budget.core.text.plain_text import one_line, shorten
from ci_budget.core.text.units import format_delta

WHAT_CHANGED = "; what changed: "
"""Stands between a metric's own message and one of these sentences."""

_MOST = 3
_SHARE = 20  # a twentieth of the whole is worth a word


def tell_context(before: Inventory, after: Inventory) -> str:
    """`+3.15 MB src/model.bin (new), …`: what differs most in the build contexts; empty where that is not known."""
    if before.context is None or after.context is None:
        return ""
    old, new = _trees(before.context, after.context)
    rising = new.total >= old.total
    changes = sorted(compare_trees(old, new), key=lambda change: -change.delta if rising else change.delta)
    told = []
    for change in changes[:_MOST]:
        if (change.delta > 0) is rising and change.delta:
            sides = {(True, False): " (gone)", (False, True): " (new)"}
            word = sides.get((change.before is not None, change.after is not None), "")
            if change.before is None and was_ignored(before.context, change.path):
                word = " (no longer ignored)"
            told.append(f"{format_delta(change.delta, 'bytes')} {change.name.removeprefix('/')}{word}")
    left = new.total - old.total - sum(change.delta for change in changes)
    if (left > 0) is rising and abs(left) * _SHARE > abs(new.total - old.total):
        told.append(f"{format_delta(left, 'bytes')} in small files")
    return ", ".join(told)


def no_longer_ignored(before: Inventory, after: Inventory) -> list[Change]:
    """What is new in the build context, and was kept out of it by the ignore file of before."""
    if before.context is None or after.context is None:
        return []
    found = compare_trees(*_trees(before.context, after.context))
    return [one for one in found if one.before is None and was_ignored(before.context, one.path)]


def _trees(before: ContextRecord, after: ContextRecord) -> tuple[Tree, Tree]:
    contexts = before, after
    depth = min(context.folder_depth for context in contexts)
    smallest = max(smallest_recorded(context) for context in contexts)
    old, new = (Tree(Listing(one.folders, one.files, depth=depth, smallest=smallest), [0]) for one in contexts)
    return old, new


def tell_layers(before: Inventory, after: Inventory) -> str:
    """`line 4 brings one (`RUN make`), the base image has 2 more`: which layers came and went; empty where none did."""
    origins = Origins(*less_names(before, after))
    told = [f"{_place(line)} brings one ({_step(text)})" for text, line in origins.new_steps[:_MOST]]
    told += [f"{_step(text)} is gone" for text, _ in origins.gone_steps[:_MOST]]
    more = len(origins.new_steps) + len(origins.gone_steps) - len(told)
    base = sum(layer.inherited for layer in after.layers) - sum(layer.inherited for layer in before.layers)
    told += [f"{more} more came or went"] if more > 0 else []
    told += [f"the base image has {abs(base)} {'more' if base > 0 else 'fewer'}"] if base else []
    return ", ".join(told)


def _place(line: int | None) -> str:
    return f"line {line}" if line is not None else "a step"


def _step(text: str) -> str:
    said = text.removeprefix("RUN ").removeprefix("/bin/sh -c ").removesuffix("# buildkit").strip()
    run = "RUN " if text.startswith(("RUN ", "/bin/sh -c ")) else ""
    return f"`{run}{shorten(one_line(' '.join(said.split())), 60)}`"
