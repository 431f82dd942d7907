"""The parts of a report in GitHub Markdown, for report.md and for the comment. Everything untrusted is escaped."""

from __future__ import annotations

import shlex
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
from ci_budget.core.render.figures import Row, all_rows, image_rows, next_steps, stage_rows
from ci_budget.core.render.growth import tell_changes, tell_split
from ci_budget.core.render.headline import headline
from ci_budget.core.text.units import format_seconds, format_size

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


def failure_quote(image: ImageReport) -> list[str]:
    """Why the image has no full set of values, with the end of what the step printed."""
    failure = image.failure
    if failure is None:
        return []
    place = f"{image.dockerfile}:{failure.line}" if failure.line is not None else image.dockerfile
    stage = f", stage {code(short_text(failure.stage))}" if failure.stage else ""
    text = f"> **{failure.kind}** at {code(short_text(place))}{stage}: {escape_markdown(short_text(failure.message))}"
    if failure.last_lines:
        text += "\n>\n" + "\n".join(f"> - {code(short_text(line) or ' ')}" for line in failure.last_lines)
    if failure.mend:
        text += f"\n>\n> {escape_markdown(short_text(failure.mend))}"
    return [text]


def metric_tables(image: ImageReport) -> list[str]:
    """The metrics: those that want attention, then the others, folded."""
    rows = image_rows(image)
    loud = [row for row in rows if not row.quiet]
    quiet = [row for row in rows if row.quiet]
    tables = [metric_table(loud)] if loud else []
    if quiet:
        plural = "metrics" if len(quiet) > 1 else "metric"
        summary = f"<summary>{len(quiet)} more {plural}, unchanged or only reported</summary>"
        tables.append(f"<details>{summary}\n\n{metric_table(quiet)}\n\n</details>")
    return tables


def metric_table(rows: Sequence[Row]) -> str:
    """Rows of metrics as a table."""
    lines = ["| metric | base | now | delta | percent | limit | verdict |", "|---|--:|--:|--:|--:|--:|---|"]
    return "\n".join(lines + [table_line(row_cells(row)) for row in rows])


def row_cells(row: Row) -> list[str]:
    """The cells of a metric: name, base, now, delta, percent, limit, verdict."""
    name = code(row.name) if row.stage is None else f"{code(short_text(row.stage))}: {code(row.name)}"
    return [name, row.baseline, row.now, row.delta, row.percent or "0 %", row.limit, verdict_mark(row.metric.verdict)]


def message_list(image: ImageReport) -> list[str]:
    """What the gate said of each metric that did not simply pass."""
    explained = image.failure is not None
    wanted = [
        row
        for row in all_rows(image)
        if row.metric.gated and _wants_words(row) and not (explained and row.metric.verdict == Verdict.NOT_MEASURED)
    ]
    said = [f"- {row_cells(row)[0]}: {escape_markdown(short_text(row.metric.message))}" for row in wanted]
    return ["\n".join(said)] if said else []


def _wants_words(row: Row) -> bool:
    return row.metric.verdict != Verdict.PASS or "; " in row.metric.message


def stage_table(stages: Sequence[StageReport]) -> list[str]:
    """Every stage with its metrics."""
    names = [name for name in STAGE_METRIC_NAMES if any(name in stage.metrics for stage in stages)]
    if not stages:
        return []
    lines = [
        table_line(["stage", "line", *(code(name) for name in names), "verdict"]),
        table_line(["---", "--:", *("--:" for _ in names), "---"]),
    ]
    for stage in stages:
        figures = {row.name: row.now for row in stage_rows(stage)}
        verdict = verdict_mark(stage.verdict) if stage.reached else "not reached"
        line = str(stage.line) if stage.line is not None else "-"
        cells = (figures.get(name, "-") for name in names)
        lines.append(table_line([code(short_text(stage.name)), line, *cells, verdict]))
    return ["\n".join(lines)]


def smoke_line(smoke: SmokeReport | None) -> list[str]:
    """How the smoke test ended."""
    if smoke is None:
        return []
    word = "passed" if smoke.passed else "**failed**"
    told = f": {escape_markdown(short_text(smoke.message))}" if smoke.message else ""
    return [
        f"Smoke test {word} in {format_seconds(smoke.seconds)}, gpu {escape_markdown(smoke.gpu)}: "
        f"{code(short_text(shlex.join(smoke.command)))}{told}"
    ]


def reason_list(images: Sequence[ImageReport]) -> list[str]:
    """The main reason of each verdict, one line an image; nothing where no image has one."""
    told = [(image, headline(image)) for image in images]
    lines = [
        f"**Why** {code(short_text(image.name))}: {escape_markdown(short_text(reason))}"
        for image, reason in told
        if reason is not None
    ]
    return ["\n\n".join(lines[:_SHOWN])] if lines else []


def contributor_list(found: Sequence[Contributor]) -> list[str]:
    """What grew and what shrank, and whose doing it is."""
    if not found:
        return []
    lines = [f"- {escape_markdown(short_text(text))}" for text in tell_changes(found, _SHOWN)]
    return [f"**What changed in the image** ({escape_markdown(tell_split(found))})\n\n" + "\n".join(lines)]


def finding_list(found: Sequence[Finding]) -> list[str]:
    """Advice, with its bytes, and below it the mend."""
    lines = []
    for item in found[:_SHOWN]:
        size = f" ({format_size(item.bytes)})" if item.bytes else ""
        line = f":{item.line}" if item.line is not None else ""
        place = f" {code(short_text(f'{item.file}{line}'))}" if item.file else ""
        message, mend = escape_markdown(short_text(item.message)), escape_markdown(short_text(item.mend))
        lines.append(f"- **{escape_markdown(item.severity)}** {code(item.rule)}{size}{place}: {message}\n  - {mend}")
    return ["**Findings**\n\n" + "\n".join(lines) + _more(len(found))] if lines else []


def limit_table(changes: Sequence[LimitChange]) -> list[str]:
    """The limits that the proposal changes."""
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
        sides = [
            escape_markdown(short_text(side)) if side is not None else "none" for side in (change.base, change.head)
        ]
        lines.append(table_line([code(short_text(change.path)), *sides, word]))
    return ["\n".join(lines)]


def note_list(notes: Sequence[str]) -> list[str]:
    """What a reader must know."""
    return ["\n".join(f"- note: {escape_markdown(short_text(note))}" for note in notes)] if notes else []


def step_list(report: Report, folder: str) -> list[str]:
    """What to do next, with the commands to type; `folder` is where report.json lies."""
    lines = []
    for step in next_steps(report, folder):
        command = f" {code(short_text(step.command))}" if step.command is not None else ""
        lines.append(f"- {escape_markdown(short_text(step.text))}{command}")
    return ["**Next**\n\n" + "\n".join(lines)] if lines else []


def _more(count: int) -> str:
    return f"\n- and {count - _SHOWN} more in report.json" if count > _SHOWN else ""


def table_line(cells: Sequence[str]) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"


def verdict_mark(verdict: Verdict) -> str:
    """A verdict with its sign."""
    return f"{_MARKS[verdict]} {verdict.value}"


def short_text(text: str) -> str:
    """Text that is cut where it is longer than anybody reads."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
