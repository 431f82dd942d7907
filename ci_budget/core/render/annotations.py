"""The report as GitHub annotations: one workflow command a line, worst first, on lines of the Dockerfiles."""

from __future__ import annotations

from ci_budget.core.records.report import Report
from ci_budget.core.render.remarks import Remark, Severity, finding_remarks, gate_remarks
from ci_budget.core.text.plain_text import one_line, shorten
from ci_budget.core.text.workflow_text import Level, format_annotation

MOST_PER_LEVEL = 10
"""GitHub shows at most ten annotations of a level a step."""

MOST_FINDINGS = 5
"""Findings are advice: the largest are annotated, the report has all."""

LONGEST_MESSAGE = 2000

_LEVELS: dict[Severity, Level] = {"error": "error", "warning": "warning", "note": "notice"}


def render_annotations(report: Report) -> str:
    """The commands that annotate what failed or warns, and the largest findings; empty where there is nothing."""
    found: dict[Level, list[str]] = {"error": [], "warning": [], "notice": []}
    for remark in [*gate_remarks(report), *finding_remarks(report)[:MOST_FINDINGS]]:
        level = _LEVELS[remark.severity]
        found[level].append(_annotation(level, remark))
    lines: list[str] = []
    for level, texts in found.items():
        lines += texts[:MOST_PER_LEVEL] if len(texts) <= MOST_PER_LEVEL else texts[: MOST_PER_LEVEL - 1]
        if len(texts) > MOST_PER_LEVEL:
            left = len(texts) - MOST_PER_LEVEL + 1
            lines.append(format_annotation(level, f"{left} more; the summary and the report name them all"))
    return "".join(f"{line}\n" for line in lines)


def _annotation(level: Level, remark: Remark) -> str:
    return format_annotation(
        level,
        one_line(shorten(remark.message, LONGEST_MESSAGE)),
        title=one_line(shorten(f"{remark.image}: {remark.title}", 200)),
        file=one_line(remark.file),
        line=remark.line,
    )
