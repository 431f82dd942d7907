"""What became of one image over the days: a pure function from its rows to trends and changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, cast

from ci_budget.core.config.model import DEFAULT_TOLERANCES
from ci_budget.core.gate.fingerprint import compared_fields
from ci_budget.core.history.slope import days_until, least_squares
from ci_budget.core.records.metrics import GATED_BY_BASELINE
from ci_budget.core.records.report import Fingerprint

TRENDED: Final = GATED_BY_BASELINE
"""The metrics that trends are made of, in this order."""

DAY: Final = 86_400

Row = tuple[int, int, int, str, int, int, int | None, int | None, int | None, int | None]
"""(started in seconds since 1970, run, setup, verdict, budgets, bases, then the metrics of TRENDED); what is called by
a number here is looked up elsewhere. Plain tuples: a year of a thousand images has 365,000 of them."""

_FIRST_METRIC = 6
_PERCENT = {name: int(tolerance.percent) for name, tolerance in DEFAULT_TOLERANCES.items()}


@dataclass(frozen=True, kw_only=True)
class Change:
    """A step between two days beyond the metric's default tolerance. `run` measured `after`, `previous` `before`."""

    image: str
    metric: str
    started: int
    before: int
    after: int
    run: int
    previous: int
    bases_differ: bool

    @property
    def delta(self) -> int:
        """`after` - `before`."""
        return self.after - self.before


@dataclass(frozen=True, kw_only=True)
class Release:
    """The last release of an image: its tag, when (seconds since 1970), and what it measured, by metric name."""

    tag: str
    released: int
    metrics: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Trend:
    """One metric of one image. `points`: (day since 1970, value), thinned for a chart; `days`: how many had a value.

    `slope` is in the metric's unit a day, over all days and not only over `points`.
    """

    metric: str
    points: tuple[tuple[int, int], ...]
    days: int
    first: int
    last: int
    slope: float | None
    budget: int | None = None
    released: int | None = None

    @property
    def delta(self) -> int:
        """Last value minus first."""
        return self.last - self.first

    @property
    def drift(self) -> int | None:
        """Last value minus that of the last release; None without one."""
        return None if self.released is None else self.last - self.released

    @property
    def days_left(self) -> int | None:
        """Days until the budget is reached at this slope; 0 when it is; None when nothing can be said."""
        return days_until(self.budget, self.last, self.slope)

    @property
    def used(self) -> float | None:
        """Share of the budget that the last value takes, 1.0 is all; None without a budget."""
        if self.budget is None:
            return None
        return self.last / self.budget if self.budget else (2.0 if self.last else 1.0)


@dataclass(frozen=True, kw_only=True)
class ImageTrend:
    """One image on one platform. `run` and `verdict` are those of its last run."""

    image: str
    platform: str
    started: int
    run: int
    verdict: str
    runs: int
    trends: Mapping[str, Trend]
    changes: tuple[Change, ...] = ()
    release: Release | None = None
    several: bool = False
    """Whether the image was measured on other platforms as well."""

    @property
    def title(self) -> str:
        """The name; with the platform where there are several."""
        return f"{self.image} ({self.platform})" if self.several else self.image


@dataclass(frozen=True, kw_only=True)
class Lookups:
    """What rows only number: fingerprints by setup, budgets by metric, by number."""

    setups: Mapping[int, Fingerprint | None]
    budgets: Mapping[int, Mapping[str, int]]
    _alike: dict[tuple[str, int, int], bool] = field(default_factory=dict)

    def comparable(self, metric: str, one: int, other: int) -> bool:
        """Whether values of two setups may stand in one line (design: fingerprint)."""
        if one == other:
            return True
        key = (metric, one, other)
        if key not in self._alike:
            first, second = self.setups.get(one), self.setups.get(other)
            fields = compared_fields(metric)
            self._alike[key] = not fields or (
                first is not None
                and second is not None
                and all(getattr(first, name) == getattr(second, name) for name in fields)
            )
        return self._alike[key]

    def platform(self, setup: int) -> str:
        """The platform of a setup; empty where none is known."""
        found = self.setups.get(setup)
        return "" if found is None else found.platform


