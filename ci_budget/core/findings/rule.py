"""What a rule looks at, and what it says: the evidence of one measured image, and findings with bytes."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, get_args

from ci_budget.core.dockerfile.instructions import Dockerfile, Instruction
from ci_budget.core.findings.context_use import ContextUse
from ci_budget.core.findings.names import RuleName
from ci_budget.core.inventory.explanation import readable_command
from ci_budget.core.inventory.model import Inventory
from ci_budget.core.layers.model import Entry, ImageLayers, Kind
from ci_budget.core.layers.waste import Waste
from ci_budget.core.records.report import Finding, ImageReport, StepReport
from ci_budget.core.stages.plan import EdgeKind, PlannedStage, StagePlan
from ci_budget.core.text.plain_text import one_line, shorten

LEAST = 1_000_000
"""Bytes below which most rules are silent: not worth a person's time."""

_LONGEST_COMMAND = 8000
_LOUD_BYTES = 100_000_000
_LOUD_SHARE = 20  # a twentieth


Ending = Literal[".a", ".pyc", "/pyvenv.cfg"]
"""The ends of names that rules ask for."""


class OwnFile(NamedTuple):
    """A visible regular file of the image's own layers. `layer`: the index in the image of the one that brought it;
    layers above that hold it in the same size only changed its mode or owner, or touched it."""

    path: str
    size: int
    layer: int


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a layer comes from: stage and Dockerfile line where the build told them, and the command."""

    stage: str | None
    line: int | None
    command: str

    @property
    def step(self) -> str:
        """The step as a person names it, without its mounts: `RUN make install`."""
        name, *words = self.command.split()
        rest = next((index for index, word in enumerate(words) if not word.startswith("--mount=")), len(words))
        return f"`{shorten(one_line(' '.join([name, *words[rest:]])), 60)}`"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything the rules may look at.

    `image`, `waste` and `inventory` are None where the image could not be read, `context` where nothing is known of
    the build context, `dockerfile` and `plan` where the image was not built here. `report` is that of the image as far
    as it is measured: steps, timeline, metrics, bases.
    """

    report: ImageReport
    dockerfile: Dockerfile | None = None
    plan: StagePlan | None = None
    image: ImageLayers | None = None
    waste: Waste | None = None
    inventory: Inventory | None = None
    context: ContextUse | None = None

    @cached_property
    def _held(self) -> Mapping[str, Sequence[tuple[Entry, int]]]:
        """By folder, whose name ends with a slash (empty for the root): the regular files that a container sees and
        that the base image did not bring, each with the layer that brought it."""
        if self.image is None:
            return {}
        unseen: dict[int, set[str]] = {}
        below: dict[tuple[int, str, int], int] = {}
        for item in self.waste.items if self.waste is not None else ():
            unseen.setdefault(item.wrote, set()).add(item.path)
            if item.cause == "overwritten":
                below[item.hid, item.path, item.size] = item.wrote
        again = {posixpath.dirname(path) for _, path, _ in below}
        first = self.image.inherited
        found: dict[str, list[tuple[Entry, int]]] = {}
        for index in range(first, len(self.image.layers)):
            hidden = unseen.get(index, set[str]())
            for folder, entries in self.image.layers[index].folders.items():
                files = [(one, index) for one in entries if one.kind is Kind.FILE and one.path not in hidden]
                if folder in again:
                    brought = ((entry, _brought(entry, index, below)) for entry, _ in files)
                    files = [(entry, layer) for entry, layer in brought if layer >= first]
                found.setdefault(f"{folder}/" if folder else "", []).extend(files)
        return found

    @property
    def folders(self) -> Iterable[str]:
        """The folders that hold own files, with a slash at their ends (empty for the root): far fewer than files."""
        return self._held.keys()

    def in_folder(self, folder: str) -> list[OwnFile]:
        """The own files that lie in a folder of `folders`; none in others."""
        return [OwnFile(entry.path, entry.size, layer) for entry, layer in self._held.get(folder, ())]

    def within(self, matches: Callable[[str], object]) -> Iterator[OwnFile]:
        """The own files whose folder, with its slash at the end, passes a test."""
        return (file for folder in self.folders if matches(folder) for file in self.in_folder(folder))

    def ending_in(self, ending: Ending) -> list[OwnFile]:
        """The own files whose names end so."""
        return [file for file in self._ending if file.path.endswith(ending)]

    @cached_property
    def _ending(self) -> Sequence[OwnFile]:
        """What one look at every file finds for all who ask by the end of a name."""
        endings = get_args(Ending)
        return [
            OwnFile(entry.path, entry.size, layer)
            for files in self._held.values()
            for entry, layer in files
            if entry.path.endswith(endings)
        ]

    @cached_property
    def image_size(self) -> int:
        """Payload of all layers in bytes; 0 where the image could not be read."""
        return sum(self._layer_sizes)

    @cached_property
    def _layer_sizes(self) -> tuple[int, ...]:
        return tuple(layer.size for layer in self.image.layers) if self.image is not None else ()

    def entries(self, layer: int) -> Sequence[Entry]:
        """All that one layer holds; nothing where the image could not be read."""
        return self.image.layers[layer].entries if self.image is not None else ()

    def layer_size(self, layer: int) -> int:
        """Payload of one layer in bytes."""
        return self._layer_sizes[layer]

    @cached_property
    def _places(self) -> Mapping[int, Place]:
        history = self.image.history if self.image is not None else ()
        return {
            step.layer: Place(stage=step.stage, line=step.line, command=command)
            for step in history
            if step.layer is not None and (command := readable_command(step.created_by))
        }

    def place(self, layer: int) -> Place:
        """The step that made a layer; by its Dockerfile text where that is known, else by the image's history."""
        place = self._places.get(layer, Place(stage=None, line=None, command=f"layer {layer + 1}"))
        instruction = self.instruction(place)
        return place if instruction is None else Place(
            stage=place.stage, line=place.line, command=instruction.original
        )  # fmt: skip

    def instruction(self, place: Place) -> Instruction | None:
        """The Dockerfile's instruction at a place."""
        return self._instructions.get((place.stage, place.line))

    @cached_property
    def _instructions(self) -> Mapping[tuple[str | None, int | None], Instruction]:
        return {
            (stage.name, step.line): step.instruction
            for stage in (self.plan.stages if self.plan is not None else ())
            for step in stage.steps
            if not step.is_trigger
        }

    @cached_property
    def chain(self) -> tuple[PlannedStage, ...]:
        """The stages whose steps end up in the image: the target and those it starts from, lowest first; none of an
        image that was not built here."""
        if self.plan is None:
            return ()
        stage = self.plan.stages[self.plan.target]
        found = [stage]
        while True:
            source = next((edge.source for edge in stage.edges if edge.kind is EdgeKind.FROM), None)
            if source is None:
                return tuple(reversed(found))
            stage = self.plan.stages[source]
            found.append(stage)

    @property
    def base(self) -> str:
        """The external image that this one starts from, as the Dockerfile names it; `BASE` where none is known."""
        return one_line(self.chain[0].base) if self.chain else "BASE"

    def step_report(self, place: Place) -> StepReport | None:
        """What was measured of the step at a place."""
        steps = (step for step in self.report.steps if not step.cached)
        return next((step for step in steps if (step.stage, step.line) == (place.stage, place.line)), None)


