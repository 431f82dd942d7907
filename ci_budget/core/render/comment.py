"""The report as the one comment on a pull request: what failed first, what did not change folded, never too long.

Everything untrusted is escaped. The first line is a hidden marker with a key, by which the next run finds the comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ci_budget.core.records.report import GATED_BY_BASELINE, ImageReport, LimitChange, Metric, Report, Verdict
from ci_budget.core.render.escape import code, escape_markdown, html_code
from ci_budget.core.render.figures import against_said, all_rows, attention_first, image_rows
from ci_budget.core.render.figures import is_quiet as is_quiet_metric
from ci_budget.core.render.markdown_parts import (
    contributor_list,
    failure_quote,
    finding_list,
    limit_table,
    message_list,
    note_list,
    reason_list,
    row_cells,
    step_list,
    table_line,
    verdict_mark,
)
from ci_budget.core.text.plain_text import shorten

LARGEST = 65_000
"""Bytes of UTF-8; GitHub refuses a comment of more than 65,536 characters."""

DEFAULT_KEY = "default"

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,79}", re.ASCII)
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/?=&%#+-]{1,500}", re.ASCII)
_LONGEST_NAME = 200
_MOST_CHANGES = 20
_CALM = (Verdict.PASS, Verdict.DISABLED)
_TABLE = "| image | metric | base | now | delta | percent | limit | verdict |\n|---|---|--:|--:|--:|--:|--:|---|"


def marker_of(key: str) -> str:
    """The first line of the comment with this key. Raises ValueError for a key that could end the marker."""
    if not _KEY.fullmatch(key) or "--" in key:
        raise ValueError(
            f"'{shorten(key)}' is no key for a comment; letters, digits, '.', '_', '/' and '-' may stand in it"
        )
    return f"<!-- ci-budget-comment: {key} -->"


def is_quiet(report: Report) -> bool:
    """Whether there is nothing to tell: everything passed, and nothing changed beyond its tolerance."""
    calm = bool(report.images) and all(is_calm(image) for image in report.images)
    return calm and report.exit_code == 0 and report.verdict in _CALM and not report.limits_changed


def is_calm(image: ImageReport) -> bool:
    """Whether an image passed, and no value of it, limit or approval is worth a line."""
    return (
        image.exit_code == 0
        and image.verdict in _CALM
        and image.failure is None
        and (image.smoke is None or image.smoke.passed)
        and not image.new
        and not image.limits_changed
        and all(approval.state in ("unused", "expired") for approval in image.approvals)
        and not any(_is_loud(name, metric) for name, metric in _metrics(image))
    )


def render_comment(
    report: Report,
    *,
    key: str = DEFAULT_KEY,
    address: str | None = None,
    folder: str = "REPORT",
    largest: int = LARGEST,
) -> str:
    """The comment's text, at most `largest` bytes, ended by a line break.

    `address`: where the whole report can be had; `folder`: what it is called in the commands to type next.
    """
    loud: list[ImageReport] = []
    calm: list[ImageReport] = []
    for image in attention_first(report.images):
        (calm if is_calm(image) else loud).append(image)
    head = [
        f"{marker_of(key)}\n## {verdict_mark(report.verdict)}: ci-budget",
        _counts(report, loud, calm),
        escape_markdown(against_said(report) or ""),
        _pointer(address, report.commit),
    ]
    body = _Body(largest - 600)
    body.add("\n\n".join(part for part in head if part))
    for reasons in reason_list(loud):
        body.add(reasons)
    rows = (_cells(image, cells) for image in loud for cells in _loud_cells(image))
    body.add_table(rows, sum(_count_loud(image) for image in loud), share=0.5)
    changes = [*report.limits_changed, *(change for image in loud for change in image.limits_changed)]
    for part in (*_changes(changes), *note_list(report.notes[:_MOST_CHANGES]), *step_list(report, folder)):
        body.add(part)
    body.add_all((_details(image) for image in loud), len(loud))
    body.add_folded(calm)
    return body.text(_pointer(address, report.commit))


def render_without_report(*, key: str, failed: bool, address: str | None) -> str:
    """The comment of a run that left no report: because it had nothing to build, or because it broke."""
    if failed:
        text = "## ❔ not-measured: ci-budget\n\nThe run left no report, so nothing is known. This is no pass."
    else:
        text = "## ✅ ci-budget: nothing to build\n\nThe change touches no image of the config."
    return "\n\n".join(part for part in (f"{marker_of(key)}\n{text}", _pointer(address, None)) if part) + "\n"


class _Body:
    """Parts that fit into what room there is; what does not is counted."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._parts: list[str] = []
        self._left: list[str] = []

    def add(self, part: str) -> bool:
        size = len(part.encode("utf-8", "replace")) + 2
        if size > self._room:
            return False
        self._room -= size
        self._parts.append(part)
        return True

    def add_all(self, parts: Iterable[str], count: int) -> None:
        """As many details of images as fit, in order; the rest is not even made."""
        for index, part in enumerate(parts):
            if part and not self.add(part):
                self._miss(count - index, "image", "has no details here")
                return

    def add_table(self, lines: Iterable[str], count: int, *, share: float) -> None:
        """Rows under the table's head, in at most this share of the room."""
        fitting = _fitting(lines, int(self._room * share) - len(_TABLE))
        if fitting:
            self.add("\n".join([_TABLE, *fitting]))
        if len(fitting) < count:
            self._miss(count - len(fitting), "row", "of the table is left out")

    def add_folded(self, images: Sequence[ImageReport]) -> None:
        """The images that did not change, one line each, behind one line."""
        if not images:
            return
        plural = "images" if len(images) > 1 else "image"
        head = f"<details><summary>{len(images):,} {plural} unchanged beyond tolerance</summary>\n"
        titles = [table_line(["image", *GATED_BY_BASELINE]), table_line(["---", *("--:" for _ in GATED_BY_BASELINE)])]
        fixed = len("\n".join([head, *titles, "</details>"])) + 10
        lines = _fitting((_calm_line(image) for image in images), self._room - fixed)
        if lines:
            self.add("\n".join([head, *titles, *lines, "\n</details>"]))
        if len(lines) < len(images):
            self._miss(len(images) - len(lines), "unchanged image", "is not listed")

    def text(self, pointer: str) -> str:
        """The whole text; what was left out is counted at its end."""
        if self._left:
            whole = f" {pointer}" if pointer else " The whole report is in the run's artifact."
            self._parts.append(f"**Cut to fit:** {'; '.join(self._left)}.{whole}")
        return "\n\n".join(self._parts) + "\n"

    def _miss(self, count: int, noun: str, said: str) -> None:
        many = count > 1
        words = said.replace("is ", "are ", 1).replace("has ", "have ", 1) if many else said
        self._left.append(f"{count:,} {noun}{'s' if many else ''} {words}")


