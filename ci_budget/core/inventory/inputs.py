"""What a revision gives to each instruction: one hash an instruction, the same as long as nothing of it changes.

As the engine's own cache key, with the names of images in place of their content: what an instruction brings although
its hash is the same came from outside (a package index, another image under the same name).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ci_budget.core.context.measured import ContextMeasure, chosen_paths
from ci_budget.core.dockerfile.instructions import Dockerfile, Stage
from ci_budget.core.inventory.model import InstructionRecord
from ci_budget.core.stages.plan import ContextSource, EdgeKind, PlannedStage, StagePlan


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a build can use beside the Dockerfile. `contents`: SHA-256 of each file of the context, by its path.

    `arguments`: the values of build arguments, those marked secret aside.
    """

    measure: ContextMeasure
    contents: Mapping[str, bytes]
    arguments: Mapping[str, str]


def key_instructions(
    records: Sequence[InstructionRecord], dockerfile: Dockerfile, plan: StagePlan, inputs: Inputs
) -> list[InstructionRecord]:
    """The records with `inputs_sha256`, for the stages that the target needs."""
    texts = {(record.stage, record.line): record.text_sha256 for record in records}
    keys: dict[tuple[str, int], str] = {}
    ends: dict[int, str] = {}
    for stage in plan.order:
        ends[stage.index] = _key_stage(stage, dockerfile.stages[stage.index], plan, inputs, texts, keys, ends)
    return [record.model_copy(update={"inputs_sha256": keys.get((record.stage, record.line))}) for record in records]


def _key_stage(
    stage: PlannedStage,
    written: Stage,
    plan: StagePlan,
    inputs: Inputs,
    texts: Mapping[tuple[str, int], str],
    keys: dict[tuple[str, int], str],
    ends: Mapping[int, str],
) -> str:
    """The keys of a stage's instructions, put into `keys`; the key of the last one."""
    base = next((ends.get(edge.source) for edge in stage.edges if edge.kind is EdgeKind.FROM), None)
    key = _hash(["from", base or stage.image, stage.platform or ""])
    keys[stage.name, stage.line] = key
    for step in written.instructions:
        sources = [
            source for source in plan.context_sources if (source.stage_index, source.line) == (stage.index, step.line)
        ]
        used = [
            ends.get(edge.source, "")
            for edge in stage.edges
            if edge.line == step.line and edge.kind is not EdgeKind.FROM
        ]
        text = texts.get((stage.name, step.line), step.original)
        key = _hash([key, text, *used, *_arguments(step.arguments, inputs, step.command)])
        if sources:
            key = _hash([key, _hash_files(inputs, sources)])
        keys[stage.name, step.line] = key
    return key


def _arguments(words: Iterable[str], inputs: Inputs, command: str) -> list[str]:
    """The given values of the build arguments that an ARG declares."""
    if command != "arg":
        return []
    names = [word.partition("=")[0] for word in words]
    return [f"{name}={inputs.arguments[name]}" for name in names if name in inputs.arguments]


def _hash_files(inputs: Inputs, sources: Sequence[ContextSource]) -> str:
    """The names and contents of what the sources name."""
    total = hashlib.sha256()
    for path in chosen_paths(inputs.measure, sources):
        total.update(path.encode("utf-8", "surrogateescape") + b"\0" + inputs.contents.get(path, b"") + b"\0")
    for path, target in sorted(inputs.measure.links.items()):
        total.update(f"{path}\0{target}\0".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _hash(parts: Iterable[str]) -> str:
    total = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape")
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()
