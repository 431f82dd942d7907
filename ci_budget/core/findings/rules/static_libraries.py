"""Static libraries among installed packages: only a linker reads them."""

from __future__ import annotations

from collections.abc import Iterator

from ci_budget.core.findings.copies import end_with
from ci_budget.core.findings.rule import Evidence, Rule, by_layer, count_files, make_finding
from ci_budget.core.findings.rules.packaged import package_roots, within_packages
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size


def _find(evidence: Evidence) -> Iterator[Finding]:
    found = [file for file in evidence.ending_in(".a") if within_packages(file.path)]
    for group in by_layer(found):
        place = evidence.place(group.layer)
        roots = package_roots(file.path for file in found if file.layer == group.layer)
        yield make_finding(
            evidence,
            RULE.name,
            place,
            size=group.size,
            message=f"Static libraries come with the packages of {place.step}: {format_size(group.size)} in "
            f"{count_files(group.count)}, the largest /{group.largest}; only a linker reads them.",
            mend=end_with(evidence, place, f"find {roots} -name '*.a' -delete"),
        )


RULE = Rule(name="static-libraries", find=_find)
