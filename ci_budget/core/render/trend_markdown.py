"""The nightly report as GitHub Markdown, for the job summary and an issue. Everything untrusted is escaped."""

from __future__ import annotations

from typing import Final

from ci_budget.core.history.overview import Overview
from ci_budget.core.history.slope import HOW
from ci_budget.core.history.trend import ImageTrend, Trend
from ci_budget.core.records.metrics import metric_unit
from ci_budget.core.render.escape import code, escape_markdown
from ci_budget.core.render.trend_figures import (
    change_text,
    commit_range,
    day_text,
    drift_text,
    forecast,
    share_text,
    slope_text,
    window_text,
)
from ci_budget.core.text.units import format_delta, format_value

LARGEST: Final = 1_000_000
"""Bytes of UTF-8; above 1 MiB GitHub drops a job summary whole."""

_OFFENDERS: Final = 20
_CHANGES: Final = 20


def render_trend_markdown(overview: Overview, *, largest: int = LARGEST) -> str:
    """The report in at most `largest` bytes; rows of images that do not fit are left out, and how many is said."""
    place = f" of {code(overview.repository)}" if overview.repository else ""
    parts = [
        f"## Build budgets{place}",
        f"{window_text(overview)} {day_text(overview.until)}.",
        *_offenders(overview),
        *_changes(overview),
    ]
    text = "\n\n".join(parts)
    foot = f"\n\n{escape_markdown(HOW)}\n"
    return text + _table(overview, room=largest - len(text.encode()) - len(foot.encode()) - 400) + foot


def _offenders(overview: Overview) -> list[str]:
    if not overview.offenders:
        return [
            "No image is over a budget, failing, near its budget, or grown or drifted by "
            f"{overview.threshold:g} % or more."
        ]
    lines = [
        f"{index}. {code(image.title)}: {escape_markdown('; '.join(reasons))}"
        for index, (image, reasons) in enumerate(overview.offenders[:_OFFENDERS], start=1)
    ]
    more = len(overview.offenders) - _OFFENDERS
    return ["### Worst offenders", "\n".join(lines), *([f"{more} more are in the table below."] if more > 0 else [])]


def _changes(overview: Overview) -> list[str]:
    if not overview.changes:
        return []
    lines = [
        "| day | image | metric | before | after | change | commits | base image |",
        "|---|---|---|--:|--:|--:|---|---|",
    ]
    for change in overview.changes[:_CHANGES]:
        unit = metric_unit(change.metric)
        values = [format_value(value, unit) for value in (change.before, change.after)]
        cells = [
            day_text(change.started),
            code(change.image),
            change.metric,
            *values,
            format_delta(change.delta, unit),
            code(commit_range(overview, change)),
            "changed too" if change.bases_differ else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    more = len(overview.changes) - _CHANGES
    return ["### What changed when", "\n".join(lines), *([f"{more} more are in the HTML page."] if more > 0 else [])]


def _table(overview: Overview, *, room: int) -> str:
    head = (
        "\n\n<details><summary>All images</summary>\n\n"
        "| image | verdict | metric | now | change | a day | of budget | days until budget | since release |\n"
        "|---|---|---|--:|--:|--:|--:|--:|--:|\n"
    )
    end = "\n</details>"
    kept: list[str] = []
    room -= len(head) + len(end)
    for index, image in enumerate(overview.images):
        block = "".join(_row(image, trend) for trend in image.trends.values()) or _row(image, None)
        room -= len(block.encode())
        if room < 0:
            left = len(overview.images) - index
            end = f"\n{left} more images are left out; the HTML page has them.\n{end}"
            break
        kept.append(block)
    return head + "".join(kept) + end


def _row(image: ImageTrend, trend: Trend | None) -> str:
    cells = [code(image.title), image.verdict]
    if trend is None:
        cells += ["nothing measured", *[""] * 6]
    else:
        cells += [
            trend.metric,
            format_value(trend.last, metric_unit(trend.metric)),
            change_text(trend),
            slope_text(trend),
            share_text(trend),
            forecast(trend),
            drift_text(trend),
        ]
    return f"| {' | '.join(cells)} |\n"
