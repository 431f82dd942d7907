"""Files that one step writes and a later one deletes: the lower layer keeps every byte of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ci_budget.core.findings.rule import LEAST, Evidence, Rule, make_finding, name_some
from ci_budget.core.findings.rules.apt_leftovers import JOIN_UPDATE, LISTS, only_fetches
from ci_budget.core.layers.waste import WastedPath
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size

_MOVES = re.compile(r"(?:^RUN\s|[;&|(]\s*)\s*mv\s")
_ONLY_DELETES = re.compile(r"rm [^;&|<>]+")


def _find(evidence: Evidence) -> Iterator[Finding]:
    if evidence.image is None or evidence.waste is None:
        return
    held: dict[tuple[int, int], list[WastedPath]] = {}
    for item in evidence.waste.items:
        # what the base image brought cannot be had back by any step
        if item.cause in ("deleted", "hidden") and item.wrote >= evidence.image.inherited:
            held.setdefault((item.hid, item.wrote), []).append(item)
    for (hid, wrote), items in held.items():
        size = sum(item.size for item in items)
        if size < LEAST:
            continue
        place, writer = evidence.place(hid), evidence.place(wrote)
        names = name_some([f"/{item.path}" for item in sorted(items, key=lambda item: (-item.size, item.path))])
        where = f" in line {writer.line}" if writer.line is not None else ""
        yield make_finding(
            evidence,
            RULE.name,
            place,
            size=size,
            message=f"{place.step} deletes {format_size(size)} that {writer.step}{where} wrote; the layer below keeps "
            f"them: {names}.",
            mend=_mend(evidence, items, hid=hid, wrote=wrote),
        )


def _mend(evidence: Evidence, items: Sequence[WastedPath], *, hid: int, wrote: int) -> str:
    writer, place = evidence.place(wrote), evidence.place(hid)
    if _MOVES.search(place.command):
        return "Put the files where they are to lie at once, instead of moving them in a later step."
    if writer.command.upper().startswith(("COPY", "ADD")):
        return (
            "Do not copy what is deleted again: mount it for the step that needs it, "
            "RUN --mount=type=bind,source=SOURCE,target=TARGET ..., or name it in the ignore file."
        )
    if all(item.path.startswith(LISTS) for item in items) and only_fetches(writer.command):
        return JOIN_UPDATE
    command = " ".join(place.command.split()).removeprefix("RUN ")
    if hid != wrote + 1 or not _ONLY_DELETES.fullmatch(command):  # a step from there to here may need them
        first = f"line {writer.line}" if writer.line is not None else writer.step
        last = f"line {place.line}" if place.line is not None else place.step
        return f"Write, use and delete them in one RUN: join the steps from {first} to {last}."
    at = f" of line {writer.line}" if writer.line is not None else f" {writer.step}"
    done = f": && {command}" if len(command) <= 120 else "."
    return f"Delete in the step that writes: end the RUN{at} with the deletion{done}"


RULE = Rule(name="deleted-later", find=_find)
