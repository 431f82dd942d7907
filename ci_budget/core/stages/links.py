"""Whom a stage needs: FROM, COPY --from and mounts resolved to stages, images and named contexts.

Follows BuildKit's `frontend/dockerfile/dockerfile2llb/convert.go`: FROM sees earlier stages only, and by their
exact lower-case name; COPY and mounts see every stage, whatever the case; only COPY takes an index.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ci_budget.core.dockerfile.expansion import Expander, ExpansionError
from ci_budget.core.dockerfile.instructions import Dockerfile, Instruction, Stage, single_flag
from ci_budget.core.dockerfile.mounts import read_mounts
from ci_budget.core.stages.plan import EdgeKind
from ci_budget.core.stages.platforms import Platform, parse_platform
from ci_budget.core.stages.references import ImageReference, parse_reference
from ci_budget.core.text.plain_text import one_line, shorten
from ci_budget.errors import ConfigError

SCRATCH = "scratch"
_NEVER_CONTEXT = (SCRATCH, "context")
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")


@dataclass(frozen=True, kw_only=True)
class Link:
    """One use: of a stage (`stage`, an index), or of something by another name (`name`).

    `used` is False where the engine resolves the source without reading from it.
    """

    kind: EdgeKind
    stage: int | None
    name: str
    line: int
    used: bool = True


@dataclass(kw_only=True)
class Names:
    """The names of a Dockerfile's stages, and of the sources that no stage provides, in BuildKit's numbering."""

    file: str
    stages: Sequence[Stage]
    by_name: dict[str, int] = field(init=False)
    numbered: list[int | str] = field(init=False)

    def __post_init__(self) -> None:
        self.by_name = {stage.name: stage.index for stage in self.stages if stage.named}
        self.numbered = list(range(len(self.stages)))

    def base(self, image: str, index: int) -> int | None:
        """The stage that `FROM image` in stage `index` starts from, None where that is no earlier stage."""
        earlier = [stage.index for stage in self.stages[:index] if stage.named and stage.name == image]
        return earlier[-1] if earlier else None

    def links(self, instruction: Instruction) -> Iterator[Link]:
        """What one instruction copies or mounts from."""
        if instruction.command == "copy":
            origin = single_flag(instruction, "from", self.file)
            if origin:
                found = self._copied(origin, instruction)
                yield self._link(EdgeKind.COPY, found, instruction)
        elif instruction.command == "run":
            for mount in read_mounts(instruction, self.file):
                found = self.by_name.get((mount.origin or SCRATCH).lower(), mount.origin or SCRATCH)
                if isinstance(found, str):
                    self.numbered.append(found)
                reads = mount.keeps_origin if mount.origin else mount.kind == "cache"
                yield self._link(EdgeKind.MOUNT, found, instruction, used=reads)

    def _copied(self, origin: str, instruction: Instruction) -> int | str:
        try:
            changed = Expander().expand(origin, {}).text != origin
        except ExpansionError as error:
            raise ConfigError(f"--from: {one_line(str(error))}", file=self.file, line=instruction.line) from error
        if changed:
            mend = "define a new stage with FROM, using an ARG from before the first FROM"
            what = "variable expansion is not supported for --from"
            raise ConfigError(what, mend=mend, file=self.file, line=instruction.line)
        if _INTEGER.fullmatch(origin):
            index = int(origin)
            if not 0 <= index < len(self.numbered):
                mend = f"the stages are 0 to {len(self.stages) - 1}"
                raise ConfigError(f"invalid stage index {index}", mend=mend, file=self.file, line=instruction.line)
            return self.numbered[index]
        found = self.by_name.get(origin.lower())
        if found is not None:
            return found
        self.numbered.append(origin)
        return origin

    def _link(self, kind: EdgeKind, found: int | str, instruction: Instruction, *, used: bool = True) -> Link:
        stage, name = (found, "") if isinstance(found, int) else (None, found)
        return Link(kind=kind, stage=stage, name=name, line=instruction.line, used=used)


@dataclass(frozen=True, kw_only=True)
class NamedContexts:
    """The contexts given by name; each stands in for the stage or the image of that name.

    `given` has, by normal name, the name as it was given.
    """

    given: Mapping[str, str]

    def find(self, name: str, platform: Platform) -> str | None:
        """The context for a stage or an image, by the name it was given; None where there is none."""
        if name.lower() in _NEVER_CONTEXT:
            return None
        familiar = _familiar(name)
        for key in (f"{familiar}::{platform}", familiar):
            if key in self.given:
                return self.given[key]
        return None


def named_contexts(names: Collection[str]) -> NamedContexts:
    """The contexts by the names they were given, normalised as buildx does (`python:latest` is `python`)."""
    given = {}
    for name in names:
        base, colons, platform = name.partition("::")
        given[_familiar(base) + colons + platform] = name
    return NamedContexts(given=given)


def image_reference(name: str, file: str, line: int) -> ImageReference:
    """An image from outside. Raises ConfigError in the engine's words where the name is none."""
    try:
        return parse_reference(name)
    except ValueError as error:
        mend = "FROM finds a stage by its name in lower case" if name != name.lower() else None
        what = one_line(f"failed to parse stage name '{shorten(name, 120)}': {shorten(str(error), 300)}")
        raise ConfigError(what, mend=mend, file=file, line=line) from error


def stage_platform(text: str, default: Platform, file: str, line: int) -> Platform:
    """The platform of a FROM. Raises ConfigError where the text is none."""
    try:
        return parse_platform(text, default=default.architecture)
    except ValueError as error:
        raise ConfigError(f"failed to parse platform: {one_line(str(error))}", file=file, line=line) from error


def require_no_circle(dockerfile: Dockerfile, links: Sequence[Sequence[Link]]) -> None:
    """Raise ConfigError where stages copy from or mount each other in a circle, as BuildKit does."""
    done: set[int] = set()
    for root in range(len(links)):
        path: list[int] = []
        pending: list[tuple[int, bool]] = [(root, False)]
        while pending:
            index, leaving = pending.pop()
            if leaving:
                path.pop()
                continue
            if index in done:
                continue
            done.add(index)
            path.append(index)
            pending.append((index, True))
            for link in links[index]:
                if link.stage in path:
                    name = dockerfile.stages[index].name
                    what = f"circular dependency detected on stage: {name}"
                    raise ConfigError(what, file=dockerfile.file, line=link.line)
                if link.stage is not None:
                    pending.append((link.stage, False))


def _familiar(name: str) -> str:
    try:
        return parse_reference(name).familiar
    except ValueError:
        return name
