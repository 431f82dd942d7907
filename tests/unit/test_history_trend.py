"""Trends, slopes, forecasts and changes, computed from rows."""

from __future__ import annotations

import pytest

from ci_budget.core.history.overview import offences
from ci_budget.core.history.slope import days_until, least_squares
from ci_budget.core.history.trend import DAY, Release, image_trends, thin
from tests.unit.history_samples import DAY_ONE, lookups, overview, rows, trend

MB = 10**6


@pytest.mark.parametrize(
    ("days", "values", "slope"),
    [
        ([0, 1, 2, 3, 4], [10, 20, 30, 40, 50], 10.0),
        ([0, 1, 2, 3, 4], [50, 40, 30, 20, 10], -10.0),
        ([0, 1, 2, 3, 4], [7, 7, 7, 7, 7], 0.0),
        ([0, 2, 4, 6, 10], [0, 20, 40, 60, 100], 10.0),  # nights without a run count as the days that they are
        ([0, 1, 2, 3, 4], [0, 0, 0, 0, 10], 2.0),
        ([20_500, 20_501, 20_502, 20_503, 20_504], [2**62, 2**62 + 1, 2**62 + 2, 2**62 + 3, 2**62 + 4], 1.0),
        ([0, 1, 2, 3], [10, 20, 30, 40], None),
        ([], [], None),
    ],
)
def test_the_slope_of_least_squares(days: list[int], values: list[int], slope: float | None) -> None:
    assert least_squares(days, values) == slope


@pytest.mark.parametrize(
    ("budget", "last", "slope", "days"),
    [
        (100, 50, 10.0, 5),
        (100, 51, 10.0, 4),
        (100, 100, 10.0, 0),
        (100, 120, -5.0, 0),
        (100, 50, 0.0, None),
        (100, 50, -1.0, None),
        (100, 50, None, None),
        (None, 50, 10.0, None),
        (100_000, 0, 27.0, None),  # more than ten years
    ],
)
def test_days_until_the_budget(budget: int | None, last: int, slope: float | None, days: int | None) -> None:
    assert days_until(budget, last, slope) == days


def test_the_last_run_of_a_day_counts() -> None:
    morning = (DAY_ONE * DAY + 60, 7, 1, "pass", 2, 3, None, 999, 8, 0)
    evening = (DAY_ONE * DAY + 7200, 8, 1, "pass", 2, 3, None, 500, 8, 0)
    (found,) = image_trends("web", [morning, evening], lookups(), most_points=9)
    assert found.trends["image_size"].points == ((DAY_ONE, 500),)
    assert found.runs == 2


def test_a_change_names_both_runs_and_whether_the_base_changed() -> None:
    given = rows([100 * MB, 100 * MB, 130 * MB, 130 * MB])
    given[2:] = [(*row[:5], 9, *row[6:]) for row in given[2:]]
    (found,) = image_trends("web", given, lookups(), most_points=9)
    (change,) = found.changes
    assert (change.metric, change.before, change.after, change.delta) == ("image_size", 100 * MB, 130 * MB, 30 * MB)
    assert (change.previous, change.run, change.bases_differ) == (1, 2, True)


def test_what_stays_within_the_tolerance_is_no_change() -> None:
    assert trend([100 * MB, 101 * MB, 100 * MB]).changes == ()
    assert len(trend([100 * MB, 101 * MB + 1]).changes) == 1


def test_values_that_cannot_be_compared_are_in_no_line() -> None:
    peaks = [(*row[:6], 500 + row[1], *row[7:]) for row in rows([10, 11, 12, 13], setups=[5, 5, 1, 1])]
    (found,) = image_trends("web", peaks, lookups(), most_points=9)
    assert [value for _, value in found.trends["peak_disk"].points] == [502, 503]  # another disk mode
    assert [value for _, value in found.trends["image_size"].points] == [10, 11, 12, 13]  # the same platform


def test_each_platform_has_a_line_and_an_unknown_one_counts_with_the_last() -> None:
    given = rows([10, 20, 11, 21, None], setups=[1, 4, 1, 4, 0])
    amd, arm = image_trends("web", given, lookups(), most_points=9)
    assert (amd.title, [value for _, value in amd.trends["image_size"].points]) == ("web (linux/amd64)", [10, 11])
    assert (arm.title, [value for _, value in arm.trends["image_size"].points]) == ("web (linux/arm64)", [20, 21])
    assert (amd.runs, arm.runs) == (2, 3)


def test_the_drift_since_the_last_release() -> None:
    release = {"linux/amd64": Release(tag="v1", released=DAY_ONE * DAY, metrics={"image_size": 100})}
    found = trend([90, 110, 125], releases=release)
    assert found.trends["image_size"].drift == 25
    assert offences(found, 20.0) == (
        "image_size is 25.0 % above the last release", "image_size grew by 38.9 %",
    )  # fmt: skip


def test_the_worst_come_first_and_say_why() -> None:
    over = trend([90, 95, 100, 105, 110], budget=100, name="over")
    soon = trend([50 * MB, 60 * MB, 70 * MB, 80 * MB, 90 * MB], budget=100 * MB, name="soon")
    calm = trend([50, 50, 50, 50, 50], budget=100, name="calm")
    grown = trend([50, 50, 50, 50, 60], name="grown")
    fallen = trend([60, 50, 40, 30, 20], name="fallen")
    said = overview(calm, fallen, grown, soon, over)
    assert [image.image for image in said.images] == ["over", "soon", "grown", "calm", "fallen"]
    assert [(image.image, reasons) for image, reasons in said.offenders] == [
        ("over", ("image_size 110 B is over its budget of 100 B", "image_size grew by 22.2 %")),
        ("soon", ("image_size 90.0 MB reaches its budget of 100 MB in 1 day", "image_size grew by 80.0 %")),
        ("grown", ("image_size grew by 20.0 %",)),
    ]


def test_an_image_that_was_never_measured_has_no_trend_but_its_verdict() -> None:
    nothing = [(*row[:3], "build-failed", *row[4:7], None, None, None) for row in rows([1, 1], setups=[0, 0])]
    (found,) = image_trends("web", nothing, lookups(), most_points=9)
    assert found.trends == {}
    assert offences(found, 10.0) == ("the last run's verdict is build-failed",)


def test_thinning_keeps_the_ends_and_the_highest() -> None:
    points = [(day, 1000 if day == 137 else day % 7) for day in range(365)]
    kept = thin(points, 20)
    assert len(kept) <= 20
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert (137, 1000) in kept


def test_what_is_level_is_thinned_without_a_loss() -> None:
    points = [(day, 5 if day < 200 else 9) for day in range(365)]
    assert thin(points, 20) == ((0, 5), (199, 5), (200, 9), (364, 9))
