"""What each instruction of a stage left there, in bytes, from the layers of the stage as an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ci_budget.core.inventory.model import InstructionRecord
from ci_budget.core.layers.model import ImageLayers
from ci_budget.core.layers.places import place_steps
from ci_budget.core.measurement.recording import BuiltStage
from ci_budget.core.stages.plan import EdgeKind, StagePlan


def record_kept(
    records: Sequence[InstructionRecord], plan: StagePlan, built: Mapping[int, BuiltStage]
) -> list[InstructionRecord]:
    """The records with `kept`, for the instructions of the stages that were read; `built`: stages by their index."""
    found: dict[tuple[str, int], int] = {}
    for index, stage in built.items():
        found |= _kept(plan, index, stage)
    return [record.model_copy(update={"kept": found.get((record.stage, record.line))}) for record in records]


def _kept(plan: StagePlan, index: int, stage: BuiltStage) -> dict[tuple[str, int], int]:
    """By stage and line; empty where a layer has no known place, for then the others' may be wrong as well."""
    image = ImageLayers(image_id=stage.image_id, layers=(), history=stage.history, inherited=stage.inherited)
    places = {one.layer: one for one in place_steps(image, plan, index).history if one.layer is not None}
    sums: dict[tuple[str, int], int] = {}
    for layer, size in enumerate(stage.layer_sizes):
        place = places.get(layer)
        if layer < stage.inherited:
            continue
        if place is None or place.stage is None or place.line is None:
            return {}
        sums[place.stage, place.line] = sums.get((place.stage, place.line), 0) + size
    lowest = plan.stages[index]
    while not lowest.replaced and (below := [one.source for one in lowest.edges if one.kind is EdgeKind.FROM]):
        sums.setdefault((lowest.name, lowest.line), 0)
        lowest = plan.stages[below[0]]
    sums[lowest.name, lowest.line] = sum(stage.layer_sizes[: stage.inherited])
    return sums if stage.layer_sizes else {}
