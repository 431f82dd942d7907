"""The place of a step: by the engine's provenance where it has one, else by the step's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ci_budget.core.stages.plan import StagePlan
from ci_budget.core.stages.step_names import locate_step

LocatedBy = Literal["provenance", "names"]


@dataclass(frozen=True, kw_only=True)
class StepPlace:
    """Stage and Dockerfile line of a step, and who said so; all None where nobody knows."""

    stage: str | None = None
    line: int | None = None
    by: LocatedBy | None = None


def place_step(
    plan: StagePlan,
    name: str,
    onbuild: Mapping[int, Sequence[str]] | None = None,
    *,
    likeliest: int,
    lines: Sequence[tuple[int, int]] = (),
) -> StepPlace:
    """The place of the step `name`, met while the stage `likeliest` was built.

    `lines`: what the provenance says, one range for each instruction that asks for this very step. Where the name
    leads to one of them, or there is no other, that is it; a name without provenance is taken at its word.
    """
    named = locate_step(plan, name, onbuild, likeliest=likeliest)
    if not lines:
        return StepPlace() if named is None else StepPlace(stage=named.stage, line=named.line, by="names")
    if named is not None and any(start <= named.line <= end for start, end in lines):
        return StepPlace(stage=named.stage, line=named.line, by="provenance")
    line = lines[0][0]
    stage = next((one.name for one in plan.stages if one.line <= line <= one.end_line), None)
    return StepPlace(stage=stage, line=line, by="provenance")
