"""What may use a build context: all that a rule needs to tell spare files from others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ci_budget.core.context.ignore import IgnoreRules
from ci_budget.core.context.measured import ContextMeasure
from ci_budget.core.dockerfile.instructions import Dockerfile, Stage
from ci_budget.core.stages.plan import ContextSource


@dataclass(frozen=True, kw_only=True)
class ContextUse:
    """A measured context, and everything that may use it.

    `sources`: of every stage of every Dockerfile that shares the ignore file. `commands`: the texts of their RUN, CMD
    and the like. `texts`: program texts of the context by path, None where there are too many to read. `needed`:
    Dockerfiles and ignore files, relative to the context. `ignore_file`: its path as a person names it. `sweeping`: of
    each stage that takes all of the context along, its instructions and those of the stages above and below it.
    `kept`: what the ignore file keeps on purpose, its lines that begin with `!`.
    """

    measure: ContextMeasure
    sources: tuple[ContextSource, ...]
    commands: tuple[str, ...] = ()
    texts: Mapping[str, str] | None = field(default_factory=dict)
    needed: frozenset[str] = frozenset()
    ignore_file: str = ".dockerignore"
    sweeping: tuple[str, ...] = ()
    kept: IgnoreRules = field(default_factory=IgnoreRules)

    @property
    def sweeps(self) -> tuple[ContextSource, ...]:
        """The sources that take all of the context along."""
        return tuple(source for source in self.sources if takes_all(source))


def read_sweeping(dockerfile: Dockerfile, sources: Iterable[ContextSource]) -> list[str]:
    """The `sweeping` of a Dockerfile: `sources` are all that its stages name of the context."""
    above = [_base_of(dockerfile, stage) for stage in dockerfile.stages]
    lines = [_line_of(stage.index, above) for stage in dockerfile.stages]
    return [
        "\n".join(
            one.original
            for stage in dockerfile.stages
            if stage.index in lines[index] or index in lines[stage.index]
            for one in stage.instructions
        )
        for index in dict.fromkeys(source.stage_index for source in sources if takes_all(source))
    ]


def _base_of(dockerfile: Dockerfile, stage: Stage) -> int | None:
    """The index of the stage that a stage starts from, None where that is an image from outside."""
    below = dockerfile.stages[: stage.index]
    return next((one.index for one in reversed(below) if one.named and one.name == stage.base.lower()), None)


def _line_of(index: int | None, above: Sequence[int | None]) -> set[int]:
    """A stage and those that it starts from."""
    found = set[int]()
    while index is not None:
        found.add(index)
        index = above[index]
    return found


def takes_all(source: ContextSource) -> bool:
    """Whether a source takes all of the context along, and so names nothing of it."""
    return source.path in (".", "*", "**") or (source.parents and source.text.rstrip("/") in ("", ".", "/.", "*"))
