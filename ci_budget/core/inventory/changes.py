"""What makes one image larger or smaller than another: by package and path, with the step, and whose doing it is.

Every byte of an image counts once: as a file of a package, or in the layer that holds it. So the contributors add up
to the difference of the two sizes.
"""

from __future__ import annotations

from collections.abc import Iterator

from ci_budget.core.inventory.causes import Causes
from ci_budget.core.inventory.inputs import less_names
from ci_budget.core.inventory.model import Inventory
from ci_budget.core.inventory.origins import Group, Origins, Place
from ci_budget.core.inventory.other_changes import no_longer_ignored
from ci_budget.core.inventory.package_pairs import PackagedFiles, pair_packages
from ci_budget.core.inventory.trees import Change, Listing, Tree, compare_trees
from ci_budget.core.records.report import Contributor

REST = "other files"
"""The name of what is too small to be told apart."""

_MOST = 40
_SHARE = 100  # a hundredth of the largest movement is worth a line
_LEAST = 1000
_NEARLY_ALL = 80  # percent


def compare(before: Inventory, after: Inventory) -> list[Contributor]:
    """What changed, what moves in the direction of the whole difference first, largest first; sizes in bytes.

    The deltas add up to `after.size - before.size`. `kind` is `base-drift` (another image under the same FROM),
    `dependency-drift` (other content from the same Dockerfile text and the same files) or `this-change`. `line` is
    the line in the Dockerfile of `after`, `cause` the other instruction that is behind it, where that is certain.
    `before` or `after` is None for what is not there on that side.
    """
    before, after = less_names(before, after)
    origins, causes = Origins(before, after), Causes(before, after)
    hidden = _newly_hidden(before, after, origins)
    packages, hidden = _less_what_is_hidden(list(_packages(before, after, origins, causes)), hidden)
    found = [*packages, *_paths(before, after, origins, causes), *_written_again(hidden, before, after, origins)]
    found = _with_ignored(_with_causes(found, causes), before, after)
    total = after.size - before.size
    least = max(_LEAST, max((abs(item.delta) for item in found), default=0) // _SHARE)
    named = [item for item in found if abs(item.delta) >= least and item.name != REST]
    named.sort(key=lambda item: (item.delta * total < 0, -abs(item.delta), item.name))
    kept = named[:_MOST]
    rest = {kind: sum(item.delta for item in found if item.kind == kind) for kind in {item.kind for item in found}}
    for item in kept:
        rest[item.kind] -= item.delta
    rest["this-change"] = rest.get("this-change", 0) + total - sum(item.delta for item in found)
    lines = [_rest(kind, delta) for kind, delta in sorted(rest.items()) if delta]
    return kept + sorted(lines, key=lambda item: -abs(item.delta))


def _with_causes(found: list[Contributor], causes: Causes) -> list[Contributor]:
    whole: dict[tuple[str | None, int | None], int] = {}
    for item in found:
        whole[item.stage, item.line] = whole.get((item.stage, item.line), 0) + item.delta
    told = []
    for item in found:
        place = item.stage, item.line
        others = [size for other, size in whole.items() if other != place]
        behind = causes.find(*place, item.delta, whole[place], others)
        told.append(
            item.model_copy(
                update={
                    "cause": behind.cause or item.cause,
                    "changed_line": behind.changed_line,
                    "changed": behind.changed,
                    "kind": behind.drifted or item.kind,
                }
            )
        )
    return told


def _with_ignored(found: list[Contributor], before: Inventory, after: Inventory) -> list[Contributor]:
    """What came with a COPY, by its name and to the byte, since the ignore file leaves it out no more."""
    sent = {(change.path.rpartition("/")[2], change.after) for change in no_longer_ignored(before, after)}
    return [
        item.model_copy(update={"was_ignored": True})
        if item.before is None and item.kind == "this-change" and (_last_part(item.name), item.after) in sent
        else item
        for item in found
    ]


def _last_part(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]


def _rest(kind: str, delta: int) -> Contributor:
    return Contributor(kind=kind, name=REST, before=None, after=None, delta=delta)


def _contributor(name: str, before: int | None, after: int | None, place: Place) -> Contributor:
    return Contributor(
        kind=place.kind,
        name=name,
        before=before,
        after=after,
        delta=(after or 0) - (before or 0),
        stage=place.stage,
        line=place.line,
        cause=place.cause,
    )


def _packages(before: Inventory, after: Inventory, origins: Origins, causes: Causes) -> Iterator[Contributor]:
    files = PackagedFiles(before, after)
    for one in pair_packages(before, after):
        then, now = one.sizes
        if (then or 0) != (now or 0):
            place = origins.of_new(one.layer) if one.new else _gone(one.layer, origins, causes)
            found = _contributor(one.name, then, now, place)
            same = {item.version for item in one.old} == {item.version for item in one.new}
            yield found.model_copy(update={"inside": files.moved(one.old, one.new)}) if same else found


def _newly_hidden(before: Inventory, after: Inventory, origins: Origins) -> int:
    """Bytes that layers of both images hold for packages on one side alone, since only what is visible is a package's:
    a later step hid them in `after` (less what one hid in `before`). They make no difference to the size."""
    sums = [
        sum(one.size - one.owned for one in side.folders if not one.path and one.layer in layers)
        for side, layers in (
            (before, {layer for group in origins.groups if group.identical for layer in group.old}),
            (after, {layer for group in origins.groups if group.identical for layer in group.new}),
        )
    ]
    return sums[1] - sums[0]


def _less_what_is_hidden(packages: list[Contributor], hidden: int) -> tuple[list[Contributor], int]:
    """The packages without those that a later step took files from (or no longer takes): the layer below keeps every
    byte. The bytes that no package lost: they were written again."""
    kept = []
    for item in sorted(packages, key=lambda one: -abs(one.delta)):
        if " -> " not in item.name and item.delta * hidden < 0 and abs(item.delta) <= abs(hidden):
            hidden += item.delta
        else:
            kept.append(item)
    return kept, hidden


def _written_again(size: int, before: Inventory, after: Inventory, origins: Origins) -> Iterator[Contributor]:
    """Files of packages that a step of one image writes again, as chmod and upgrades do: the layer with most of them,
    and the folder that holds nearly all."""
    side, at = (after, 1) if size > 0 else (before, 0)
    layers = {layer for group in origins.groups if not group.identical for layer in (group.old, group.new)[at]}
    owned = {one.layer: one.owned for one in side.folders if not one.path and one.layer in layers}
    layer = max(owned, key=lambda one: owned[one], default=None)
    if not size or layer is None or not owned[layer]:
        return
    held = {one.path: one.owned for one in side.folders if one.layer == layer}
    path = max((path for path in held if held[path] * 100 >= held[""] * _NEARLY_ALL), key=len)
    place = origins.of_new(layer) if size > 0 else origins.of_old(layer)
    then, now = (None, size) if size > 0 else (-size, None)
    yield _contributor(f"/{path}/" if path else "/", then, now, place)


def _paths(before: Inventory, after: Inventory, origins: Origins, causes: Causes) -> Iterator[Contributor]:
    """What belongs to no package: path by path, and what no path explains as a rest, step by step."""
    depth = min(before.folder_depth, after.folder_depth)
    smallest = max(before.smallest_file, after.smallest_file)
    listings = [Listing(side.folders, side.files, depth=depth, smallest=smallest) for side in (before, after)]
    for group in (one for one in origins.groups if not one.identical):
        old, new = (Tree(listing, layers) for listing, layers in zip(listings, (group.old, group.new), strict=True))
        explained = 0
        for change in compare_trees(old, new):
            explained += change.delta
            yield _contributor(
                change.name, change.before, change.after, _place(change, group, (old, new), origins, causes)
            )
        if left := new.total - old.total - explained:
            yield Contributor(kind=group.place.kind, name=REST, before=None, after=None, delta=left)


def _place(change: Change, group: Group, sides: tuple[Tree, Tree], origins: Origins, causes: Causes) -> Place:
    layers = [side.layer_of(change) for side in sides]
    if layers[1] is not None:
        return origins.of_new(layers[1])
    return group.place if group.place.line is not None or layers[0] is None else _gone(layers[0], origins, causes)


def _gone(layer: int, origins: Origins, causes: Causes) -> Place:
    """The place of what is gone with a layer of the older image: at the step that stands where that one's stood."""
    place = origins.of_old(layer)
    if place.line is not None:
        return place
    twin, gone = causes.find_gone(*origins.old_position(layer))
    return Place(place.kind, twin.stage, twin.line) if twin is not None else Place(place.kind, cause=gone)
