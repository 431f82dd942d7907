"""Python byte code compiled while packages were installed: Python makes it again when it wants it."""

from __future__ import annotations

from collections.abc import Iterator

from ci_budget.core.findings.rule import Evidence, Rule, by_layer, count_files, make_finding, shell_text
from ci_budget.core.findings.rules.packaged import worth_a_trade
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size


def _find(evidence: Evidence) -> Iterator[Finding]:
    for group in by_layer(evidence.ending_in(".pyc"), least=worth_a_trade(evidence)):
        place = evidence.place(group.layer)
        text = shell_text(evidence.instruction(place))
        mend = (
            "Install with `pip install --no-compile`"
            if "pip install" in text
            else "Leave it out: && find / -xdev -name __pycache__ -depth -exec rm -rf '{}' +"
        )
        yield make_finding(
            evidence,
            RULE.name,
            place,
            size=group.size,
            message=f"{place.step} leaves {format_size(group.size)} of Python byte code in {count_files(group.count)}.",
            mend=f"{mend}; set ENV PYTHONDONTWRITEBYTECODE=1. The first start of a container is slower for it.",
            quiet=True,
        )


RULE = Rule(name="bytecode", find=_find)