def image_trends(
    image: str,
    rows: Sequence[Row],
    lookups: Lookups,
    *,
    most_points: int,
    releases: Mapping[str, Release] = MappingProxyType({}),
) -> list[ImageTrend]:
    """The trends of an image, one for each platform that it was measured on. `rows` are in the order of time.

    `releases`: the last one by platform. A run that knew no platform (its environment failed) counts
    with the platform measured last. Values of setups that cannot be compared with the last one are left out.
    """
    by_platform = _by_platform(rows, lookups)
    return [
        replace(
            _trend_of(image, platform, mine, lookups, most_points, releases.get(platform)),
            several=len(by_platform) > 1,
        )
        for platform, mine in by_platform.items()
    ]


def thin(points: Sequence[tuple[int, int]], most: int) -> tuple[tuple[int, int], ...]:
    """At most `most` (>= 3) points that keep the shape: first, last, and the highest of each stretch between.

    Where that is not enough for all, points inside a level stretch go first: they say nothing.
    """
    if len(points) <= most:
        return tuple(points)
    around = zip(points, points[1:], points[2:], strict=False)
    bent = [here for before, here, after in around if not before[1] == here[1] == after[1]]
    points = [points[0], *bent, points[-1]]
    if len(points) <= most:
        return tuple(points)
    inner, stretches = points[1:-1], most - 2
    kept = [points[0]]
    for index in range(stretches):
        stretch = inner[index * len(inner) // stretches : (index + 1) * len(inner) // stretches]
        kept.append(max(stretch, key=lambda point: point[1]))
    return (*kept, points[-1])


def _by_platform(rows: Sequence[Row], lookups: Lookups) -> dict[str, Sequence[Row]]:
    names = {setup: lookups.platform(setup) for setup in {row[2] for row in rows}}
    known = sorted({name for name in names.values() if name})
    if len(known) < 2:
        return {known[0] if known else "": rows}
    last = next(name for row in reversed(rows) if (name := names[row[2]]))
    return {name: [row for row in rows if (names[row[2]] or last) == name] for name in known}


def _trend_of(
    image: str, platform: str, rows: Sequence[Row], lookups: Lookups, most_points: int, release: Release | None
) -> ImageTrend:
    last = rows[-1]
    trends: dict[str, Trend] = {}
    changes: list[Change] = []
    for index, metric in enumerate(TRENDED, start=_FIRST_METRIC):
        daily = _daily(rows, index, metric, lookups)
        if not daily:
            continue
        days = [row[0] // DAY for row in daily]
        values = cast("list[int]", [row[index] for row in daily])  # rows without a value were left out
        trends[metric] = Trend(
            metric=metric,
            points=thin(list(zip(days, values, strict=True)), most_points),
            days=len(days),
            first=values[0],
            last=values[-1],
            slope=least_squares(days, values),
            budget=lookups.budgets.get(last[4], {}).get(metric),
            released=None if release is None else release.metrics.get(metric),
        )
        changes += _changes(image, metric, daily, values)
    return ImageTrend(
        image=image,
        platform=platform,
        started=last[0],
        run=last[1],
        verdict=last[3],
        runs=len(rows),
        trends=trends,
        changes=tuple(changes),
        release=release,
    )


def _daily(rows: Sequence[Row], index: int, metric: str, lookups: Lookups) -> list[Row]:
    """The last comparable row with a value of each day."""
    having = [row for row in rows if row[index] is not None]
    if not having:
        return []
    now = having[-1][2]
    fitting = {setup for setup in {row[2] for row in having} if lookups.comparable(metric, now, setup)}
    by_day = {row[0] // DAY: row for row in having if row[2] in fitting}  # the order of time: a later row wins
    return list(by_day.values())


def _changes(image: str, metric: str, daily: Sequence[Row], values: Sequence[int]) -> Iterable[Change]:
    percent = _PERCENT[metric]
    for index in range(1, len(values)):
        before, after = values[index - 1], values[index]
        if before == after or abs(after - before) * 100 <= before * percent:
            continue
        previous, row = daily[index - 1], daily[index]
        yield Change(
            image=image,
            metric=metric,
            started=row[0],
            before=before,
            after=after,
            run=row[1],
            previous=previous[1],
            bases_differ=row[5] != previous[5],
        )
