"""All rules in one place: what they find of an image, without what the config says to ignore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from ci_budget.core.findings.rule import Evidence, Rule
from ci_budget.core.findings.rules import (
    apt_leftovers,
    base_not_pinned,
    build_tools,
    bytecode,
    context_ballast,
    deleted_later,
    duplicate_content,
    mergeable_steps,
    model_weights,
    overwritten_later,
    package_caches,
    packaged_tests,
    permission_copies,
    static_libraries,
    temporary_peak,
    venv_copy,
)
from ci_budget.core.records.report import Finding
from ci_budget.core.text.plain_text import one_line

if TYPE_CHECKING:
    from ci_budget.core.config.model import IgnoredFinding

ALL: Final[tuple[Rule, ...]] = (
    model_weights.RULE,
    apt_leftovers.RULE,
    package_caches.RULE,
    build_tools.RULE,
    permission_copies.RULE,
    deleted_later.RULE,
    overwritten_later.RULE,
    duplicate_content.RULE,
    venv_copy.RULE,
    temporary_peak.RULE,
    static_libraries.RULE,
    packaged_tests.RULE,
    bytecode.RULE,
    context_ballast.RULE,
    mergeable_steps.RULE,
    base_not_pinned.RULE,
)
"""Every rule; of findings with equal bytes the earlier rule's comes first."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Findings, largest first, and what is to be said of the ones that the config ignores, a sentence each."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]


def find_all(evidence: Evidence, *, ignored: Sequence[IgnoredFinding] = (), today: date) -> Found:
    """What every rule finds. An ignored rule's findings are left out and counted in a note, with the reason; one whose
    last day is over no longer ignores, and the note says so. Raises ConfigError for an `--exclude` that the engine
    refuses."""
    silent = {entry.rule: entry for entry in ignored if entry.until is None or entry.until >= today}
    notes = [
        f"findings of {entry.rule} were ignored until {entry.until.isoformat()} ({one_line(entry.reason)}); "
        "that day is over, so they are shown again"
        for entry in ignored
        if entry.until is not None and entry.rule not in silent
    ]
    found: list[Finding] = []
    for rule in ALL:
        here = list(rule.find(evidence))
        entry_for = silent.get(rule.name)
        if entry_for is None:
            found += here
        elif here:
            until = f" until {entry_for.until.isoformat()}" if entry_for.until is not None else ""
            count = f"{len(here)} finding{'s' if len(here) > 1 else ''}"
            notes.append(f"{count} of {rule.name} ignored{until}: {one_line(entry_for.reason)}")
    found.sort(key=lambda finding: -(finding.bytes if finding.bytes is not None else -1))
    return Found(findings=tuple(found), notes=tuple(notes))
