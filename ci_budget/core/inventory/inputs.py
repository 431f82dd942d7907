"""What a revision gives to each instruction: one hash an instruction, the same as long as nothing of it changes.

As the engine's own cache key, with the names of images in place of their content: what an instruction brings although
its hash is the same came from outside (a package index, another image under the same name).
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ci_budget.core.context.measured import ContextMeasure, chosen_paths
from ci_budget.core.dockerfile.instructions import Dockerfile, Instruction
from ci_budget.core.inventory.model import InstructionRecord, Inventory
from ci_budget.core.stages.plan import ContextSource, EdgeKind, PlannedStage, StagePlan


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a build can use beside the Dockerfile. `contents`: SHA-256 of each file of the context, by its path.

    `arguments`: the values of build arguments, those marked secret aside. `own_files`: the paths in the context of the
    Dockerfile and of its ignore file.
    """

    measure: ContextMeasure
    contents: Mapping[str, bytes]
    arguments: Mapping[str, str]
    own_files: frozenset[str] = frozenset()


METADATA = frozenset({"cmd", "entrypoint", "expose", "healthcheck", "label", "maintainer", "stopsignal", "volume"})
"""What no later step can see."""
_WORD = re.compile(r"\w+")
COPIES = frozenset({"add", "copy"})
_SEEN_BY_COPIES = frozenset({"arg", "env", "workdir"})
_NAMED_STAGE = re.compile(r"\bfrom=[\"']?[\w.-]+[\"']?")
_MOST_LINKS = 40  # as many as Linux follows one after the other
_QUOTE = re.compile(r"[\"'\\]")
_PATTERN = re.compile(r"[*?\[\\]")


@dataclass(frozen=True, kw_only=True)
class _Keys:
    """What is found of one instruction; the fields are those of its record."""

    inputs_sha256: str
    own_sha256: str
    command: str
    sources: list[int]
    images: list[str]
    arguments: list[int]


class _Pass:
    """One way to hash: with `texts` by stage and line; `bare`: without what changes nothing that is built. `keys`: what
    is found; `ends`: the key of each stage's last instruction, by the stage's index."""

    def __init__(self, inputs: Inputs, texts: Mapping[tuple[str, int], str], *, bare: bool) -> None:
        self.inputs, self.texts, self.bare = inputs, texts, bare
        self.keys: dict[tuple[str, int], _Keys] = {}
        self.ends: dict[int, str] = {}


def key_instructions(
    records: Sequence[InstructionRecord], dockerfile: Dockerfile, plan: StagePlan, inputs: Inputs
) -> list[InstructionRecord]:
    """The records with what each is given and where it takes it from, for the stages that the target needs; and, of no
    stage, the ARGs before the first FROM."""
    texts = {(record.stage, record.line): record.text_sha256 for record in records}
    found, bare = _Pass(inputs, texts, bare=False), _Pass(inputs, _bare_texts(dockerfile, plan, texts), bare=True)
    for stage in plan.order:
        for one in (found, bare):
            one.ends[stage.index] = _key_stage(stage, dockerfile, plan, one)
    outside = [
        InstructionRecord(stage="", line=one.line, text_sha256=_hash([one.original]), command="ARG")
        for one in dockerfile.global_arguments
    ]
    return outside + [
        record.model_copy(update={**vars(found.keys[place]), **_bare(bare, place)}) if place in found.keys else record
        for record in records
        for place in [(record.stage, record.line)]
    ]


def less_names(before: Inventory, after: Inventory) -> tuple[Inventory, Inventory]:
    """Two inventories, their instructions by what is built alone (`bare_…`), where both know it."""
    sides = before, after
    if not all(one.bare_own_sha256 or not one.own_sha256 for side in sides for one in side.instructions):
        return sides
    return _as_bare(before), _as_bare(after)


def _as_bare(inventory: Inventory) -> Inventory:
    records = [
        one.model_copy(
            update={
                "text_sha256": one.bare_text_sha256,
                "inputs_sha256": one.bare_inputs_sha256,
                "own_sha256": one.bare_own_sha256,
            }
        )
        if one.bare_own_sha256
        else one
        for one in inventory.instructions
    ]
    return inventory.model_copy(update={"instructions": records})


def _bare(found: _Pass, place: tuple[str, int]) -> dict[str, str]:
    keys = found.keys[place]
    return {
        "bare_text_sha256": found.texts.get(place, ""),
        "bare_inputs_sha256": keys.inputs_sha256,
        "bare_own_sha256": keys.own_sha256,
    }


def _bare_texts(
    dockerfile: Dockerfile, plan: StagePlan, texts: Mapping[tuple[str, int], str]
) -> Mapping[tuple[str, int], str]:
    """The hashes of the texts without the names of the Dockerfile's stages, and of how they are spaced where that means
    nothing."""
    found = dict(texts)
    for stage in plan.order:
        users = {edge.line for edge in stage.edges}
        if stage.line in users:
            found[stage.name, stage.line] = _hash(["from", stage.platform or ""])
        for step in dockerfile.stages[stage.index].instructions:
            text = _NAMED_STAGE.sub("from=", step.original) if step.line in users else step.original
            plain = not step.heredocs and not _QUOTE.search(text)
            bare = " ".join(text.split()) if plain else text
            if bare != step.original:
                found[stage.name, step.line] = hashlib.sha256(bare.encode("utf-8", "surrogateescape")).hexdigest()
    return found


