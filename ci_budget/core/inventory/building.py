"""From an image's layers to its inventory, no larger than a repository wants to keep."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ci_budget.core.dockerfile.instructions import Dockerfile
from ci_budget.core.inventory.model import (
    SMALLEST_FILE,
    BaseRecord,
    ContextRecord,
    DiveRecord,
    FileRecord,
    FolderRecord,
    InstructionRecord,
    Inventory,
    LayerRecord,
    PackageRecord,
    SameContent,
    StepRecord,
    WasteGroup,
    WasteRecord,
    WasteSums,
)
from ci_budget.core.inventory.storage import fits
from ci_budget.core.layers.dive import dive_figures
from ci_budget.core.layers.model import ImageLayers, Kind, Layer
from ci_budget.core.layers.stack import Cause
from ci_budget.core.layers.waste import Waste, WastedPath

LARGEST_INVENTORY = 1_000_000
_DETAILS = (
    (SMALLEST_FILE, 12), (128 * 2**10, 9), (256 * 2**10, 7), (2**20, 6), (4 * 2**20, 5), (16 * 2**20, 4), (2**26, 2),
    (2**30, 0),
)  # fmt: skip
_MOST_RECORDS = 60_000  # beyond it a million bytes are not enough, whatever the names are
_LONGEST = 4000
_MOST_WASTE = 200


@dataclass(frozen=True, kw_only=True)
class BuildFacts:
    """What an inventory says of a build, beside the image; empty for an image that was not built here.

    `platform`: as `linux/amd64`. `context_sha256`: of names, modes and contents that the build could use.
    """

    platform: str | None = None
    bases: Sequence[BaseRecord] = ()
    dockerfile_sha256: str | None = None
    instructions: Sequence[InstructionRecord] = ()
    context_sha256: str | None = None
    context: ContextRecord | None = None


def build_inventory(
    image: ImageLayers,
    packages: Sequence[PackageRecord],
    *,
    waste: Waste,
    facts: BuildFacts,
    owned: Collection[str] = frozenset(),
    owners: Mapping[str, int] = MappingProxyType({}),
    same_content: list[SameContent] | None = None,
) -> Inventory:
    """The inventory, in as much detail as fits into a million bytes when stored. `owned`: the packages' visible
    files; `owners`: of those that have records here, the package's index."""
    step_of = {step.layer: index for index, step in enumerate(image.history) if step.layer is not None}
    hides = waste.by_hiding_layer()
    hidden: list[set[str]] = [set() for _ in image.layers]
    for item in waste.items:
        hidden[item.wrote].add(item.path)
    inventory = Inventory(
        image_id=image.image_id,
        platform=None if facts.platform is None else shown_path(facts.platform),
        size=sum(layer.size for layer in image.layers),
        source=image.source,
        layers=[
            LayerRecord(
                diff_id=layer.diff_id,
                size=layer.size,
                files=len([None for entry in layer.entries if entry.kind is Kind.FILE]),
                inherited=index < image.inherited,
                step=step_of.get(index),
                hides=hides.get(index, 0),
            )
            for index, layer in enumerate(image.layers)
        ],
        steps=[
            StepRecord(created_by=shown_path(step.created_by), layer=step.layer, stage=step.stage, line=step.line)
            for step in image.history
        ],
        packages=list(packages),
        waste=_waste(waste),
        dive=_dive(image),
        bases=list(facts.bases),
        dockerfile_sha256=facts.dockerfile_sha256,
        instructions=list(facts.instructions),
        context_sha256=facts.context_sha256,
        context=facts.context,
        same_content=same_content,
    )
    mine = [_owned(layer, owned, unseen) for layer, unseen in zip(image.layers, hidden, strict=True)]
    sums, detailed = _folder_sums(image, mine), inventory
    for smallest, depth in _DETAILS:
        if _records(image, sums, smallest, depth) > _MOST_RECORDS:
            continue
        detailed = inventory.model_copy(
            update={
                "smallest_file": smallest,
                "files": _files(image, hidden, mine, owners, smallest),
                "folder_depth": depth,
                "folders": _folders(sums, depth),
            }
        )
        if fits(detailed, LARGEST_INVENTORY):
            break
    return detailed


def _waste(waste: Waste) -> WasteSums:
    sums = waste.by_cause()
    return WasteSums(
        overwritten=sums["overwritten"],
        deleted=sums["deleted"],
        hidden=sums["hidden"],
        groups=_waste_groups(waste),
        largest=[
            WasteRecord(
                path=shown_path(item.path),
                size=item.size,
                cause=item.cause,
                wrote=item.wrote,
                hid=item.hid,
                hid_by=shown_path(item.hid_by),
            )
            for item in waste.items[:_MOST_WASTE]
        ],
    )


