"""The report as GitHub Markdown: `report.md`, also the job summary. Everything untrusted is escaped."""

from __future__ import annotations

from collections.abc import Sequence

from ci_budget.core.records.report import (
    STAGE_METRIC_NAMES,
    Contributor,
    Finding,
    ImageReport,
    LimitChange,
    Report,
    SmokeReport,
    StageReport,
    Verdict,
)
from ci_budget.core.render.escape import code, escape_markdown
from ci_budget.core.render.figures import (
    Row,
    all_rows,
    attention_first,
    disk_said,
    image_rows,
    next_steps,
    peak_parts,
    stage_rows,
)
from ci_budget.core.text.units import format_delta, format_seconds, format_size

LARGEST = 1_000_000
"""Bytes of UTF-8; above 1 MiB GitHub drops a job summary whole."""

_MARKS = {
    Verdict.PASS: "✅",
    Verdict.WARN: "⚠️",
    Verdict.FAIL: "❌",
    Verdict.BUILD_FAILED: "❌",
    Verdict.NOT_MEASURED: "❔",
    Verdict.INCOMPARABLE: "❔",
    Verdict.NO_BASELINE: "➖",
    Verdict.DISABLED: "➖",
}
_SHOWN = 20
_LONGEST_TEXT = 2000


def render_markdown(report: Report, *, report_folder: str = "REPORT", largest: int = LARGEST) -> str:
    """The report in at most `largest` bytes, failing images first; what does not fit is left out with a pointer.

    `report_folder`: where report.json lies; it stands in the commands to type next.
    """
    head = [
        f"## {_verdict(report.verdict)}: ci-budget (exit {report.exit_code})",
        _summary(report),
        *_limits(report.limits_changed),
        *_notes(report.notes),
        *_steps(report, report_folder),
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
    lines += [_line([code(_short(image.name)), *_cells(row)]) for image, row in loud[:_SHOWN]]
    for image in attention_first(report.images):
        if image.failure is not None:
            text = f"**{image.failure.kind}**: {escape_markdown(_short(image.failure.message))}"
            lines.append(_line([code(_short(image.name)), text, "", "", "", "", "", _verdict(image.verdict)]))
    if len(lines) == 2:
        names = ", ".join(code(_short(image.name)) for image in report.images[:_SHOWN])
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
        f"### {_verdict(image.verdict)}: {code(_short(image.name))}{new}",
        f"{code(_short(image.dockerfile))}{target}{where}",
        *_failure(image),
        *_metric_tables(image),
        *_messages(image),
        *_stages(image.stages),
    ]
    peak = image.metrics.peak_disk
    if peak is not None and peak.composition is not None:
        parts.append(f"The peak was made of: {peak_parts(peak.composition)}.")
    parts += _smoke(image.smoke)
    parts += _contributors(image.contributors)
    parts += _findings(image.findings)
    parts += _limits(image.limits_changed)
    parts += _notes(image.notes)
    return parts


def _failure(image: ImageReport) -> list[str]:
    failure = image.failure
    if failure is None:
        return []
    place = f"{image.dockerfile}:{failure.line}" if failure.line is not None else image.dockerfile
    stage = f", stage {code(_short(failure.stage))}" if failure.stage else ""
    text = f"> **{failure.kind}** at {code(_short(place))}{stage}: {escape_markdown(_short(failure.message))}"
    if failure.last_lines:
        text += "\n>\n" + "\n".join(f"> - {code(_short(line) or ' ')}" for line in failure.last_lines)
    if failure.mend:
        text += f"\n>\n> {escape_markdown(_short(failure.mend))}"
    return [text]


def _metric_tables(image: ImageReport) -> list[str]:
    rows = image_rows(image)
    loud = [row for row in rows if not row.quiet]
    quiet = [row for row in rows if row.quiet]
    tables = [_table(loud)] if loud else []
    if quiet:
        plural = "metrics" if len(quiet) > 1 else "metric"
        summary = f"<summary>{len(quiet)} more {plural}, unchanged or only reported</summary>"
        tables.append(f"<details>{summary}\n\n{_table(quiet)}\n\n</details>")
    return tables


def _table(rows: Sequence[Row]) -> str:
    lines = ["| metric | base | now | delta | percent | limit | verdict |", "|---|--:|--:|--:|--:|--:|---|"]
    return "\n".join(lines + [_line(_cells(row)) for row in rows])