def _key_stage(stage: PlannedStage, dockerfile: Dockerfile, plan: StagePlan, found: _Pass) -> str:
    """What is found of a stage's instructions, put into `found`; the key of the last one.

    A step reads what all before it left, a COPY or ADD only its sources and, in its words, the variables.
    """
    inputs = found.inputs
    base = next((found.ends.get(edge.source) for edge in stage.edges if edge.kind is EdgeKind.FROM), None)
    key = variables = _hash(["from", base or stage.image, stage.platform or ""])
    own = _hash(["from", "" if base and found.bare else stage.image, stage.platform or ""])
    found.keys[stage.name, stage.line] = _Keys(
        inputs_sha256=key,
        own_sha256=own,
        command="FROM",
        arguments=[one.line for one in _outside(_WORD.findall(stage.base), dockerfile)],
        **_taken(stage, stage.line, plan),
    )
    for step in dockerfile.stages[stage.index].instructions:
        sources = [
            source for source in plan.context_sources if (source.stage_index, source.line) == (stage.index, step.line)
        ]
        used = [
            found.ends.get(edge.source, "")
            for edge in stage.edges
            if edge.line == step.line and edge.kind is not EdgeKind.FROM
        ]
        own = _hash(
            [
                found.texts.get((stage.name, step.line), step.original),
                *_arguments(step, inputs, dockerfile),
                *([_hash_files(inputs, sources, bare=found.bare)] if sources else []),
            ]
        )
        given = _hash([variables if step.command in COPIES else key, own, *used])
        found.keys[stage.name, step.line] = _Keys(
            inputs_sha256=given,
            own_sha256=own,
            command=step.command.upper(),
            arguments=[one.line for one in _outside(_without_default(step), dockerfile)],
            **_taken(stage, step.line, plan),
        )
        if step.command not in METADATA:
            key = _hash([key, given])
        if step.command in _SEEN_BY_COPIES:
            variables = _hash([variables, own])
    return key


def _taken(stage: PlannedStage, line: int, plan: StagePlan) -> dict[str, Any]:
    """The stages, by the lines of their FROMs, and the images from outside that an instruction takes from."""
    return {
        "sources": sorted({plan.stages[edge.source].line for edge in stage.edges if edge.line == line}),
        "images": sorted(
            {one.reference for one in plan.externals if one.used and (one.stage_index, one.line) == (stage.index, line)}
        ),
    }


def _arguments(step: Instruction, inputs: Inputs, dockerfile: Dockerfile) -> list[str]:
    """The values of the build arguments that an ARG declares: as given, or, where it has no default of its own, the
    text of the ARGs before the first FROM that make it."""
    if step.command != "arg":
        return []
    names = [word.partition("=")[0] for word in step.arguments]
    found = [f"{name}={inputs.arguments[name]}" for name in names if name in inputs.arguments]
    for name in _without_default(step):
        made = _outside([name], dockerfile) if name not in inputs.arguments else []
        words = {word for one in made for word in _WORD.findall(one.original)}
        found += [one.original for one in made]
        found += [f"{word}={inputs.arguments[word]}" for word in sorted(words & inputs.arguments.keys())]
    return found


def _without_default(step: Instruction) -> list[str]:
    """What an ARG declares without a value of its own."""
    return [word for word in step.arguments if "=" not in word] if step.command == "arg" else []


def _outside(names: Iterable[str], dockerfile: Dockerfile) -> list[Instruction]:
    """The ARGs before the first FROM that the values of `names` are made of, the last one first."""
    wanted, found = set(names), []
    for one in reversed(dockerfile.global_arguments):
        if any(word.partition("=")[0] in wanted for word in one.arguments):
            wanted |= set(_WORD.findall(one.original))
            found.append(one)
    return found


def _hash_files(inputs: Inputs, sources: Sequence[ContextSource], *, bare: bool) -> str:
    """The names and contents of what the sources name."""
    total = hashlib.sha256()
    along = inputs.own_files - {source.path for source in sources} if bare else frozenset[str]()
    for path in chosen_paths(inputs.measure, sources):
        if path not in along:
            total.update(path.encode("utf-8", "surrogateescape") + b"\0" + inputs.contents.get(path, b"") + b"\0")
    links = _links(inputs.measure.links, sources) if bare else inputs.measure.links
    for path, target in sorted(links.items()):
        total.update(f"{path}\0{target}\0".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _links(links: Mapping[str, str], sources: Sequence[ContextSource]) -> Mapping[str, str]:
    """The links that lie below what the sources name, or that they lead through."""
    found: dict[str, str] = {}
    below, through = set[str](), set[str]()
    fresh = [_PATTERN.split(f"{source.path}/", maxsplit=1)[0].rpartition("/")[0] for source in sources]
    for _ in range(_MOST_LINKS):
        if not fresh or not {"", "."}.isdisjoint(fresh):
            break
        below.update(fresh)
        through.update(above for path in fresh for above in _upwards(path))
        taken = [
            path for path in links if path not in found and (path in through or not below.isdisjoint(_upwards(path)))
        ]
        found.update((path, links[path]) for path in taken)
        fresh = [posixpath.normpath(posixpath.join("/", posixpath.dirname(path), links[path]))[1:] for path in taken]
    return links if fresh else found


def _upwards(path: str) -> Iterator[str]:
    """A path and the folders above it."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _hash(parts: Iterable[str]) -> str:
    total = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape")
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()
