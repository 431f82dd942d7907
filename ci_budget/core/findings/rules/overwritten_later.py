"""Files that a later step writes anew: the lower layer keeps the old content."""

from __future__ import annotations

from collections.abc import Iterator

from ci_budget.core.findings.rule import Evidence, Rule, count_files, make_finding
from ci_budget.core.findings.rules.rewritten import find_rewritten
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
        lines = ", ".join(dict.fromkeys(str(writer.line) for writer in own if writer.line is not None))
        if own:
            at = f", line {lines}" if lines else ""
            mend = f"Write them once: join this step with the one that wrote them first{at}."
        else:
            mend = "Take a newer base image that has the new files already, instead of writing over the old ones."
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


RULE = Rule(name="overwritten-later", find=_find)
