"""What a build of a Dockerfile's target comes to: stages, edges, images from outside, paths of the context, steps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ci_budget.core.dockerfile.instructions import Instruction
from ci_budget.errors import UnmeasuredError


class EdgeKind(StrEnum):
    """How one stage uses another, or an image."""

    FROM = "from"
    COPY = "copy"
    MOUNT = "mount"


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A stage (`user`, an index) needs another (`source`, an index); `line` is where it says so."""

    kind: EdgeKind
    source: int
    user: int
    line: int


@dataclass(frozen=True, kw_only=True)
class External:
    """An image from outside that a reached stage starts from, copies from or mounts.

    `reference` is written out as the engine does, `written` is the Dockerfile's text. `platform` is None for the
    platform of the build. `used` is False where the engine only looks the image up: it must be there, but no step
    reads it (a stage that a named context replaces still has its images looked up).
    """

    reference: str
    written: str
    pinned: bool
    kind: EdgeKind
    stage: str
    stage_index: int
    line: int
    platform: str | None
    used: bool


@dataclass(frozen=True, kw_only=True)
class ContextSource:
    """A path (or pattern) of the build context that COPY, ADD or a bind mount of a stage can use.

    `path` is clean and relative to the context, `.` is all of it. `text` is the same as written, with variables
    replaced: `--parents` sees a difference. `excludes` and `parents` are COPY's and ADD's flags. `unresolved` names
    variables whose value only the base image knows: where there are any, the path may be anything.
    """

    command: str
    path: str
    text: str
    excludes: tuple[str, ...]
    parents: bool
    stage: str
    stage_index: int
    line: int
    unresolved: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a stage after its FROM, in order. Lines are those of the FROM where `is_trigger` (ONBUILD).

    `numbered`: the engine gives it a number and runs it. `WORKDIR /` and metadata triggers are counted in the
    total only.
    """

    instruction: Instruction
    line: int
    end_line: int
    is_trigger: bool
    numbered: bool


@dataclass(frozen=True, kw_only=True)
class PlannedStage:
    """A stage as this build sees it.

    `base` is as written, `image` its expanded form. `platform` is that of its `--platform`, expanded. `reached`: the
    target needs it. `replaced`: a named context stands in for it, so that none of it is built. `target_name` is
    what `--target` takes for it, None for an unnamed stage and for one whose name a later stage has, too.
    `counts_from`: its FROM counts in the total of steps; `numbers_from`: it also takes number 1.
    """

    index: int
    name: str
    line: int
    end_line: int
    from_end_line: int
    base: str
    image: str
    platform: str | None
    reached: bool
    replaced: bool
    target_name: str | None
    edges: tuple[Edge, ...]
    steps: tuple[Step, ...]
    counts_from: bool
    numbers_from: bool

    @property
    def total(self) -> int:
        """The engine's M in `[stage N/M]`, without the ONBUILD triggers of an image from outside."""
        return self.counts_from + len(self.steps)


@dataclass(frozen=True, kw_only=True)
class StagePlan:
    """The build of one target.

    `target` is its index, `platform` the one that it is built for. `order` are the stages to build, one after the
    other: dependencies first, then as in the Dockerfile. `parallel_possible`: steps of two of them could run at the
    same time. `contexts` are the named contexts in use, as they were given. `stage_argument` is what TARGETSTAGE is
    in an ordinary build of the target, None where the Dockerfile never mentions it: builds of single stages must be
    given it to run the same steps.
    """

    file: str
    stages: tuple[PlannedStage, ...]
    target: int
    platform: str
    order: tuple[PlannedStage, ...]
    externals: tuple[External, ...]
    context_sources: tuple[ContextSource, ...]
    contexts: tuple[str, ...]
    parallel_possible: bool
    stage_argument: str | None

    def own_platforms(self) -> dict[str, str]:
        """The platforms of the images from outside whose FROM names one, by reference.

        Raises UnmeasuredError where one reference is needed for two platforms: an engine has one image of a name, and
        the other would be fetched while the build is measured.
        """
        needed: dict[str, External] = {}
        for external in self.externals:
            first = needed.setdefault(external.reference, external)
            if (first.platform or self.platform) != (external.platform or self.platform):
                raise UnmeasuredError(
                    f"{external.written} is needed for {external.platform or self.platform} here and for "
                    f"{first.platform or self.platform} in line {first.line}, and an engine has one image of a name",
                    mend="Name one of the two by its digest (NAME@sha256:...).",
                    file=self.file,
                    line=external.line,
                )
        return {name: one.platform for name, one in needed.items() if one.platform is not None}
