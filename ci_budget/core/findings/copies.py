"""What a COPY or ADD of the Dockerfile brought: where it took it from, and where in a stage that can be changed."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ci_budget.core.dockerfile.instructions import Instruction
from ci_budget.core.findings.rule import Evidence, Place
from ci_budget.core.stages.plan import EdgeKind, PlannedStage

_VARIABLE = re.compile(r"[$*?\[\\]")
_WORD = re.compile(r"[\w.+-]+")
_FLAG = re.compile(r"--(?:chown|chmod)=")


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A COPY or ADD: `stage` that it takes from (None: the context, or an image), `origin` as `--from` names it, and
    the sources and the destination as written; `directory` is where a relative destination starts, None if unknown."""

    instruction: Instruction
    stage: PlannedStage | None
    origin: str | None
    sources: tuple[str, ...]
    destination: str
    directory: str | None

    @property
    def target(self) -> str | None:
        """The destination as an absolute path, with the slash at its end that it has; None where a variable tells."""
        if _VARIABLE.search(self.destination):
            return None
        if self.destination.startswith("/"):
            return self.destination
        return None if self.directory is None else posixpath.join(self.directory, self.destination.removeprefix("./"))

    def source_of(self, path: str) -> str | None:
        """Where a file of the image (no leading slash) lies in what is copied from; None where that is not sure."""
        target = self.target
        if target is None or len(self.sources) != 1 or _VARIABLE.search(self.sources[0]):
            return None
        source, whole = self.sources[0], posixpath.normpath(target)
        if f"/{path}" == whole:
            return source
        inside = posixpath.relpath(f"/{path}", whole)
        if inside.startswith(".."):
            return None
        # a file goes into a folder by its name, a folder gives what is in it
        is_file = inside == posixpath.basename(source) and target.endswith(("/", "/."))
        return source if is_file else posixpath.join(source, inside)

    def sources_of(self, paths: Iterable[str]) -> list[str] | None:
        """Where several files lie in what is copied from; None where that is not sure of one."""
        found = [self.source_of(path) for path in paths]
        known = [source for source in found if source is not None]
        return known if len(known) == len(found) else None

    def rewritten(self, flags: Sequence[str], sources: Sequence[str] | None = None) -> str:
        """The instruction with these flags for owner and mode, and else as its author wrote it."""
        kept = [flag for flag in self.instruction.flags if not _FLAG.match(flag)]
        words = [*(self.sources if sources is None else sources), self.destination]
        text = json.dumps(words) if self.instruction.is_json else " ".join(words)
        return " ".join([self.instruction.command.upper(), *kept, *flags, text])


def read_copy(evidence: Evidence, place: Place) -> Copy | None:
    """The COPY or ADD at a place; None where another instruction stands there, or none is known."""
    instruction = evidence.instruction(place)
    if instruction is None or instruction.command not in ("copy", "add") or evidence.plan is None:
        return None
    stage = next(one for one in evidence.plan.stages if one.line <= instruction.line <= one.end_line)
    source = next(
        (edge.source for edge in stage.edges if edge.kind is EdgeKind.COPY and edge.line == instruction.line), None
    )
    origin = next((flag.partition("=")[2] for flag in instruction.flags if flag.startswith("--from=")), None)
    return Copy(
        instruction=instruction,
        stage=evidence.plan.stages[source] if source is not None else None,
        origin=origin,
        sources=instruction.arguments[:-1],
        destination=instruction.arguments[-1],
        directory=_directory(evidence, instruction),
    )


def end_with(evidence: Evidence, place: Place, command: str) -> str:
    """Where a command has to stand that deletes or links what a step leaves: in that RUN, or, of what was copied, in
    the stage that it was made in."""
    copy = read_copy(evidence, place)
    if copy is None:
        return f"End this RUN with: && {command}" if not is_copy(place) else f"Before it is copied: {command}"
    target = posixpath.normpath(copy.target) if copy.target is not None else None
    if target is not None and len(copy.sources) == 1 and target != "/":
        command = re.sub(rf"{re.escape(target)}(?=[/\s'*]|$)", posixpath.normpath(copy.sources[0]), command)
    if copy.stage is not None:
        return f"End {name_maker(copy.stage, copy.sources[0])} with: && {command}"
    return f"Before it is copied: {command}"


def is_copy(place: Place) -> bool:
    """Whether a place's command copies into the image."""
    return place.command.upper().startswith(("COPY ", "ADD "))


def name_line(place: Place) -> str:
    """`line 4`, or the step itself where its line is not known."""
    return f"line {place.line}" if place.line is not None else place.step


def name_lines(places: Iterable[Place]) -> str:
    """`line 4`, `lines 4, 6`; the steps themselves where their lines are not known."""
    known = list(places)
    lines = list(dict.fromkeys(place.line for place in known if place.line is not None))
    if not lines:
        return " and ".join(dict.fromkeys(place.step for place in known))
    return f"line{'s' if len(lines) > 1 else ''} {', '.join(str(line) for line in lines)}"


def name_maker(stage: PlannedStage, path: str | None) -> str:
    """The RUN of a stage that a path comes from, as far as its text tells: `the RUN of line 3 in stage builder`."""
    runs = [step for step in stage.steps if step.instruction.command == "run" and not step.is_trigger]
    parts = [part for part in reversed((path or "").split("/")) if part]
    texts = [(step, set(_WORD.findall(step.instruction.original))) for step in runs]
    named = next((found for part in parts if (found := [step for step, words in texts if part in words])), runs)
    found = named[-1:]
    return f"the RUN of line {found[0].line} in stage {stage.name}" if found else f"stage {stage.name}"


def _directory(evidence: Evidence, until: Instruction) -> str | None:
    """The working directory at an instruction of the image's own stages, None where only the base knows it."""
    directory = "/" if evidence.chain and evidence.chain[0].base == "scratch" else None
    for stage in evidence.chain:
        for one in evidence.dockerfile.stages[stage.index].instructions if evidence.dockerfile is not None else ():
            if one is until:
                return directory
            if one.command == "workdir":
                path = one.arguments[0]
                if _VARIABLE.search(path) or (directory is None and not path.startswith("/")):
                    directory = None
                else:
                    directory = posixpath.normpath(posixpath.join(directory or "/", path))
    return directory
