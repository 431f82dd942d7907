"""What the rules find of an image that was not built here, from its layers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ci_budget.commands.image_evidence import ImageEvidence
from ci_budget.core.findings.all_rules import find_all
from ci_budget.core.findings.rule import Evidence
from ci_budget.core.layers.bases import guess_inherited, unknown_layers
from ci_budget.core.records.report import ImageReport

if TYPE_CHECKING:
    from ci_budget.core.config.model import IgnoredFinding


def add_stored_findings(
    report: ImageReport, evidence: ImageEvidence, ignored: Sequence[IgnoredFinding] = ()
) -> ImageReport:
    """The report with them, and a note that says which layers were taken for the base image's."""
    image = evidence.image
    inherited = guess_inherited(image.history, len(image.layers))
    image = replace(image, inherited=inherited)
    given = Evidence(report=report, image=image, waste=evidence.waste, inventory=evidence.inventory)
    found = find_all(given, ignored=ignored, today=datetime.now(UTC).date())
    notes = [*report.notes, *evidence.notes, *found.notes]
    if unknown := unknown_layers(image):
        notes.append(
            f"the image's history names no instruction for {unknown} of {len(image.layers)} layers (imported or "
            "squashed, or nobody told): which step brought what they hold is not known"
        )
    if inherited:
        layers = f"the lowest {inherited} of {len(image.layers)} layers"
        notes.append(f"{layers} look like the base image's: what they hold is no finding")
    return report.model_copy(update={"findings": list(found.findings), "notes": notes})
