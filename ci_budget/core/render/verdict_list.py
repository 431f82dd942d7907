"""Many images as text: one line for each that wants attention, the others counted."""

from __future__ import annotations

from collections import Counter

from ci_budget.core.records.report import ImageReport, Report, Verdict
from ci_budget.core.render.escape import escape_terminal
from ci_budget.core.render.figures import ATTENTION, attention_first
from ci_budget.core.text.plain_text import shorten

_SHOWN = 100
_LONGEST = 300
_FINE = (Verdict.PASS, Verdict.DISABLED)


def render_verdict_list(report: Report, *, report_folder: str) -> str:
    """The verdicts as lines, worst first, ended by a line break; `report_folder`: where the whole report lies."""
    loud = [image for image in attention_first(report.images) if image.verdict not in _FINE]
    lines = [f"{image.verdict.value:<13} {shorten(image.name, 80)}: {_why(image)}" for image in loud[:_SHOWN]]
    if len(loud) > _SHOWN:
        lines.append(f"and {len(loud) - _SHOWN:,} more")
    lines += [f"note: {note}" for note in report.notes[:_SHOWN]]
    counts = Counter(image.verdict for image in report.images)
    said = ", ".join(f"{counts[verdict]:,} {verdict.value}" for verdict in ATTENTION if counts[verdict])
    plural = "image" if len(report.images) == 1 else "images"
    lines.append(f"{len(report.images):,} {plural}: {said or 'nothing is known'}")
    lines.append(f"{report.verdict.value} (exit {report.exit_code}); the whole report: {report_folder}")
    return "".join(f"{escape_terminal(shorten(line, _LONGEST))}\n" for line in lines)


def _why(image: ImageReport) -> str:
    if image.failure is not None:
        return f"{image.failure.kind}: {image.failure.message}"
    stages = [(f"{stage.name}: {name}", held) for stage in image.stages for name, held in stage.metrics.items()]
    for name, metric in [*image.metrics.named(), *stages]:
        if metric.verdict == image.verdict and metric.message:
            return f"{name}: {metric.message}"
    return "see the report"