def _waste_groups(waste: Waste) -> list[WasteGroup]:
    groups: dict[tuple[int, int, Cause], list[WastedPath]] = {}
    for item in waste.items:
        groups.setdefault((item.wrote, item.hid, item.cause), []).append(item)
    found = [
        WasteGroup(
            cause=cause,
            wrote=wrote,
            hid=hid,
            size=sum(one.size for one in items),
            files=len(items),
            largest=shown_path(items[0].path),
        )
        for (wrote, hid, cause), items in groups.items()
    ]
    return sorted(found, key=lambda one: (-one.size, one.wrote, one.hid))[:_MOST_WASTE]


def _dive(image: ImageLayers) -> DiveRecord:
    figures = dive_figures(image)
    return DiveRecord(efficiency=figures.efficiency, wasted_bytes=figures.wasted_bytes)


def describe_instructions(dockerfile: Dockerfile) -> list[InstructionRecord]:
    """Every instruction of every stage, FROM included, with the hash of its text."""
    found = []
    for stage in dockerfile.stages:
        start = f"FROM {stage.platform or ''} {stage.base}"
        found.append(InstructionRecord(stage=stage.name, line=stage.line, text_sha256=_hash(start)))
        found += [
            InstructionRecord(stage=stage.name, line=one.line, text_sha256=_hash(one.original))
            for one in stage.instructions
        ]
    return found


def shown_path(path: str) -> str:
    """A path or text of an image as JSON can hold it: undecodable bytes as `\\xNN`, lone surrogates as `\\uNNNN`."""
    if not path.isascii():
        try:
            path = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        except UnicodeEncodeError:  # from JSON, not from bytes
            path = path.encode("utf-8", "backslashreplace").decode()
    return path[:_LONGEST]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _owned(layer: Layer, owned: Collection[str], hidden: set[str]) -> set[str]:
    """The packages' files that a layer has and that no other one hides."""
    found = {entry.path for entry in layer.entries if entry.path in owned} if owned else set[str]()
    return found - hidden


def _files(
    image: ImageLayers,
    hidden: Sequence[Collection[str]],
    owned: Sequence[Collection[str]],
    owners: Mapping[str, int],
    smallest: int,
) -> list[FileRecord]:
    return [
        FileRecord(
            path=shown_path(entry.path),
            size=entry.size,
            layer=index,
            hidden=entry.path in hidden[index],
            owned=entry.path in owned[index],
            package=owners.get(entry.path) if entry.path in owned[index] else None,
        )
        for index, layer in enumerate(image.layers)
        for entry in layer.entries
        if entry.size >= smallest
    ]


def _records(image: ImageLayers, sums: _Sums, smallest: int, depth: int) -> int:
    """About how many files and folders a level of detail has."""
    files = sum(len([None for entry in layer.entries if entry.size >= smallest]) for layer in image.layers)
    return files + sum(folder.count("/") < depth for _, folder in sums)


_Sums = Mapping[tuple[int, str], tuple[int, int, int]]


def _folder_sums(image: ImageLayers, owned: Sequence[Collection[str]]) -> _Sums:
    """Bytes, regular files and packages' bytes directly in each folder of each layer."""
    sums: dict[tuple[int, str], tuple[int, int, int]] = {}
    for index, layer in enumerate(image.layers):
        mine = owned[index]
        for folder, entries in layer.folders.items():
            sizes = [entry.size for entry in entries if entry.kind is Kind.FILE]
            if sizes:
                part = sum([entry.size for entry in entries if entry.path in mine]) if mine else 0
                sums[index, folder] = sum(sizes), len(sizes), part
    return sums


def _folders(own: _Sums, depth: int) -> list[FolderRecord]:
    """All depths summed up, folders down to `depth` (the root is 0)."""
    levels: dict[int, dict[tuple[int, str], list[int]]] = {}
    for (index, folder), sums in own.items():
        levels.setdefault(folder.count("/") + 1 if folder else 0, {})[index, folder] = list(sums)
    for level in range(max(levels, default=0), 0, -1):  # each into the one above it
        above = levels.setdefault(level - 1, {})
        for (index, folder), (size, files, part) in levels.get(level, {}).items():
            total = above.setdefault((index, folder.rpartition("/")[0]), [0, 0, 0])
            total[0] += size
            total[1] += files
            total[2] += part
    shown = {key: sums for level, held in levels.items() if level <= depth for key, sums in held.items()}
    return [
        FolderRecord(path=shown_path(folder), layer=index, size=size, files=files, owned=part)
        for (index, folder), (size, files, part) in sorted(shown.items())
    ]
