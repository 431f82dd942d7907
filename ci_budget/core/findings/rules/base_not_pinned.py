"""An image from outside that is named by a tag: the same Dockerfile makes another image tomorrow."""

from __future__ import annotations

from collections.abc import Iterator

from ci_budget.core.findings.rule import Evidence, Place, Rule, make_finding
from ci_budget.core.records.report import Finding
from ci_budget.core.stages.references import parse_reference
from ci_budget.core.text.plain_text import one_line
from ci_budget.core.text.units import format_size


def _find(evidence: Evidence) -> Iterator[Finding]:
    digests = {base.reference: base.digest for base in evidence.inventory.bases} if evidence.inventory else {}
    sizes = {base.reference: base.size for base in evidence.report.bases}
    seen: set[str] = set()
    for external in evidence.plan.externals if evidence.plan is not None else ():
        if external.pinned or not external.used or external.reference in seen:
            continue
        seen.add(external.reference)
        digest, size = digests.get(external.reference), sizes.get(external.reference)
        name = parse_reference(external.reference).familiar
        fixed = f"{name}@{digest.rpartition('@')[2]}" if digest else f"{name}@sha256:..."
        found = "" if digest else f" (`docker buildx imagetools inspect {name}` tells it)"
        where = f" in the ARG of {one_line(external.written)}" if "$" in external.written else ""
        held = f" ({format_size(size)})" if size is not None else ""
        # it costs no bytes today: what it may cost, nobody can measure
        yield make_finding(
            evidence,
            RULE.name,
            Place(stage=external.stage, line=external.line, command=""),
            size=None,
            message=f"{name}{held} is named by a tag, which may be another image tomorrow: the image then changes "
            "without a change here.",
            mend=f"Name it by its digest as well{where}: {fixed}{found}",
            quiet=True,
        )


RULE = Rule(name="base-not-pinned", find=_find)
