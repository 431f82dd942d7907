"""From a Dockerfile and a target to the plan of its build."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from ci_budget.core.dockerfile.expansion import Expander
from ci_budget.core.dockerfile.instructions import Dockerfile, Instruction, Stage
from ci_budget.core.stages.environment import Arguments, expand, global_arguments
from ci_budget.core.stages.links import (
    SCRATCH,
    Link,
    NamedContexts,
    Names,
    image_reference,
    named_contexts,
    require_no_circle,
    stage_platform,
)
from ci_budget.core.stages.plan import ContextSource, Edge, EdgeKind, External, PlannedStage, StagePlan, Step
from ci_budget.core.stages.platforms import Platform, parse_platform
from ci_budget.core.stages.reached_steps import Inherited, can_overlap, walk_stages
from ci_budget.core.text.plain_text import one_line, shorten
from ci_budget.core.text.suggestion import suggest
from ci_budget.errors import ConfigError

__all__ = ["ContextSource", "Edge", "EdgeKind", "External", "PlannedStage", "StagePlan", "Step", "plan_stages"]

_STAGE_ARGUMENT = "TARGETSTAGE"


def plan_stages(
    dockerfile: Dockerfile,
    *,
    target: str | None,
    build_args: Mapping[str, str],
    platform: str,
    build_contexts: Collection[str],
    build_platform: str | None = None,
) -> StagePlan:
    """The plan of building `target` (None: the last stage) of a Dockerfile.

    `target` is a stage's name in any case, or (for unnamed ones) `stage-N` or the index. `platform` is the target
    platform, `build_platform` the engine's own (None: the same). `build_contexts` are the names of named contexts.
    Pure: no image is looked at, so ONBUILD triggers of images from outside are not in it.

    Raises ConfigError, with file and line, for what the engine refuses: an unknown target, a source that is defined
    only later, a circle, a malformed image name, platform or substitution.
    """
    try:
        wanted = parse_platform(platform)
        own = parse_platform(build_platform) if build_platform else wanted
    except ValueError as error:
        raise ConfigError(f"platform: {error}") from error
    index = find_target(dockerfile, target)
    last = dockerfile.stages[-1]
    stage_argument = target or (last.name if last.named else "default")
    expander = Expander(escape=dockerfile.escape)
    arguments = global_arguments(dockerfile, build_args, expander, target=wanted, build=own, stage=stage_argument)
    planner = _Planner(
        dockerfile=dockerfile,
        target=index,
        platform=wanted,
        arguments=arguments,
        contexts=named_contexts(build_contexts),
        expander=expander,
    )
    return planner.plan(stage_argument if _mentions_stage(dockerfile) else None)


def find_target(dockerfile: Dockerfile, target: str | None) -> int:
    """The index of the stage that `target` names. Raises ConfigError with the nearest name where there is none."""
    stages = dockerfile.stages
    if not target:
        return len(stages) - 1
    wanted = target.lower()
    named = [stage.index for stage in stages if stage.named and stage.name == wanted]
    unnamed = [stage.index for stage in stages if not stage.named and stage.name == wanted]
    if named or unnamed:
        return (named or unnamed)[-1]
    if wanted.isdecimal() and wanted.isascii() and len(wanted) < 9 and int(wanted) < len(stages):
        return int(wanted)
    mend = suggest(target, [stage.name for stage in stages], kind="stages")
    raise ConfigError(f"the Dockerfile has no stage '{shorten(one_line(target))}'", mend=mend, file=dockerfile.file)


@dataclass(kw_only=True)
class _Planner:
    dockerfile: Dockerfile
    target: int
    platform: Platform
    arguments: Arguments
    contexts: NamedContexts
    expander: Expander
    names: Names = field(init=False)
    images: list[str] = field(default_factory=list)
    platforms: list[Platform | None] = field(default_factory=list)
    bases: list[int | None] = field(default_factory=list)
    replaced: list[str | None] = field(default_factory=list)
    links: list[list[Link]] = field(default_factory=list)
    triggers: dict[int, list[Instruction]] = field(default_factory=dict)

    def plan(self, stage_argument: str | None) -> StagePlan:
        stages = self.dockerfile.stages
        self.names = Names(file=self.dockerfile.file, stages=stages)
        for stage in stages:
            self._read_from(stage)
        self.links = [
            [link for instruction in stage.instructions for link in self.names.links(instruction)] for stage in stages
        ]
        require_no_circle(self.dockerfile, self.links)
        resolved = self._resolve()
        built = self._closure(used_only=True)
        self._require_order(resolved)
        inherited = [
            Inherited(
                stage=stages[index],
                base=self.bases[index],
                empty=self.images[index] == SCRATCH,
                triggers=tuple(self.triggers.get(index, ())),
                replaced=self.replaced[index] is not None,
            )
            for index in sorted(built)
        ]
        steps, sources = walk_stages(inherited, self.dockerfile.file, self.arguments, self.expander)
        externals, contexts = self._externals(resolved, built)
        planned = tuple(self._planned(stage, stage.index in built, steps.get(stage.index, ())) for stage in stages)
        order = tuple(stage for stage in planned if stage.reached and not stage.replaced)
        return StagePlan(
            file=self.dockerfile.file,
            stages=planned,
            target=self.target,
            platform=str(self.platform),
            order=order,
            externals=externals,
            context_sources=sources,
            contexts=contexts,
            parallel_possible=can_overlap(order),
            stage_argument=stage_argument,
        )

    def _read_from(self, stage: Stage) -> None:
        file, outside = self.dockerfile.file, self.arguments.outside
        image = expand(stage.base, outside, self.expander, file, stage.line).text
        if not image:
            mend = "give the ARG in it a default, or the build argument"
            what = f"base name ({shorten(one_line(stage.base))}) should not be blank"
            raise ConfigError(what, mend=mend, file=file, line=stage.line)
        platform = None
        if stage.platform:
            text = expand(stage.platform, outside, self.expander, file, stage.line).text
            platform = stage_platform(text, self.platform, file, stage.line)
        replaced = self.contexts.find(stage.name, platform or self.platform) if stage.named else None
        base = self.names.base(image, stage.index) if replaced is None else None
        if image != SCRATCH and base is None:
            image_reference(image, file, stage.line)
        self.images.append(image)
        self.platforms.append(platform)
        self.replaced.append(replaced)
        self.bases.append(base)

    def _resolve(self) -> set[int]:
        """Every stage that the engine resolves for the target, with the ONBUILD triggers of stages taken in."""
        while True:
            reached = self._closure(used_only=False)
            grown = False
            for index in sorted(reached - self.triggers.keys()):
                base = self.bases[index]
                inherited = self.dockerfile.stages[base].instructions if base is not None else ()
                line, end = self.dockerfile.stages[index].line, self.dockerfile.stages[index].from_end_line
                self.triggers[index] = [one.trigger for one in inherited if one.trigger is not None]
                for trigger in self.triggers[index]:
                    found = [_moved(link, line) for link in self.names.links(trigger)]
                    self.links[index] += found
                    grown = grown or bool(found)
                self.triggers[index] = [_placed(trigger, line, end) for trigger in self.triggers[index]]
            if not grown:
                return reached

    def _closure(self, *, used_only: bool) -> set[int]:
        """The stages that the target needs; with `used_only` those that a step or an image really comes from."""
        reached: set[int] = set()
        pending = [self.target]
        while pending:
            index = pending.pop()
            if index in reached:
                continue
            reached.add(index)
            base = self.bases[index]
            if base is not None:
                pending.append(base)
            if used_only and self.replaced[index]:
                continue
            pending += [
                link.stage for link in self.links[index] if link.stage is not None and (link.used or not used_only)
            ]
        return reached

    def _require_order(self, reached: set[int]) -> None:
        for index in sorted(reached):
            if self.replaced[index]:
                continue
            for link in self.links[index]:
                if link.stage is not None and link.stage >= index and not self.replaced[link.stage]:
                    source, user = self.dockerfile.stages[link.stage].name, self.dockerfile.stages[index].name
                    what = f"'{user}' cannot use stage '{source}', which is defined only later"
                    mend = f"move '{source}' above '{user}'"
                    raise ConfigError(what, mend=mend, file=self.dockerfile.file, line=link.line)

    def _externals(self, resolved: set[int], built: set[int]) -> tuple[tuple[External, ...], tuple[str, ...]]:
        """The images from outside, in the order of the Dockerfile, and the named contexts that stand in for others."""
        found: list[External] = []
        contexts: list[str] = []
        for index, stage in enumerate(self.dockerfile.stages):
            key = self.replaced[index]
            uses = [(link.kind, link.name, link.line, link.used) for link in self.links[index] if link.stage is None]
            if key is None and self.bases[index] is None:
                uses.insert(0, (EdgeKind.FROM, self.images[index], stage.line, True))
            elif key is not None and index in built:
                contexts.append(key)
            for kind, name, line, used in uses:
                if name == SCRATCH:
                    continue
                reference = image_reference(name, self.dockerfile.file, line)
                if index not in resolved:
                    continue
                platform = self.platforms[index] if kind is EdgeKind.FROM else None
                used = used and index in built and key is None
                context = self.contexts.find(str(reference), platform or self.platform)
                if context is not None:
                    contexts += [context] if used else []
                    continue
                found.append(
                    External(
                        reference=str(reference),
                        written=stage.base if kind is EdgeKind.FROM else name,
                        pinned=reference.pinned,
                        kind=kind,
                        stage=stage.name,
                        stage_index=index,
                        line=line,
                        platform=str(platform) if platform else None,
                        used=used,
                    )
                )
        return tuple(found), tuple(dict.fromkeys(contexts))

    def _planned(self, stage: Stage, reached: bool, steps: tuple[Step, ...]) -> PlannedStage:
        index, base = stage.index, self.bases[stage.index]
        edges = [Edge(kind=EdgeKind.FROM, source=base, user=index, line=stage.line)] if base is not None else []
        edges += [
            Edge(kind=link.kind, source=link.stage, user=index, line=link.line)
            for link in self.links[index]
            if link.stage is not None and link.used
        ]
        image, replaced = self.images[index], self.replaced[index] is not None
        outside = base is None and image != SCRATCH and not replaced
        named = self.names.by_name.get(stage.name) == index
        platform = self.platforms[index]
        return PlannedStage(
            index=index,
            name=stage.name,
            line=stage.line,
            end_line=stage.end_line,
            from_end_line=stage.from_end_line,
            base=stage.base,
            image=image,
            platform=str(platform) if platform else None,
            reached=reached,
            replaced=replaced,
            target_name=stage.name if stage.named and named else None,
            edges=tuple(dict.fromkeys(edges)),
            steps=steps,
            counts_from=outside,
            numbers_from=outside and self._looked_up(image, stage) is None,
        )

    def _looked_up(self, image: str, stage: Stage) -> str | None:
        reference = image_reference(image, self.dockerfile.file, stage.line)
        return self.contexts.find(str(reference), self.platforms[stage.index] or self.platform)


def _moved(link: Link, line: int) -> Link:
    return Link(kind=link.kind, stage=link.stage, name=link.name, line=line, used=link.used)


def _placed(trigger: Instruction, line: int, end_line: int) -> Instruction:
    return replace(trigger, line=line, end_line=end_line)


def _mentions_stage(dockerfile: Dockerfile) -> bool:
    instructions = [*dockerfile.global_arguments, *(one for stage in dockerfile.stages for one in stage.instructions)]
    return any(_STAGE_ARGUMENT in instruction.original for instruction in instructions) or any(
        _STAGE_ARGUMENT in f"{stage.base} {stage.platform}" for stage in dockerfile.stages
    )