def _cells(row: Row) -> list[str]:
    name = code(row.name) if row.stage is None else f"{code(_short(row.stage))}: {code(row.name)}"
    return [name, row.baseline, row.now, row.delta, row.percent or "0 %", row.limit, _verdict(row.metric.verdict)]


def _messages(image: ImageReport) -> list[str]:
    explained = image.failure is not None
    wanted = [
        row
        for row in all_rows(image)
        if row.metric.gated and _wants_words(row) and not (explained and row.metric.verdict == Verdict.NOT_MEASURED)
    ]
    said = [f"- {_cells(row)[0]}: {escape_markdown(_short(row.metric.message))}" for row in wanted]
    return ["\n".join(said)] if said else []


def _wants_words(row: Row) -> bool:
    return row.metric.verdict != Verdict.PASS or "; " in row.metric.message


def _stages(stages: Sequence[StageReport]) -> list[str]:
    names = [name for name in STAGE_METRIC_NAMES if any(name in stage.metrics for stage in stages)]
    if not stages:
        return []
    lines = [
        _line(["stage", "line", *(code(name) for name in names), "verdict"]),
        _line(["---", "--:", *("--:" for _ in names), "---"]),
    ]
    for stage in stages:
        figures = {row.name: row.now for row in stage_rows(stage)}
        verdict = _verdict(stage.verdict) if stage.reached else "not reached"
        line = str(stage.line) if stage.line is not None else "-"
        cells = (figures.get(name, "-") for name in names)
        lines.append(_line([code(_short(stage.name)), line, *cells, verdict]))
    return ["\n".join(lines)]


def _smoke(smoke: SmokeReport | None) -> list[str]:
    if smoke is None:
        return []
    word = "passed" if smoke.passed else "**failed**"
    told = f": {escape_markdown(_short(smoke.message))}" if smoke.message else ""
    return [
        f"Smoke test {word} in {format_seconds(smoke.seconds)}, gpu {escape_markdown(smoke.gpu)}: "
        f"{code(_short(' '.join(smoke.command)))}{told}"
    ]


def _contributors(found: Sequence[Contributor]) -> list[str]:
    lines = [
        f"- {format_delta(item.delta, 'bytes')} {escape_markdown(item.kind)} {code(_short(item.name))}"
        for item in found[:_SHOWN]
    ]
    return ["**What changed**\n\n" + "\n".join(lines) + _more(len(found))] if lines else []


def _findings(found: Sequence[Finding]) -> list[str]:
    lines = []
    for item in found[:_SHOWN]:
        size = f" ({format_size(item.bytes)})" if item.bytes is not None else ""
        place = f" {code(_short(f'{item.file}:{item.line}'))}" if item.file and item.line else ""
        text = f"{escape_markdown(_short(item.message))} {escape_markdown(_short(item.mend))}"
        lines.append(f"- **{escape_markdown(item.severity)}** {code(item.rule)}{size}{place}: {text}")
    return ["**Findings**\n\n" + "\n".join(lines) + _more(len(found))] if lines else []


def _limits(changes: Sequence[LimitChange]) -> list[str]:
    if not changes:
        return []
    lines = [
        "**Limits changed here** (they do not count for this run)",
        "",
        "| limit | base | here | |",
        "|---|--:|--:|---|",
    ]
    for change in changes:
        word = "looser" if change.loosened else "tighter"
        sides = [escape_markdown(_short(side)) if side is not None else "none" for side in (change.base, change.head)]
        lines.append(_line([code(_short(change.path)), *sides, word]))
    return ["\n".join(lines)]


def _notes(notes: Sequence[str]) -> list[str]:
    return ["\n".join(f"- note: {escape_markdown(_short(note))}" for note in notes)] if notes else []


def _steps(report: Report, folder: str) -> list[str]:
    lines = []
    for step in next_steps(report, folder):
        command = f" {code(_short(step.command))}" if step.command is not None else ""
        lines.append(f"- {escape_markdown(_short(step.text))}{command}")
    return ["**Next**\n\n" + "\n".join(lines)] if lines else []


def _more(count: int) -> str:
    return f"\n- and {count - _SHOWN} more in report.json" if count > _SHOWN else ""


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _verdict(verdict: Verdict) -> str:
    return f"{_MARKS[verdict]} {verdict.value}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
