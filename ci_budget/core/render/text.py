"""The report on a terminal: what a person wants to see when the run is over."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from io import StringIO

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ci_budget.core.records.report import (
    STAGE_METRIC_NAMES,
    Failure,
    ImageReport,
    LimitChange,
    Report,
    SmokeReport,
    StageReport,
    Verdict,
)
from ci_budget.core.render.disk_steps import peak_step_lines
from ci_budget.core.render.escape import escape_terminal, silence_commands
from ci_budget.core.render.figures import (
    Row,
    against_said,
    all_rows,
    disk_said,
    image_rows,
    next_steps,
    peak_parts,
    stage_rows,
)
from ci_budget.core.render.growth import tell_changes, tell_split
from ci_budget.core.render.headline import headline
from ci_budget.core.text.units import format_seconds, format_size

_STYLES = {
    Verdict.PASS: "green",
    Verdict.WARN: "yellow",
    Verdict.FAIL: "bold red",
    Verdict.BUILD_FAILED: "bold red",
    Verdict.NOT_MEASURED: "magenta",
    Verdict.INCOMPARABLE: "magenta",
    Verdict.NO_BASELINE: "cyan",
    Verdict.DISABLED: "dim",
}
_SEVERITIES = {"error": "red", "warning": "yellow"}
_SHOWN = 8
_STAGE_TITLES = {
    "peak_disk": "peak",
    "added_disk": "added",
    "image_size": "size",
    "layers": "layers",
    "build_seconds": "time",
}


def render_text(
    report: Report,
    *,
    width: int = 100,
    colour: bool = False,
    ascii_only: bool = False,
    report_folder: str = "REPORT",
) -> str:
    """The report as text of at most `width` columns, ended by a line break.

    `colour`: with ANSI colours. `ascii_only`: nothing but ASCII, for terminals that are not UTF-8.
    `report_folder`: where report.json lies; it stands in the commands to type next.
    """
    page = _Page(width=width, colour=colour, ascii_only=ascii_only)
    if (said := against_said(report)) is not None:
        page.line(said)
    for image in report.images:
        _write_image(page, image)
    if report.limits_changed:
        _write_changes(page, report.limits_changed, indent=0)
    _write_notes(page, report.notes, indent=0)
    _write_end(page, report, report_folder)
    return page.text()


_WIDE = 10_000
"""Columns that no table needs."""
_NAME = 24
"""Of a name so much stands on one line; the rest of a longer one is folded."""


class _Page:
    """A console that writes into memory; everything untrusted passes `say`."""

    def __init__(self, *, width: int, colour: bool, ascii_only: bool) -> None:
        self.ascii_only = ascii_only
        self._out = StringIO()
        self._console = Console(
            file=self._out,
            width=max(width, 40) - 1,  # one column is left for `silence_commands`
            color_system="standard" if colour else None,
            force_terminal=colour,
            no_color=not colour,
            markup=False,
            emoji=False,
            highlight=False,
            legacy_windows=False,
            _environ={},
        )

    def say(self, text: str, style: str = "") -> Text:
        """Untrusted or own text as one piece that is not interpreted."""
        return Text(escape_terminal(text, ascii_only=self.ascii_only), style=style, overflow="fold")

    def verdict(self, verdict: Verdict) -> Text:
        return Text(verdict.value, style=_STYLES[verdict])

    def write(self, what: RenderableType = "", *, indent: int = 0) -> None:
        self._console.print(Padding(what, (0, 0, 0, indent)) if indent else what)

    def line(self, *parts: str | Text, indent: int = 0) -> None:
        """One paragraph; text is escaped, pieces made by `say` or `verdict` keep their style."""
        joined = Text(overflow="fold")
        for part in parts:
            joined.append_text(self.say(part) if isinstance(part, str) else part)
        self.write(joined, indent=indent)

    def table(self, titles: Sequence[str], rows: Sequence[Sequence[Text]], *, right: Sequence[str]) -> None:
        """A table; where its figures have no room beside each other, a paragraph a row: cut ones would be others."""
        table = Table(box=box.ASCII2 if self.ascii_only else box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for title in titles:
            last = title == titles[-1]
            table.add_column(
                title, justify="right" if title in right else "left", overflow="fold", no_wrap=title in right or last
            )
        longest = max(cell_len(str(row[0])) for row in rows)
        table.columns[0].min_width = min(longest, _NAME)
        for row in rows:
            table.add_row(*row)
        options = self._console.options
        natural = Measurement.get(self._console, options.update_width(_WIDE), table).maximum
        if natural - max(0, longest - _NAME) + 2 <= options.max_width:
            self.write(table, indent=2)
            return
        for row in rows:
            told = [
                (f"{title} ", cell, ", ") for title, cell in zip(titles[1:], row[1:], strict=True) if str(cell) != "-"
            ]
            self.line(row[0], ": ", *[part for parts in told for part in parts][:-1], indent=2)

    def text(self) -> str:
        lines = [line.rstrip() for line in self._out.getvalue().splitlines()]
        return silence_commands("\n".join(lines).strip("\n")) + "\n"


def _write_image(page: _Page, image: ImageReport) -> None:
    new = " (new here)" if image.new else ""
    page.line(page.say(image.name, "bold"), new, ": ", page.verdict(image.verdict))
    reason = headline(image)
    if reason is not None:
        page.line(page.say("why: ", "bold"), reason, indent=2)
    target = f", target {image.target}" if image.target else ""
    where = f"; {disk_said(image.disk)}" if image.disk is not None else ""
    page.line(f"{image.dockerfile}{target}{where}", indent=2)
    if image.failure is not None:
        _write_failure(page, image, image.failure)
    rows = image_rows(image)
    if rows:
        _write_metrics(page, rows)
    for row in all_rows(image):
        explained = image.failure is not None and row.metric.verdict == Verdict.NOT_MEASURED
        if _wants_words(row) and not explained:
            verdict = row.metric.verdict
            word = "" if verdict == Verdict.NOT_MEASURED else f"{verdict.value} "  # its message says so
            page.line(page.say(f"{word}{row.title}", _STYLES[verdict]), f": {row.metric.message}", indent=2)
    if image.stages:
        page.write()
        _write_stages(page, image.stages)
    peak = image.metrics.peak_disk
    if peak is not None and peak.composition is not None:
        page.line(f"The peak was made of: {peak_parts(peak.composition)}", indent=2)
    for line in peak_step_lines(image):
        page.line(line, indent=2)
    if image.smoke is not None:
        _write_smoke(page, image.smoke)
    _write_reasons(page, image)
    if image.limits_changed:
        _write_changes(page, image.limits_changed, indent=2)
    _write_notes(page, image.notes, indent=2)
    page.write()


def _write_failure(page: _Page, image: ImageReport, failure: Failure) -> None:
    line = f":{failure.line}" if failure.line is not None else ""
    place = f"{image.dockerfile}{line}: " if line else ""
    stage = f"stage {failure.stage}, " if failure.stage else ""
    page.line(page.say(f"{failure.kind}: ", "bold red"), f"{place}{stage}{failure.message}", indent=2)
    for text in failure.last_lines:
        page.line(f"| {text}", indent=4)
    if failure.mend:
        page.line(failure.mend, indent=4)


def _write_metrics(page: _Page, rows: Sequence[Row]) -> None:
    numbers = ("now", "baseline", "limit", "change")
    cells = [
        [*map(page.say, (row.name, row.now, row.baseline, row.limit, row.change)), page.verdict(row.metric.verdict)]
        for row in rows
    ]
    page.table(("metric", *numbers, "verdict"), cells, right=numbers)


def _write_stages(page: _Page, stages: Sequence[StageReport]) -> None:
    names = [name for name in STAGE_METRIC_NAMES if any(name in stage.metrics for stage in stages)]
    titles = [_STAGE_TITLES[name] for name in names]
    rows = []
    for stage in stages:
        figures = {row.name: row.now for row in stage_rows(stage)}
        rows.append(
            [
                page.say(stage.name),
                page.say(str(stage.line) if stage.line is not None else "-"),
                *(page.say(figures.get(name, "-")) for name in names),
                page.verdict(stage.verdict) if stage.reached else page.say("not reached", "dim"),
            ]
        )
    page.table(("stage", "line", *titles, "verdict"), rows, right=("line", *titles))


def _wants_words(row: Row) -> bool:
    """Whether the message says more than the table: whatever does not simply pass, and passes with a remark."""
    metric = row.metric
    if metric.verdict == Verdict.PASS:
        return "; " in metric.message
    if metric.verdict == Verdict.NO_BASELINE:
        return metric.gated
    return metric.verdict != Verdict.DISABLED and bool(metric.message)


def _write_smoke(page: _Page, smoke: SmokeReport) -> None:
    word = page.say("passed", "green") if smoke.passed else page.say("failed", "bold red")
    said = f" in {format_seconds(smoke.seconds)}, gpu {smoke.gpu}: {shlex.join(smoke.command)}"
    page.line("Smoke test ", word, said, indent=2)
    if smoke.message:
        page.line(smoke.message, indent=4)


def _write_reasons(page: _Page, image: ImageReport) -> None:
    if image.contributors:
        page.line(f"What changed in the image ({tell_split(image.contributors)}):", indent=2)
    for text in tell_changes(image.contributors, _SHOWN):
        page.line(text, indent=4)
    for finding in image.findings[:_SHOWN]:
        size = f" ({format_size(finding.bytes)})" if finding.bytes else ""
        line = f":{finding.line}" if finding.line is not None else ""
        place = f"{finding.file}{line}: " if finding.file else ""
        style = _SEVERITIES.get(finding.severity, "")
        page.line(page.say(f"{finding.severity} {finding.rule}{size}", style), f": {place}{finding.message}", indent=2)
        page.line(finding.mend, indent=6)
    hidden = max(0, len(image.findings) - _SHOWN)
    if hidden:
        page.line(f"... and {hidden} more findings in the report", indent=2)


def _write_changes(page: _Page, changes: Sequence[LimitChange], *, indent: int) -> None:
    page.line("Limits changed here (they do not count for this run):", indent=indent)
    for change in changes:
        page.line(
            page.say("looser   " if change.loosened else "tighter  ", "yellow" if change.loosened else ""),
            f"{change.path}: {change.base or 'none'} -> {change.head or 'none'}",
            indent=indent + 2,
        )


def _write_notes(page: _Page, notes: Sequence[str], *, indent: int) -> None:
    for note in notes:
        page.line(f"note: {note}", indent=indent)


def _write_end(page: _Page, report: Report, folder: str) -> None:
    steps = next_steps(report, folder)
    if steps:
        page.line("Next:")
    for step in steps:
        page.line(f"- {step.text}", indent=2)
        if step.command is not None:
            page.line(page.say(step.command, "bold"), indent=4)
    if folder != "REPORT":
        page.line(f"Report: {folder}")
    commit = f", commit {report.commit[:12]}" if report.commit else ""
    images = f"{len(report.images)} image{'' if len(report.images) == 1 else 's'}"
    page.line(
        page.say("ci-budget: ", "bold"), page.verdict(report.verdict), f" (exit {report.exit_code}), {images}{commit}"
    )
