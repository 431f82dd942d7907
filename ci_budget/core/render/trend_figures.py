"""The figures of a trend as all renderers write them."""

from __future__ import annotations

from datetime import UTC, datetime

from ci_budget.core.history.overview import Overview, percent
from ci_budget.core.history.trend import Change, Trend
from ci_budget.core.records.metrics import metric_unit
from ci_budget.core.text.units import format_delta, format_value


def day_text(seconds: int) -> str:
    """`2026-03-01`, of seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def window_text(overview: Overview) -> str:
    """`3 images, the 30 days until`."""
    count = len(overview.images)
    return f"{count:,} image{'' if count == 1 else 's'}, the {overview.days} days until"


def slope_text(trend: Trend) -> str:
    """`+1.20 MB/day`; `-` where there is no slope."""
    if trend.slope is None:
        return "-"
    unit = metric_unit(trend.metric)
    if unit == "count":
        return f"{trend.slope:+.2f}/day" if round(trend.slope, 2) else "0/day"
    return f"{format_delta(round(trend.slope), unit)}/day"


def forecast(trend: Trend) -> str:
    """`reached`, `12 days`; `-` where nothing can be said."""
    left = trend.days_left
    if left is None:
        return "-"
    return "reached" if left == 0 else f"{left:,} day{'' if left == 1 else 's'}"


def share_text(trend: Trend) -> str:
    """`87 %` of the budget; `-` without one. Never 100 % for what is not there."""
    used = trend.used
    if used is None:
        return "-"
    shown = round(100 * used)
    if shown == 100 and trend.last != trend.budget:
        return "> 100 %" if used > 1 else "> 99 %"
    return f"{shown} %"


def change_text(trend: Trend) -> str:
    """`+1.20 GB (+10.0 %)`, of the last value against the first."""
    share = percent(trend.delta, trend.first)
    delta = format_delta(trend.delta, metric_unit(trend.metric))
    return f"{delta} ({share:+.1f} %)" if share is not None and trend.delta else delta


def drift_text(trend: Trend) -> str:
    """The same against the last release; `-` without one."""
    if trend.drift is None:
        return "-"
    share = percent(trend.drift, trend.released)
    delta = format_delta(trend.drift, metric_unit(trend.metric))
    return f"{delta} ({share:+.1f} %)" if share is not None and trend.drift else delta


def trend_text(trend: Trend) -> str:
    """One sentence below a curve."""
    unit = metric_unit(trend.metric)
    parts = [f"{trend.metric} {format_value(trend.last, unit)}", f"{change_text(trend)} over {trend.days} days"]
    if trend.slope:
        parts.append(slope_text(trend))
    if trend.budget is not None:
        reached = "" if trend.days_left is None else f" ({forecast(trend)})"
        parts.append(f"{share_text(trend)} of {format_value(trend.budget, unit)}{reached}")
    if trend.drift is not None:
        parts.append(f"{drift_text(trend)} since the release")
    return "; ".join(parts)


def commit_range(overview: Overview, change: Change) -> str:
    """`0123456789ab..cdef01234567`: after the first, up to the second; one commit where both are the same."""
    before, after = (overview.commits.get(run, "")[:12] for run in (change.previous, change.run))
    if not after:
        return "unknown"
    return after if before in ("", after) else f"{before}..{after}"