def _fitting(lines: Iterable[str], room: int) -> list[str]:
    kept: list[str] = []
    for line in lines:
        room -= len(line.encode("utf-8", "replace")) + 1
        if room < 0:
            break
        kept.append(line)
    return kept


def _counts(report: Report, loud: Sequence[ImageReport], calm: Sequence[ImageReport]) -> str:
    total = len(report.images)
    if not loud and is_quiet(report):
        return f"Nothing changed beyond its tolerance in {total:,} image{'s' if total != 1 else ''}."
    verdicts = [image.verdict for image in loud]
    found = [f"{verdicts.count(verdict):,} {verdict.value}" for verdict in dict.fromkeys(verdicts)]
    if calm:
        found.append(f"{len(calm):,} unchanged")
    return f"{total:,} image{'s' if total != 1 else ''}: {', '.join(found)}." if total else ""


def _pointer(address: str | None, commit: str | None) -> str:
    at = f" of commit {code(commit[:12])}" if commit else ""
    if address is None:
        return ""
    if not _ADDRESS.fullmatch(address):
        return f"The whole report{at}: {code(address)}"
    return f"[The whole report]({address}){at}."


def _metrics(image: ImageReport) -> Iterator[tuple[str, Metric]]:
    yield from image.metrics.named()
    for stage in image.stages:
        if stage.reached:
            yield from stage.metrics.items()


def _is_loud(name: str, metric: Metric) -> bool:
    """Trouble, or a change beyond the tolerance."""
    if is_quiet_metric(name, metric) or not (metric.gated or metric.delta):
        return False
    within = metric.delta is None or abs(metric.delta) <= (metric.tolerance or 0)
    return not (metric.verdict in _CALM and within)


def _loud_cells(image: ImageReport) -> Iterator[list[str]]:
    if image.failure is not None:
        text = f"**{image.failure.kind}**: {escape_markdown(shorten(image.failure.message, _LONGEST_NAME))}"
        yield [text, "", "", "", "", "", verdict_mark(image.verdict)]
    for row in image_rows(image) if _shows_values(image) else all_rows(image):
        if _is_shown(image, row.name, row.metric):
            yield row_cells(row)


def _count_loud(image: ImageReport) -> int:
    metrics = image.metrics.named() if _shows_values(image) else _metrics(image)
    return int(image.failure is not None) + sum(int(_is_shown(image, name, metric)) for name, metric in metrics)


def _shows_values(image: ImageReport) -> bool:
    """Whether there is nothing to compare with, and the bare values are what a reader wants."""
    bare = image.verdict == Verdict.NO_BASELINE and image.failure is None
    return bare and not any(_is_loud(name, metric) for name, metric in _metrics(image))


def _is_shown(image: ImageReport, name: str, metric: Metric) -> bool:
    if _shows_values(image):
        return name in GATED_BY_BASELINE
    return _is_loud(name, metric) and (image.failure is None or metric.value is not None)


def _cells(image: ImageReport, cells: Sequence[str]) -> str:
    return table_line([code(shorten(image.name, _LONGEST_NAME)), *cells])


def _calm_line(image: ImageReport) -> str:
    now = {row.name: row.now for row in image_rows(image)}
    cells = (now.get(name, "-") for name in GATED_BY_BASELINE)
    return table_line([code(shorten(image.name, _LONGEST_NAME)), *cells])


def _changes(changes: Sequence[LimitChange]) -> list[str]:
    more = len(changes) - _MOST_CHANGES
    return [*limit_table(changes[:_MOST_CHANGES]), *([f"and {more:,} more in the report"] if more > 0 else [])]


def _details(image: ImageReport) -> str:
    parts = [
        *failure_quote(image),
        *message_list(image),
        *contributor_list(image.contributors),
        *finding_list(image.findings),
        *note_list(image.notes),
    ]
    if not parts:
        return ""
    mark = verdict_mark(image.verdict)
    summary = f"<details><summary>{mark}: {html_code(shorten(image.name, _LONGEST_NAME))}</summary>"
    return "\n\n".join([summary, *parts, "</details>"])
