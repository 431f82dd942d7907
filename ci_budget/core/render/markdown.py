"""The report as GitHub Markdown: `report.md`, also the job summary. Everything untrusted is escaped."""

from __future__ import annotations

from ci_budget.core.records.report import ImageReport, Report
from ci_budget.core.render.disk_steps import peak_step_lines
from ci_budget.core.render.escape import code, escape_markdown
from ci_budget.core.render.figures import Row, against_said, all_rows, attention_first, disk_said, peak_parts
from ci_budget.core.render.markdown_parts import (
    contributor_list,
    failure_quote,
    finding_list,
    limit_table,
    message_list,
    metric_tables,
    note_list,
    reason_list,
    row_cells,
    short_text,
    smoke_line,
    stage_table,
    step_list,
    table_line,
    verdict_mark,
)

LARGEST = 1_000_000
"""Bytes of UTF-8; above 1 MiB GitHub drops a job summary whole."""

_SHOWN = 20


def render_markdown(report: Report, *, report_folder: str = "REPORT", largest: int = LARGEST) -> str:
    """The report in at most `largest` bytes, failing images first; what does not fit is left out with a pointer.

    `report_folder`: where report.json lies; it stands in the commands to type next.
    """
    head = [
        f"## {verdict_mark(report.verdict)}: ci-budget (exit {report.exit_code})",
        escape_markdown(against_said(report) or ""),
        *reason_list(attention_first(report.images)),
        _summary(report),
        *limit_table(report.limits_changed),
        *note_list(report.notes),
        *step_list(report, report_folder),
    ]
    kept = ["\n\n".join(part for part in head if part)]
    room = largest - 400 - len(report_folder.encode()) - len(kept[0].encode())
    images = attention_first(report.images)
    for index, image in enumerate(images):  # whole images: a cut one would leave tables and details open
        block = "\n\n".join(_image(image))
        room -= len(block.encode()) + 2
        if room < 0:
            missing = len(images) - index
            plural = "images" if missing > 1 else "image"
            kept.append(f"**{missing} more {plural} left out:** the whole report is {code(report_folder)}.")
            break
        kept.append(block)
    return "\n\n".join(kept) + "\n"


def _summary(report: Report) -> str:
    if not report.images:
        return ""
    lines = [
        "| image | metric | base | now | delta | percent | limit | verdict |",
        "|---|---|--:|--:|--:|--:|--:|---|",
    ]
    loud = [(image, row) for image in attention_first(report.images) for row in all_rows(image) if _is_loud(row)]
    lines += [table_line([code(short_text(image.name)), *row_cells(row)]) for image, row in loud[:_SHOWN]]
    for image in attention_first(report.images):
        if image.failure is not None:
            text = f"**{image.failure.kind}**: {escape_markdown(short_text(image.failure.message))}"
            lines.append(
                table_line([code(short_text(image.name)), text, "", "", "", "", "", verdict_mark(image.verdict)])
            )
    if len(lines) == 2:
        names = ", ".join(code(short_text(image.name)) for image in report.images[:_SHOWN])
        return f"Nothing changed beyond its limits in {names}."
    more = f"\n\n{len(loud) - _SHOWN} more rows are below." if len(loud) > _SHOWN else ""
    return "\n".join(lines) + more


def _is_loud(row: Row) -> bool:
    """What a reader of a pull request wants on top: trouble, and whatever changed."""
    metric = row.metric
    return not row.quiet and (metric.gated or bool(metric.delta))


def _image(image: ImageReport) -> list[str]:
    new = " (new here)" if image.new else ""
    target = f", target {code(image.target)}" if image.target else ""
    where = f"; {escape_markdown(disk_said(image.disk))}" if image.disk is not None else ""
    parts = [
        f"### {verdict_mark(image.verdict)}: {code(short_text(image.name))}{new}",
        f"{code(short_text(image.dockerfile))}{target}{where}",
        *failure_quote(image),
        *metric_tables(image),
        *message_list(image),
        *stage_table(image.stages),
    ]
    peak = image.metrics.peak_disk
    if peak is not None and peak.composition is not None:
        parts.append(f"The peak was made of: {peak_parts(peak.composition)}.")
    parts += [f"{escape_markdown(line)}." for line in peak_step_lines(image)]
    parts += smoke_line(image.smoke)
    parts += contributor_list(image.contributors)
    parts += finding_list(image.findings)
    parts += limit_table(image.limits_changed)
    parts += note_list(image.notes)
    return parts
