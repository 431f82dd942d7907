"""What the rules find of an image that was built: the evidence put together, the findings put into its report."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from ci_budget.commands.context_use import SharedContext, read_context_use
from ci_budget.commands.preparation import PreparedImage
from ci_budget.core.findings.all_rules import find_all
from ci_budget.core.findings.context_use import ContextUse
from ci_budget.core.findings.rule import Evidence
from ci_budget.core.inventory.model import Inventory
from ci_budget.core.layers.model import ImageLayers
from ci_budget.core.layers.waste import Waste
from ci_budget.core.records.report import ImageReport
from ci_budget.edges.files.config_file import repository_root
from ci_budget.edges.files.context_files import find_ignore_file
from ci_budget.edges.sites.disk_mode import own_platform
from ci_budget.errors import CiBudgetError


def add_findings(
    report: ImageReport,
    prepared: PreparedImage,
    *,
    image: ImageLayers | None = None,
    waste: Waste | None = None,
    inventory: Inventory | None = None,
) -> ImageReport:
    """The report with what the rules find; `image`, `waste` and `inventory` are None where none was built or read.

    The gate does not depend on it: where a context cannot be understood, a note says that it was left out.
    """
    notes: list[str] = []
    try:
        context = _context_use(prepared)
    except CiBudgetError as error:
        context = None
        notes.append(prepared.redact(f"the context was not searched for what no build needs: {error.what}"))
    evidence = Evidence(
        report=report,
        dockerfile=prepared.job.files.parsed,
        plan=prepared.plan,
        image=image,
        waste=waste,
        inventory=inventory,
        context=context,
    )
    found = find_all(evidence, ignored=prepared.job.ignored, today=datetime.now(UTC).date())
    findings = [
        finding.model_copy(
            update={"message": prepared.redact(finding.message), "mend": prepared.redact(finding.mend)}
        )
        for finding in found.findings
    ]  # fmt: skip
    return report.model_copy(update={"findings": findings, "notes": [*report.notes, *notes, *found.notes]})


def _context_use(prepared: PreparedImage) -> ContextUse | None:
    job, files = prepared.job, prepared.job.files
    ignore = find_ignore_file(files.context, files.dockerfile)
    shown = os.path.relpath(ignore or files.context / ".dockerignore", repository_root(job.folder))
    shared = SharedContext(
        context=files.context,
        dockerfile=files.dockerfile,
        parsed=files.parsed,
        build_args={**prepared.request.build_args, **prepared.request.secret_build_args},
        platform=job.image.platform or own_platform(),
        build_contexts=tuple(job.image.build_contexts),
        others=job.neighbours,
    )
    return read_context_use(shared, prepared.measure, shown=shown)
