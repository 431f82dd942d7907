"""The steps of the stages to build, the context paths they can use, and whether some could run at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ci_budget.core.dockerfile.expansion import Expander
from ci_budget.core.dockerfile.instructions import Instruction, Stage
from ci_budget.core.stages.environment import (
    Arguments,
    Environment,
    StageWalk,
    scratch_environment,
    unknown_environment,
)
from ci_budget.core.stages.plan import ContextSource, EdgeKind, PlannedStage, Step
from ci_budget.errors import ConfigError

MAX_SOURCES = 10_000
COUNTED = frozenset({"add", "copy", "run", "workdir"})


@dataclass(frozen=True, kw_only=True)
class Inherited:
    """A stage to build, with what it starts from: a stage (`base`), nothing (`empty`), or an image from outside.

    `triggers` are the ONBUILD instructions it takes over, `replaced` that a named context stands in for it.
    """

    stage: Stage
    base: int | None
    empty: bool
    triggers: tuple[Instruction, ...]
    replaced: bool


def walk_stages(
    stages: Sequence[Inherited], file: str, arguments: Arguments, expander: Expander
) -> tuple[dict[int, tuple[Step, ...]], tuple[ContextSource, ...]]:
    """The steps of each stage by its index, and the context paths of all, going through them in Dockerfile order.

    Raises ConfigError where an instruction's words cannot be expanded, and for more than 10,000 paths.
    """
    environments: dict[int, Environment] = {}
    steps: dict[int, tuple[Step, ...]] = {}
    sources: list[ContextSource] = []
    for inherited in stages:
        stage = inherited.stage
        environment = environments[stage.index] = _environment(inherited, environments)
        if inherited.replaced:
            continue
        walk = StageWalk(file=file, arguments=arguments, expander=expander, environment=environment)
        found: list[Step] = []
        for at, instruction in enumerate((*inherited.triggers, *stage.instructions)):
            is_trigger = at < len(inherited.triggers)
            numbered, used = walk.enter(instruction)
            if is_trigger or instruction.command in COUNTED:
                found.append(
                    Step(
                        instruction=instruction,
                        line=instruction.line,
                        end_line=instruction.end_line,
                        is_trigger=is_trigger,
                        numbered=numbered,
                    )
                )
            sources += [
                ContextSource(
                    command=path.command,
                    path=path.path,
                    text=path.text,
                    excludes=path.excludes,
                    parents=path.parents,
                    stage=stage.name,
                    stage_index=stage.index,
                    line=instruction.line,
                    unresolved=path.unresolved,
                )
                for path in used
            ]
            if len(sources) > MAX_SOURCES:
                what = f"the Dockerfile names more than {MAX_SOURCES} paths of the context"
                raise ConfigError(what, file=file, line=instruction.line)
        steps[stage.index] = tuple(found)
    return steps, tuple(sources)


def can_overlap(order: Sequence[PlannedStage]) -> bool:
    """True where two steps of different stages have no order between them, so that the engine may run both at once.

    `order` is the build order. A stage that copies from another may begin before that other has ended.
    """
    before: dict[int, int] = {}  # by stage: one bit for each step that has ended when the stage has
    count = 0
    for stage in order:
        start = next((edge.source for edge in stage.edges if edge.kind is EdgeKind.FROM), None)
        done = before.get(start, 0) if start is not None else 0
        needs: dict[int, list[int]] = {}
        for edge in stage.edges:
            needs.setdefault(edge.line, []).append(edge.source)
        for step in stage.steps:
            if not step.numbered:
                continue
            for source in needs.get(step.line, ()):
                done |= before.get(source, 0)
            if done != (1 << count) - 1:
                return True
            done |= 1 << count
            count += 1
        before[stage.index] = done
    return False


def _environment(inherited: Inherited, environments: dict[int, Environment]) -> Environment:
    if inherited.replaced:
        return unknown_environment()
    if inherited.base is not None:
        return environments[inherited.base].copy()
    return scratch_environment() if inherited.empty else unknown_environment()
