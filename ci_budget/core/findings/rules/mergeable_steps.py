"""RUN steps that follow each other: as one they make one layer, and nothing written in between stays."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ci_budget.core.dockerfile.instructions import Instruction
from ci_budget.core.findings.rule import Evidence, Place, Rule, make_finding
from ci_budget.core.records.report import Finding
from ci_budget.core.text.plain_text import one_line
from ci_budget.core.text.units import format_size

_LONGEST_MEND = 600
_MORE_THAN_AND = re.compile(r"\|\||;")  # `&&` would bind another way
# a comment would swallow what is joined behind it, a program in the background would go on
_ALONE = re.compile(r"(?:^|\s)#|(?<![&>])&(?![&>0-9])")
_STOPS = re.compile(r"(?:^|[;&]\s*)set\s+(?:-[a-z]*e|-o\s+errexit)")
_SHELLS = re.compile(r"(?:.*/)?(?:ba|da|a|z|k|mk)?sh")

# what a shell does to itself ended with its RUN
_LASTING = re.compile(
    r"(?:^|&&)\s*(?:cd|pushd|export|set|umask|ulimit|source|\.|exec|trap|alias)\s|(?:^|&&)\s*[A-Za-z_]\w*=\S*(?:\s*&&|$)"
)


def _find(evidence: Evidence) -> Iterator[Finding]:
    layers = _layers_by_place(evidence)
    for stage in evidence.chain:
        if stage.replaced or evidence.dockerfile is None:
            continue
        for steps in _neighbours(evidence.dockerfile.stages[stage.index].instructions):
            place = Place(stage=stage.name, line=steps[0].line, command=steps[0].original)
            made = {line: layers.get((stage.name, line)) for line in (step.line for step in steps)}
            sizes = {line: evidence.layer_size(layer) if layer is not None else 0 for line, layer in made.items()}
            lines = ", ".join(str(step.line) for step in steps)
            held = ""
            if evidence.image is not None:
                largest = max(sizes, key=lambda line: sizes[line])
                whole, most = format_size(sum(sizes.values())), format_size(sizes[largest])
                held = f" of {whole}, line {largest} the largest with {most}"
            yield make_finding(
                evidence,
                RULE.name,
                place,
                size=_lost_between(evidence, {layer for layer in made.values() if layer is not None}),
                message=f"{len(steps)} RUN steps follow each other (lines {lines}): {len(steps)} layers{held}. As one "
                "step they make one, and each can clean up what another wrote.",
                mend=_joined(steps),
                quiet=True,
            )


def _neighbours(instructions: Sequence[Instruction]) -> Iterator[Sequence[Instruction]]:
    """Two or more RUN in a row that one could be: any other instruction between them parts them, and so do other
    flags. A cache that is mounted for one step is there for that step to be run again without the others."""
    row: list[Instruction] = []
    can = True
    for instruction in instructions:
        if instruction.command == "shell":
            can = bool(instruction.arguments) and _SHELLS.fullmatch(instruction.arguments[0]) is not None
        joins = can and instruction.command == "run" and _can_be_joined(instruction)
        if row and not (joins and set(instruction.flags) == set(row[0].flags)):
            if len(row) > 1:
                yield row
            row = []
        if joins:
            row.append(instruction)
    if len(row) > 1:
        yield row


def _can_be_joined(step: Instruction) -> bool:
    return not (step.heredocs or step.is_json or _ALONE.search(" ".join(step.arguments)))


def _layers_by_place(evidence: Evidence) -> dict[tuple[str | None, int | None], int]:
    history = evidence.image.history if evidence.image is not None else ()
    return {(step.stage, step.line): step.layer for step in history if step.layer is not None}


def _lost_between(evidence: Evidence, layers: set[int]) -> int | None:
    """Bytes that one of these layers wrote and another of them hid; None where the image could not be read."""
    if evidence.waste is None:
        return None
    return sum(item.size for item in evidence.waste.items if item.wrote in layers and item.hid in layers)


def _joined(steps: Sequence[Instruction]) -> str:
    flags = list(steps[0].flags)
    texts = [one_line(" ".join(" ".join(step.arguments).split())) for step in steps]
    if any(_MORE_THAN_AND.search(text) for text in texts):
        # within `a && b` a shell does not stop at what fails in a, whatever a sets
        each = (
            f"({text})" if not _MORE_THAN_AND.search(text) or _STOPS.search(text) else f"(set +e; {text})"
            for text in texts
        )
        commands = f"set -e; {'; '.join(each)}"
    else:
        commands = " && ".join(f"({text})" if _LASTING.search(text) else text for text in texts)
    joined = f"Join them: RUN {' '.join([*flags, commands])}"
    if len(joined) <= _LONGEST_MEND:
        return joined
    lines = "; ".join(f"(what line {step.line} runs)" for step in steps)
    return f"Join them: RUN {' '.join([*flags, 'set -e; '])}{lines}"


RULE = Rule(name="mergeable-steps", find=_find)
