"""Files that one step writes and a later one deletes: the lower layer keeps every byte of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from ci_budget.core.findings.copies import Copy, is_copy, name_line, name_maker, read_copy
from ci_budget.core.findings.rule import LEAST, Evidence, Rule, make_finding, name_some
from ci_budget.core.findings.rules.apt_leftovers import JOIN_UPDATE, LISTS, only_fetches
from ci_budget.core.layers.waste import WastedPath
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size

_MOVES = re.compile(r"(?:^RUN\s|[;&|(]\s*)\s*mv\s")
_MOST_NAMES = 6
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
    if is_copy(writer):
        return _copy_mend(evidence, items, hid=hid, wrote=wrote)
    if all(item.path.startswith(LISTS) for item in items) and only_fetches(writer.command):
        return JOIN_UPDATE
    command = " ".join(place.command.split()).removeprefix("RUN ")
    if hid != wrote + 1 or not _ONLY_DELETES.fullmatch(command):  # a step from there to here may need them
        if evidence.plan is not None and writer.line is not None and evidence.instruction(writer) is None:  # a FROM
            return f"Write, use and delete them in one RUN: in the base image, where {writer.step} is an ONBUILD."
        first = f"line {writer.line}" if writer.line is not None else writer.step
        last = f"line {place.line}" if place.line is not None else place.step
        return f"Write, use and delete them in one RUN: join the steps from {first} to {last}."
    at = f" of line {writer.line}" if writer.line is not None else f" {writer.step}"
    done = f": && {command}" if len(command) <= 120 else "."
    return f"Delete in the step that writes: end the RUN{at} with the deletion{done}"


def _copy_mend(evidence: Evidence, items: Sequence[WastedPath], *, hid: int, wrote: int) -> str:
    writer, place = evidence.place(wrote), evidence.place(hid)
    copy = read_copy(evidence, writer)
    only = _ONLY_DELETES.fullmatch(" ".join(place.command.split()).removeprefix("RUN ")) is not None
    behind = f" Take {name_line(place)} out." if only else f" Take the deletion out of {name_line(place)}."
    if copy is None or sum(item.size for item in items) == evidence.layer_size(wrote):
        mount = _mount(copy, items) if copy is not None else "source=SOURCE,target=TARGET"
        return (
            f"Do not copy what is deleted again: take {name_line(writer)} out, and mount it for the step that needs "
            f"it: RUN --mount=type=bind,{mount} ...{behind}"
        )
    gone = list(dict.fromkeys(copy.source_of(item.hid_by) or copy.source_of(item.path) for item in items))
    known = [source for source in gone if source is not None][:_MOST_NAMES] if None not in gone else []
    if copy.stage is not None:
        paths = " ".join(shlex.quote(source) for source in known) or "FILES"
        maker = name_maker(copy.stage, known[0] if known else None)
        return f"Delete it before it is copied: end {maker} with: && rm -rf {paths}.{behind}"
    if copy.origin is not None:
        return f"Copy only what is kept: name it in {name_line(writer)} instead of a folder around it.{behind}"
    named = f": {' '.join(source.removeprefix('./') for source in known)}" if known else ""
    return f"Do not copy it in {name_line(writer)}: name it in the ignore file{named}.{behind}"


def _mount(copy: Copy, items: Sequence[WastedPath]) -> str:
    """What a bind mount says that shows the same in the same place."""
    if len(items) == 1:
        source, target = copy.source_of(items[0].path), f"/{items[0].path}"
    else:
        source, target = copy.sources[0] if len(copy.sources) == 1 else None, copy.target or "TARGET"
    origin = f"from={copy.origin}," if copy.origin is not None else ""
    return f"{origin}source={source or 'SOURCE'},target={target.rstrip('/')}"


RULE = Rule(name="deleted-later", find=_find)
