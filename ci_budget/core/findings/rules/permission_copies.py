"""`chmod` and `chown` on files of a lower layer: each file is copied whole into the new one."""

from __future__ import annotations

from collections.abc import Iterator

from ci_budget.core.findings.rule import Evidence, Rule, count_files, make_finding
from ci_budget.core.findings.rules.rewritten import find_rewritten
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size


def _find(evidence: Evidence) -> Iterator[Finding]:
    for found in find_rewritten(evidence, permissions=True):
        place = evidence.place(found.hid)
        writers = [evidence.place(layer) for layer in found.wrote]
        copied = [writer for writer in writers if writer.command.upper().startswith(("COPY", "ADD"))]
        if copied:
            line = f" in line {copied[0].line}" if copied[0].line is not None else ""
            mend = (
                f"Give them their owner and mode when they are copied{line}: COPY --chown=USER:GROUP --chmod=MODE ..."
            )
        elif evidence.image is not None and found.wrote[0] < evidence.image.inherited:
            mend = "Change only what is yours: name its folder instead of one that the base image filled."
        else:
            lines = ", ".join(str(writer.line) for writer in writers if writer.line is not None)
            at = f", line {lines}" if lines else ""
            mend = f"Change them in the RUN that writes them{at}: && chown USER:GROUP FILES && chmod MODE FILES"
        yield make_finding(
            evidence,
            RULE.name,
            place,
            size=found.size,
            message=f"{place.step} changes owner or mode of {count_files(found.count)} of lower layers, and so copies "
            f"{format_size(found.size)}: {found.names}.",
            mend=mend,
        )


RULE = Rule(name="permission-copies", find=_find)
