"""From the engine's name of a step (`[builder 2/5] RUN make`) to the place in the Dockerfile.

The names are made by `prefixCommand` in BuildKit's `frontend/dockerfile/dockerfile2llb/convert.go`: platform where
several were asked for, stage (none in a file, or a cut copy of it, that has one only), number, total, `ONBUILD` or
`LINK`, then the text of the instruction with its variables replaced. A step that several builds share at the same
time bears the name which one of them gave it: names are sure only where nothing else builds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from ci_budget.core.stages.plan import PlannedStage, StagePlan, Step

_NAME = re.compile(
    r"\[(?:[a-z0-9]+/[^ \]]+ )?(?:(?P<stage>[a-z][a-z0-9_.-]*) )? *"
    r"(?P<number>\d{1,6})/(?P<total>\d{1,6})\] (?P<text>.*)",
    re.DOTALL,
)
_SPECIAL = re.compile(r"[$'\"\\`]")
_COUNTED = re.compile(r"\s*(?:add|copy|run|workdir)\s", re.IGNORECASE)


class _Fit(Enum):
    NONE = auto()
    POSSIBLE = auto()
    EQUAL = auto()


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
    plan: StagePlan,
    vertex_name: str,
    onbuild: Mapping[int, Sequence[str]] | None = None,
    *,
    likeliest: int | None = None,
) -> StepLocation | None:
    """The place of a step, None for internal work and for a name that fits no stage of the plan.

    `onbuild` has, by stage index, the ONBUILD triggers of the image from outside that the stage starts from
    (`Config.OnBuild`). Without it the place is still found in nearly all cases, by comparing texts. `likeliest` is the
    index of the stage to take where stages of one name have the same step.
    """
    match = _NAME.fullmatch(vertex_name)
    if match is None:
        return None
    number, total, text = int(match["number"]), int(match["total"]), match["text"]
    candidates = [
        stage
        for stage in plan.order
        if stage.total <= total and (stage.name == match["stage"] or (match["stage"] is None and stage.index == 0))
    ]
    candidates.sort(key=lambda stage: (total - stage.total, stage.index != likeliest))
    for stage in candidates:
        triggers = (onbuild or {}).get(stage.index, ())
        found = _locate_in(stage, number, total - stage.total, text, triggers)
        if found is not None:
            return found
    return None


def _locate_in(stage: PlannedStage, number: int, extra: int, text: str, triggers: Sequence[str]) -> StepLocation | None:
    """Find the step of one stage. `extra` is how many triggers the image from outside brought in."""
    if text.upper().startswith("FROM "):
        return _at_from(stage, "from") if stage.counts_from else None
    if text.startswith("ONBUILD "):
        return _at_from(stage, "onbuild")
    own = [step for step in stage.steps if step.numbered]
    fitting: dict[_Fit, Step] = {}
    for position, shift in enumerate(_shifts(stage, extra, triggers)):
        at = number - shift - 1
        fit = _fit(own[at], text) if 0 <= at < len(own) else _Fit.NONE
        if fit is _Fit.NONE:
            continue
        fitting.setdefault(fit, own[at])
        if position == 0 and (triggers or not extra):
            break
    found = fitting.get(_Fit.EQUAL) or fitting.get(_Fit.POSSIBLE)
    if found is not None:
        command = "onbuild" if found.is_trigger else found.instruction.command
        return StepLocation(
            stage=stage.name, stage_index=stage.index, line=found.line, end_line=found.end_line, command=command
        )
    return _at_from(stage, "onbuild") if extra and number <= extra + 1 else None


def _shifts(stage: PlannedStage, extra: int, triggers: Sequence[str]) -> Iterator[int]:
    """How many numbers may be taken before the stage's own steps, the likeliest first."""
    likely = min(sum(1 for trigger in triggers if _COUNTED.match(trigger)), extra) if triggers else extra
    begin = int(stage.numbers_from)
    yield begin + likely
    # The engine counts a FROM twice in a stage that only an ONBUILD trigger makes it reach.
    for other in range(extra + 2 * int(stage.counts_from) + 1):
        if other != begin + likely:
            yield other


def _fit(step: Step, text: str) -> _Fit:
    """Whether the engine's text can be that of the step: the same command, and the same words up to the first one
    with a variable, a quote or an escape in it. Behind a heredoc the engine shows the start of its content."""
    text = text.removeprefix("LINK ")
    words, shown = step.instruction.original.split("\n", 1)[0].split(), text.split("\n", 1)[0].split()
    if not words or not shown or words[0].upper() != shown[0].upper():
        return _Fit.NONE
    for word, seen in zip(words[1:], shown[1:], strict=False):
        special = _SPECIAL.search(word)
        if special is not None:
            return _Fit.POSSIBLE if seen.startswith(word[: special.start()]) else _Fit.NONE
        if word != seen:
            return _Fit.NONE
    surplus = len(shown) - len(words)
    fits = surplus >= 0 if step.instruction.heredocs else surplus == 0
    return _Fit.EQUAL if fits else _Fit.NONE


def _at_from(stage: PlannedStage, command: str) -> StepLocation:
    return StepLocation(
        stage=stage.name,
        stage_index=stage.index,
        line=stage.line,
        end_line=stage.from_end_line,
        command=command,
    )
