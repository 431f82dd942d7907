"""Test suites that packages bring along."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ci_budget.core.findings.copies import end_with
from ci_budget.core.findings.rule import Evidence, Rule, by_layer, count_files, make_finding
from ci_budget.core.findings.rules.packaged import package_roots, worth_a_trade
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size

# a package's `testing` is part of its interface, its `tests` is not
_TESTS = re.compile(r"(?:site-packages|dist-packages)/(?:[^/]+/)+tests?/")


def _find(evidence: Evidence) -> Iterator[Finding]:
    found = list(evidence.within(_TESTS.search))
    for group in by_layer(found, least=worth_a_trade(evidence)):
        place = evidence.place(group.layer)
        roots = package_roots(file.path for file in found if file.layer == group.layer)
        yield make_finding(
            evidence,
            RULE.name,
            place,
            size=group.size,
            message=f"The packages of {place.step} bring their test suites: {format_size(group.size)} in "
            f"{count_files(group.count)}.",
            mend=end_with(
                evidence, place, f"find {roots} -mindepth 2 -depth -type d -name tests -exec rm -rf '{{}}' +"
            ),
            quiet=True,
        )


RULE = Rule(name="packaged-tests", find=_find)
