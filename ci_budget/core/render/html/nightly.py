"""The nightly page: every image's trend, the worst offenders, what changed when, and the last builds.

The page stays below 2 MB for 1,000 images: curves are thinned by the number of images (`points_for`), and last builds
are drawn for the worst images, as many as fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from ci_budget.core.history.build_view import BuildView
from ci_budget.core.history.overview import Overview, nearest, over_budget, percent
from ci_budget.core.history.slope import HOW
from ci_budget.core.history.trend import TRENDED, Change, ImageTrend, Trend
from ci_budget.core.records.metrics import metric_unit
from ci_budget.core.render.html.page import render_page, size_of
from ci_budget.core.render.trend_figures import (
    commit_range,
    day_text,
    forecast,
    share_text,
    slope_text,
    trend_text,
    window_text,
)
from ci_budget.core.text.units import format_delta, format_size, format_value

MOST_ROWS: Final = 1500
MOST_OFFENDERS: Final = 12
MOST_BUILDS: Final = 12
_BUILD_ROOM: Final = 600_000
_POINT_ROOM: Final = 700_000
_BYTES_A_POINT: Final = 9
_SERIES: Final = 4
_DIGITS: Final = 10_000

_Cell = tuple[object, str, str]


def points_for(images: int) -> int:
    """How many points of a curve the page has room for, with so many images."""
    return max(20, min(400, _POINT_ROOM // (_BYTES_A_POINT * _SERIES * max(images, 1))))


def built_images(overview: Overview) -> list[str]:
    """The images whose last builds are drawn: the worst, in the page's order."""
    return list(dict.fromkeys(image.image for image in overview.images))[:MOST_BUILDS]


def render_nightly(overview: Overview, builds: Mapping[str, BuildView]) -> str:
    """The page. `builds`: last builds by image; those of `built_images` are drawn where they fit."""
    keys = {id(image): str(index) for index, image in enumerate(overview.images)}
    shown = overview.images[:MOST_ROWS]
    drawn: dict[str, Any] = {}
    room = _BUILD_ROOM
    for image in shown[:MOST_BUILDS]:
        view = builds.get(image.image)
        if view is not None and (room := room - size_of(drawing := draw_build(view))) > 0:
            drawn[keys[id(image)]] = drawing
    data = {
        "first": "0" if shown else None,
        "images": {keys[id(image)]: _image_data(overview, image) for image in shown},
        "builds": drawn,
        "units": {metric: metric_unit(metric) for metric in TRENDED},
    }
    return render_page(
        "nightly.html",
        data=data,
        title=f"Build budgets of {overview.repository}" if overview.repository else "Build budgets",
        subtitle=f"{window_text(overview)} {_moment(overview.until)}",
        tiles=_tiles(overview),
        offenders=[
            {"key": keys[id(image)], "title": image.title, "reasons": "; ".join(reasons)}
            for image, reasons in overview.offenders[:MOST_OFFENDERS]
        ],
        offenders_left_out=max(0, len(overview.offenders) - MOST_OFFENDERS),
        threshold=f"{overview.threshold:g}",
        rows=[
            {"key": keys[id(image)], "title": image.title, "verdict": image.verdict, "cells": _cells(image)}
            for image in shown
        ],
        rows_left_out=len(overview.images) - len(shown),
        changes=[_change(overview, change) for change in overview.changes],
        how=HOW,
        history=overview.history,
    )


def draw_build(view: BuildView) -> dict[str, Any]:
    """A build as the page's script draws it."""
    facts = f"Started {view.started}, commit {view.commit[:12] or 'unknown'}."
    if view.steps_left_out:
        facts += f" The {view.steps_left_out} shortest steps are left out."
    return {
        "facts": facts,
        "ceiling": view.ceiling,
        "timeline": view.timeline,
        "steps": [step.model_dump() for step in view.steps],
        "treemap": view.treemap.model_dump(exclude_defaults=True) if view.treemap is not None else None,
    }


