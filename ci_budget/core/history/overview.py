"""All images together: who is worst, what changed when; the content of the nightly report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ci_budget.core.history.trend import Change, ImageTrend, Trend
from ci_budget.core.records.metrics import metric_unit
from ci_budget.core.text.units import format_distinct

SOON: Final = 30
"""Days: an image that reaches a budget within them is among the offenders."""

_FAILING = ("fail", "build-failed")


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What the nightly report says. `images`: the worst first. `days`: the width of the window that ends at `until`.

    `threshold`: percent of growth or drift from which an image is an offender. `commits`: by the number of a run.
    """

    repository: str
    until: int
    days: int
    threshold: float
    images: Sequence[ImageTrend]
    offenders: Sequence[tuple[ImageTrend, tuple[str, ...]]]
    changes: Sequence[Change]
    commits: Mapping[int, str]
    history: str
    """The database, without a password."""


def build_overview(
    images: Iterable[ImageTrend],
    *,
    repository: str,
    until: int,
    days: int,
    threshold: float,
    history: str,
    most_changes: int = 200,
) -> Overview:
    """Put the images in order; of the changes the newest `most_changes` are kept. `commits` is filled in later."""
    ranked = sorted(images, key=lambda image: (_rank(image, threshold), image.image, image.platform))
    offenders = [(image, reasons) for image in ranked if (reasons := offences(image, threshold))]
    changes = sorted(
        (change for image in ranked for change in image.changes),
        key=lambda change: (-change.started, -abs(change.delta), change.image, change.metric),
    )
    return Overview(
        repository=repository,
        until=until,
        days=days,
        threshold=threshold,
        images=ranked,
        offenders=offenders,
        changes=changes[:most_changes],
        commits={},
        history=history,
    )


def wanted_runs(overview: Overview) -> set[int]:
    """The runs whose commits the report names."""
    runs = {image.run for image in overview.images}
    return runs | {run for change in overview.changes for run in (change.run, change.previous)}


def offences(image: ImageTrend, threshold: float) -> tuple[str, ...]:
    """Why an image is among the worst: short sentences, the gravest first; empty when it is not."""
    found = []
    if image.verdict in _FAILING:
        found.append(f"the last run's verdict is {image.verdict}")
    trends = image.trends.values()
    for trend in trends:
        unit, left = metric_unit(trend.metric), trend.days_left
        if trend.budget is None or left is None or left > SOON:
            continue
        last, budget = format_distinct([trend.last, trend.budget], unit)
        if over_budget(trend):
            found.append(f"{trend.metric} {last} is over its budget of {budget}")
        elif left == 0 and trend.slope:
            found.append(f"{trend.metric} {last} has reached its budget")
        elif left:
            found.append(
                f"{trend.metric} {last} reaches its budget of {budget} in {left} day{'' if left == 1 else 's'}"
            )
    for trend in trends:
        drift = percent(trend.drift, trend.released)
        if drift is not None and drift >= threshold:
            found.append(f"{trend.metric} is {drift:.1f} % above the last release")
    for trend in trends:
        grown = percent(trend.delta, trend.first)
        if grown is not None and grown >= threshold:
            found.append(f"{trend.metric} grew by {grown:.1f} %")
    return tuple(found)


def over_budget(trend: Trend) -> bool:
    """Whether the last value is above the budget."""
    return trend.budget is not None and trend.last > trend.budget


def percent(delta: int | None, base: int | None) -> float | None:
    """`delta` in percent of `base`; None where either is missing or the base is 0."""
    return None if delta is None or not base else 100 * delta / base


def nearest(image: ImageTrend) -> Trend | None:
    """The trend that reaches its budget first; None where none will."""
    coming = [trend for trend in image.trends.values() if trend.days_left is not None]
    return min(coming, key=lambda trend: (trend.days_left or 0, -(trend.used or 0)), default=None)


def _rank(image: ImageTrend, threshold: float) -> tuple[float, ...]:
    trends = image.trends.values()
    excess = max((trend.used or 0 for trend in trends if over_budget(trend)), default=0.0)
    coming = nearest(image)
    left = coming.days_left if coming is not None else None
    growth = max((percent(trend.delta, trend.first) or 0.0 for trend in trends), default=0.0)
    drift = max((percent(trend.drift, trend.released) or 0.0 for trend in trends), default=0.0)
    worst = max(growth, drift)
    return (
        0 if excess else 1,
        -excess,
        0 if image.verdict in _FAILING else 1,
        left if left is not None and left <= SOON else float("inf"),
        -worst if worst >= threshold else 0,
        left if left is not None else float("inf"),
        -worst,
    )
