"""Files that a later step writes anew: the lower layer keeps the old content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ci_budget.core.findings.copies import Copy, is_copy, name_line, name_lines, name_maker, read_copy
from ci_budget.core.findings.rule import Evidence, Place, Rule, count_files, make_finding, name_some
from ci_budget.core.findings.rules.rewritten import Rewritten, find_rewritten
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size

_LEAST_OF_BASE = 10_000_000


def _find(evidence: Evidence) -> Iterator[Finding]:
    for found in find_rewritten(evidence, permissions=False):
        place = evidence.place(found.hid)
        inherited = evidence.image.inherited if evidence.image is not None else 0
        if all(layer < inherited for layer in found.wrote) and found.size < _LEAST_OF_BASE:
            continue
        own = [evidence.place(layer) for layer in found.wrote if layer >= inherited]
        mend = _mend(evidence, found, own, place)
        yield make_finding(
            evidence,
            RULE.name,
            place,
            size=found.size,
            message=f"{place.step} writes {count_files(found.count)} anew that "
            f"{'a lower layer' if own else 'the base image'} has: {format_size(found.size)} stay below: {found.names}.",
            mend=mend,
            quiet=not own,
        )


def _mend(evidence: Evidence, found: Rewritten, own: Sequence[Place], place: Place) -> str:
    if not own:
        return "Take a newer base image that has the new files already, instead of writing over the old ones."
    first, at = name_lines(own), name_line(place)
    copied = [one for one in own if is_copy(one)]
    above = read_copy(evidence, place)
    if is_copy(place):
        sources = above.sources_of(item.path for item in found.items) if above is not None else None
        if above is not None and above.origin is None and not copied and sources is not None:
            names = name_some([source.removeprefix("./") for source in sources])
            return f"Keep one of the two: name {names} in the ignore file, or do not write them in {first}."
        whole = found.size == sum(evidence.layer_size(layer) for layer in found.wrote)
        if whole and len(copied) == len(own):
            return f"Copy them once: take {first} out, since {at} brings all of it anew."
        return f"Bring them once: leave them out of what {first} brings, since {at} brings them anew."
    if not copied:
        return f"Write them once: join this step with the one that wrote them first, {first}."
    below = read_copy(evidence, copied[0])
    if below is not None and below.stage is not None:
        return f"Change them before they are copied: do what {at} does to them at the end of {_maker(found, below)}."
    taken = [below.source_of(item.path) for item in found.items] if below is not None else []
    known = [source.removeprefix("./") for source in taken if source is not None]
    anew = f"Where {at} makes them anew, name them in the ignore file: {name_some(known)}. Else c" if known else "C"
    return (
        f"{anew}hange them before they are copied: put {name_lines(copied)} and {at} into a stage of their own "
        f"(FROM {evidence.base} AS prepared), and take over what they leave: COPY --from=prepared "
        f"/{found.items[0].path} /{found.items[0].path}"
    )


def _maker(found: Rewritten, copy: Copy) -> str:
    source = copy.source_of(found.items[0].path)
    where = name_maker(copy.stage, source) if copy.stage is not None else ""
    return f"{where}, where the first is {source}" if source is not None else where


RULE = Rule(name="overwritten-later", find=_find)