def _tiles(overview: Overview) -> list[dict[str, object]]:
    trends = [image.trends.values() for image in overview.images]
    over = sum(any(over_budget(trend) for trend in mine) for mine in trends)
    coming = [image for image in overview.images if (near := nearest(image)) and 0 < (near.days_left or 0) <= 30]
    return [
        {"value": f"{len(overview.images):,}", "label": "images", "bad": False},
        {"value": f"{over:,}", "label": "over a budget", "bad": over > 0},
        {"value": f"{len(coming):,}", "label": "reach a budget within 30 days", "bad": bool(coming)},
        {"value": f"{len(overview.offenders):,}", "label": "offenders", "bad": False},
        {
            "value": f"{sum(len(image.changes) for image in overview.images):,}",
            "label": "steps up or down",
            "bad": False,
        },
    ]


def _cells(image: ImageTrend) -> list[_Cell]:
    cells: list[_Cell] = []
    for metric in ("peak_disk", "image_size"):
        trend = image.trends.get(metric)
        if trend is None:
            cells += [("", "-", "")] * 3
            continue
        used = trend.used
        mark = "over" if over_budget(trend) else "near" if used is not None and used >= 0.9 else ""
        cells += [
            (trend.last, format_size(trend.last), ""),
            _share_cell(trend.delta, trend.first),
            ("" if used is None else f"{used:.4f}", share_text(trend), mark),
        ]
    size = image.trends.get("image_size")
    cells.append(("", "-", "") if size is None or size.slope is None else (f"{size.slope:.0f}", slope_text(size), ""))
    cells.append(_share_cell(size.drift if size is not None else None, size.released if size is not None else None))
    near = nearest(image)
    left = None if near is None else near.days_left
    cells.append(("", "-", "") if near is None or left is None else (left, forecast(near), "over" if left == 0 else ""))
    return cells


def _share_cell(delta: int | None, base: int | None) -> _Cell:
    """A change in percent; the exact values are in the image's own charts."""
    share = percent(delta, base)
    if delta is None or share is None:
        return ("", "-", "")
    return (f"{share:.3f}", f"{share:+.1f} %" if delta else "0", "up" if delta > 0 else "down" if delta < 0 else "")


def _image_data(overview: Overview, image: ImageTrend) -> dict[str, Any]:
    commit = overview.commits.get(image.run, "")[:12] or "unknown"
    released = f"; last release {image.release.tag} on {day_text(image.release.released)}" if image.release else ""
    facts = f"Last run {_moment(image.started)}: {image.verdict}, commit {commit}; {image.runs} runs{released}."
    return {
        "title": image.title,
        "facts": facts,
        "series": [_series(trend) for trend in image.trends.values()],
    }


def _series(trend: Trend) -> dict[str, Any]:
    """First day and value, then differences, counted in a unit that keeps four digits of the highest value."""
    highest = max(value for _, value in trend.points)
    scale = 1
    while highest // scale >= _DIGITS:
        scale *= 10
    values = [round(value / scale) for _, value in trend.points]
    days = [day for day, _ in trend.points]
    steps = [later - day for day, later in pairwise(days)]
    return {
        "metric": trend.metric,
        "text": trend_text(trend),
        "day": days[0],
        "scale": scale,
        "values": values[:1] + [later - value for value, later in pairwise(values)],
        **({} if all(step == 1 for step in steps) else {"days": steps}),
        **({} if trend.budget is None else {"budget": trend.budget}),
        **({} if trend.released is None else {"released": trend.released}),
    }


def _change(overview: Overview, change: Change) -> dict[str, object]:
    unit = metric_unit(change.metric)
    return {
        "day": day_text(change.started),
        "image": change.image,
        "metric": change.metric,
        "before": change.before,
        "before_text": format_value(change.before, unit),
        "after": change.after,
        "after_text": format_value(change.after, unit),
        "delta": change.delta,
        "delta_text": format_delta(change.delta, unit),
        "commits": commit_range(overview, change),
        "bases_differ": change.bases_differ,
    }


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