def _brought(entry: Entry, layer: int, below: Mapping[tuple[int, str, int], int]) -> int:
    """The lowest layer that has a file in its size, through all that wrote it again so; `below`: the one it hid."""
    while (lower := below.get((layer, entry.path, entry.size))) is not None:
        layer = lower
    return layer


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One kind of advice. `find` yields what it has to say of an image, in any order."""

    name: RuleName
    find: Callable[[Evidence], Iterator[Finding]]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Files that one layer holds: their bytes, and the folder or the file that tells most."""

    layer: int
    size: int
    count: int
    largest: str


def by_layer(files: Iterable[OwnFile], *, least: int = LEAST) -> Iterator[Group]:
    """The files by the layer that holds them, where they come to `least` bytes or more; largest first."""
    held: dict[int, list[OwnFile]] = {}
    for file in files:
        held.setdefault(file.layer, []).append(file)
    groups = [
        Group(
            layer=layer,
            size=sum(file.size for file in found),
            count=len(found),
            largest=max(found, key=lambda file: (file.size, file.path)).path,
        )
        for layer, found in held.items()
    ]
    return iter(sorted((group for group in groups if group.size >= least), key=lambda group: -group.size))


def make_finding(
    evidence: Evidence,
    rule: str,
    place: Place,
    *,
    size: int | None,
    message: str,
    mend: str,
    of: int | None = None,
    quiet: bool = False,
) -> Finding:
    """A finding at a place. `of`: bytes that `size` is a part of (None: the image); `quiet`: never above a note."""
    whole = evidence.image_size if of is None else of
    return Finding(
        rule=rule,
        severity="note" if quiet else weigh(size, whole),
        bytes=size,
        stage=place.stage,
        file=evidence.plan.file if evidence.plan is not None and place.line is not None else None,
        line=place.line,
        message=one_line(message),
        mend=one_line(_as_line(mend) if _is_script(evidence.instruction(place)) else mend),
    )


def _is_script(instruction: Instruction | None) -> bool:
    """Whether a RUN is a heredoc and nothing else, where `&&` cannot begin a line."""
    if instruction is None or instruction.command != "run" or not instruction.heredocs:
        return False
    return " ".join(instruction.arguments).startswith("<<")


def _as_line(mend: str) -> str:
    return mend.replace("End this RUN with: && ", "End this RUN's script with the line: ")


def weigh(size: int | None, whole: int) -> Literal["warning", "note"]:
    """A warning from a twentieth of the whole, or from 100 MB; the gate decides by its limits, never by findings."""
    loud = size is not None and (size >= _LOUD_BYTES or size * _LOUD_SHARE >= whole)
    return "warning" if loud else "note"


def shell_text(instruction: Instruction | None) -> str:
    """What a RUN gives to its shell, heredocs included: the first 8,000 characters; empty for other instructions."""
    if instruction is None or instruction.command != "run":
        return ""
    documents = (document.content for document in instruction.heredocs)
    text = "\n".join(documents if _is_script(instruction) else (" ".join(instruction.arguments), *documents))
    return text[:_LONGEST_COMMAND]


def count_files(count: int, what: str = "file") -> str:
    """`1 file`, `12 files`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def name_some(names: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    shown = ", ".join(one_line(shorten(name, 80)) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
