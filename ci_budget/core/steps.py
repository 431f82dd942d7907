"""From the engine's name of a step (`[builder 2/5] RUN make`) to the place in the Dockerfile.

The names are made by `prefixCommand` in BuildKit's `frontend/dockerfile/dockerfile2llb/convert.go`: platform where
several were asked for, stage (none in a file of one stage), number, total, `ONBUILD` or `LINK`, then the text of the
instruction with its variables replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ci_budget.core.stage_plan import PlannedStage, StagePlan, Step

_NAME = re.compile(
    r"\[(?:[a-z0-9]+/[^ \]]+ )?(?:(?P<stage>[a-z][a-z0-9_.-]*) )? *"
    r"(?P<number>\d{1,6})/(?P<total>\d{1,6})\] (?P<text>.*)",
    re.DOTALL,
)
_COUNTED = re.compile(r"\s*(?:add|copy|run|workdir)\s", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class StepLocation:
    """Where a step stands: stage, 1-based inclusive lines, and the instruction's command (`from`, `run`, ...).

    ONBUILD triggers stand on the FROM that brings them in.
    """

    stage: str
    stage_index: int
    line: int
    end_line: int
    command: str


def locate_step(
    plan: StagePlan, vertex_name: str, onbuild: Mapping[int, Sequence[str]] | None = None
) -> StepLocation | None:
    """The place of a step, None for internal work and for a name that fits no stage of the plan.

    `onbuild` has, by stage index, the ONBUILD triggers of the image from outside that the stage starts from
    (`Config.OnBuild`). Without it the place is still found in nearly all cases, by comparing texts.
    """
    match = _NAME.fullmatch(vertex_name)
    if match is None:
        return None
    number, total, text = int(match["number"]), int(match["total"]), match["text"]
    candidates = [
        stage
        for stage in plan.order
        if stage.total <= total and (stage.name == match["stage"] or (match["stage"] is None and len(plan.stages) == 1))
    ]
    candidates.sort(key=lambda stage: total - stage.total)
    for stage in candidates:
        triggers = (onbuild or {}).get(stage.index, ())
        found = _locate_in(stage, number, total - stage.total, text, triggers)
        if found is not None:
            return found
    return None


def _locate_in(stage: PlannedStage, number: int, extra: int, text: str, triggers: Sequence[str]) -> StepLocation | None:
    """Find the step of one stage. `extra` is how many triggers the image from outside brought in."""
    if text.upper().startswith("FROM "):
        return _at_from(stage, "from") if stage.counts_from and number == 1 else None
    if text.startswith("ONBUILD "):
        return _at_from(stage, "onbuild")
    own = [step for step in stage.steps if step.numbered]
    for shift in _shifts(stage, extra, triggers):
        at = number - shift - 1
        if 0 <= at < len(own) and _fits(own[at], text):
            step = own[at]
            command = "onbuild" if step.is_trigger else step.instruction.command
            return StepLocation(
                stage=stage.name, stage_index=stage.index, line=step.line, end_line=step.end_line, command=command
            )
    return _at_from(stage, "onbuild") if extra and number <= extra + 1 else None


def _shifts(stage: PlannedStage, extra: int, triggers: Sequence[str]) -> Iterator[int]:
    """How many numbers may be taken before the stage's own steps, the likeliest first."""
    likely = min(sum(1 for trigger in triggers if _COUNTED.match(trigger)), extra) if triggers else extra
    begin = int(stage.numbers_from)
    yield begin + likely
    for other in range(extra + int(stage.counts_from) + 1):
        if other != begin + likely:
            yield other


def _fits(step: Step, text: str) -> bool:
    """Whether the engine's text can be that of the step: the same command, the same words where nothing is replaced."""
    text = text.removeprefix("LINK ")
    words, shown = step.instruction.original.split("\n", 1)[0].split(), text.split("\n", 1)[0].split()
    if not words or not shown or words[0].upper() != shown[0].upper():
        return False
    for word, seen in zip(words[1:], shown[1:], strict=False):
        if re.search(r"[$'\"\\`<]", word):
            return True
        if word != seen:
            return False
    return len(words) == len(shown)


def _at_from(stage: PlannedStage, command: str) -> StepLocation:
    return StepLocation(
        stage=stage.name,
        stage_index=stage.index,
        line=stage.line,
        end_line=stage.from_end_line,
        command=command,
    )
