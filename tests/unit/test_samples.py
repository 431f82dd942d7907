"""What may honestly be said of a level that was looked at now and then: peaks, bounds, contact with the ceiling."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_budget.core.measurement.samples import (
    LEAST_FREE,
    WIDEST_GAP,
    CeilingContact,
    Peak,
    SampleSeries,
    find_contact,
    find_peak,
    rises,
    thin_out,
)

EXAMPLES = int(os.environ.get("CI_BUDGET_PROPERTY_EXAMPLES", "100"))
MIB = 2**20
DISK = 1000 * MIB


def series(*points: tuple[float, int], total: int = DISK, inodes: dict[int, int] | None = None) -> SampleSeries:
    """Samples (seconds, bytes in use) of a disk of `total` bytes; `inodes`: free inodes of single samples."""
    made = SampleSeries()
    for index, (time, used) in enumerate(points):
        made.append(time, used, total - used, (inodes or {}).get(index, 50_000))
    return made


class TestSeries:
    """Looking things up in a series."""

    def test_the_span_has_its_borders(self) -> None:
        made = series((1.0, 10), (2.0, 20), (3.0, 30))
        assert made.span(1.0, 3.0) == (0, 3)
        assert made.span(1.1, 2.9) == (1, 2)
        assert made.span(3.1, 9.0) == (3, 3)
        assert len(made) == 3

    @pytest.mark.parametrize(("time", "level"), [(0.5, 10), (1.0, 10), (1.9, 10), (2.0, 20), (99.0, 30)])
    def test_the_level_is_that_of_the_last_sample_before(self, time: float, level: int) -> None:
        assert series((1.0, 10), (2.0, 20), (3.0, 30)).level_at(time) == level

    def test_the_highest_counts_the_level_at_the_borders(self) -> None:
        made = series((1.0, 50), (2.0, 20), (3.0, 30), (4.0, 90))
        assert made.highest(1.5, 3.5) == 50, "what was in use when the span began"
        assert made.highest(2.0, 3.5) == 30
        assert SampleSeries().highest(0.0, 1.0) is None


class TestPeak:
    """The highest sample, and the bound that its neighbours allow."""

    def test_between_samples_the_level_may_have_risen_as_fast_as_it_ever_did(self) -> None:
        # The fastest rise is 300 bytes in 0.1 s; the widest gap 0.2 s: up to 600 bytes above the highest sample.
        made = series((10.0, 1000), (10.1, 1300), (10.3, 1400), (10.4, 1200))
        assert find_peak(made, 10.0, 10.4, zero=400, ceiling=None) == Peak(
            observed=1000,
            upper_bound=1000 + 600,
            at=10.3,
            interval=pytest.approx(0.4 / 3),
            widest_gap=pytest.approx(0.2),
            fastest_rise=pytest.approx(3000.0),
        )

    def test_the_bound_ends_at_the_ceiling_but_never_below_what_was_seen(self) -> None:
        made = series((10.0, 1000), (10.1, 1300), (10.3, 1400))
        capped = find_peak(made, 10.0, 10.3, zero=400, ceiling=1100)
        below = find_peak(made, 10.0, 10.3, zero=400, ceiling=900)
        assert capped is not None and capped.upper_bound == 1100
        assert below is not None and below.upper_bound == below.observed == 1000

    def test_the_first_of_equal_peaks_is_the_peak(self) -> None:
        peak = find_peak(series((0.0, 5), (0.1, 9), (0.2, 9)), 0.0, 0.2, zero=0, ceiling=None)
        assert peak is not None and peak.at == 0.1

    def test_only_the_window_counts(self) -> None:
        made = series((0.0, 900), (1.0, 10), (1.1, 20), (2.0, 800))
        peak = find_peak(made, 1.0, 1.1, zero=0, ceiling=None)
        assert peak is not None and (peak.observed, peak.widest_gap) == (20, pytest.approx(0.1))

    @pytest.mark.parametrize(
        ("start", "end", "gap", "measured"),
        [(1.0, 1.2, 0.1, True), (0.5, 1.2, 0.5, True), (0.4, 1.2, 0.6, False), (1.0, 1.9, 0.7, False)],
        ids=["inside", "half-a-second", "unseen-before", "unseen-after"],
    )
    def test_a_gap_counts_at_the_borders_too(self, start: float, end: float, gap: float, measured: bool) -> None:
        peak = find_peak(series((1.0, 1), (1.1, 2), (1.2, 3)), start, end, zero=0, ceiling=None)
        assert peak is not None
        assert (peak.widest_gap, peak.measured) == (pytest.approx(gap), measured)

    @pytest.mark.parametrize(("gap", "measured"), [(WIDEST_GAP, True), (WIDEST_GAP + 0.001, False)])
    def test_more_than_half_a_second_in_the_middle_is_not_measured(self, gap: float, measured: bool) -> None:
        peak = find_peak(series((0.0, 1), (gap, 2)), 0.0, gap, zero=0, ceiling=None)
        assert peak is not None and peak.measured is measured

    @pytest.mark.parametrize("points", [(), ((1.0, 10),), ((0.0, 1), (1.0, 2), (5.0, 3))])
    def test_fewer_than_two_samples_say_nothing(self, points: tuple[tuple[float, int], ...]) -> None:
        assert find_peak(series(*points), 0.5, 1.5, zero=0, ceiling=None) is None


def contact(made: SampleSeries) -> CeilingContact:
    """The contact within the whole series."""
    found = find_contact(made, made.times[0], made.times[-1])
    assert found is not None
    return found


class TestContact:
    """Whether the ceiling was reached."""

    def test_far_away(self) -> None:
        assert contact(series((0.0, 0), (0.01, MIB), (0.02, 2 * MIB))) == CeilingContact(
            free=DISK - 2 * MIB,
            free_inodes=50_000,
            at=0.02,
            told=0.02,
            near=False,
            surely=False,
            inodes=False,
            leapt_from=None,
        )

    @pytest.mark.parametrize(("free", "near"), [(LEAST_FREE + 4096, False), (LEAST_FREE, True), (10 * MIB, True)])
    def test_near_is_the_last_64_mib(self, free: int, near: bool) -> None:
        found = contact(series((0.0, DISK - free - 100), (0.01, DISK - free)))
        assert (found.near, found.surely, found.free) == (near, False, free)

    def test_near_is_as_far_as_the_fastest_rise_reaches_in_the_widest_gap(self) -> None:
        # 100 MiB in 0.1 s, unseen for 0.2 s: 200 MiB from the ceiling may have touched it.
        rising = ((0.0, 0), (0.1, 100 * MIB), (0.3, 120 * MIB))
        assert contact(series(*rising, (0.4, DISK - 199 * MIB))).near
        slow = ((0.0, 0), (0.1, 100 * MIB), (0.2, 120 * MIB))
        assert not contact(series(*slow, *((0.3 + 0.1 * step, (200 + 90 * step) * MIB) for step in range(7)))).near

    @pytest.mark.parametrize(("free", "surely"), [(256 * 1024, True), (256 * 1024 + 4096, False), (0, True)])
    def test_surely_is_the_last_blocks(self, free: int, surely: bool) -> None:
        found = contact(series((0.0, DISK - 80 * MIB), (0.01, DISK - free), (0.02, DISK - free)))
        assert (found.surely, found.at) == (surely, 0.01)

    def test_surely_is_a_fall_from_so_near_that_the_rise_must_have_got_there(self) -> None:
        # 2 MiB free while 5 MiB come with every sample, then all of it is gone: it was full in between.
        climb = [(0.01 * step, DISK - 32 * MIB + 5 * MIB * step) for step in range(7)]
        assert contact(series(*climb)).surely is False
        fallen = contact(series(*climb, (0.07, DISK - 300 * MIB)))
        assert fallen.surely is True
        assert (fallen.at, fallen.told) == pytest.approx((0.06, 0.06))

    def test_a_small_fall_proves_nothing(self) -> None:
        # 41 MiB free after 60 MiB in one sample: the next might have been the last, but nobody gave anything back.
        climb = [(0.0, DISK - 161 * MIB), (0.05, DISK - 101 * MIB), (0.1, DISK - 41 * MIB)]
        for fall, surely in ((8192, False), (20 * MIB, False), (21 * MIB, True)):
            assert contact(series(*climb, (0.15, DISK - 41 * MIB - fall))).surely is surely

    def test_in_the_last_stretch_a_small_fall_is_enough(self) -> None:
        climb = [(0.0, DISK - 136 * MIB), (0.05, DISK - 76 * MIB)]
        for left, surely in ((16, True), (17, False)):
            near = (0.1, DISK - left * MIB)
            assert contact(series(*climb, near, (0.15, DISK - left * MIB - 8192))).surely is surely

    def test_the_moment_is_the_first_that_was_as_near_as_any(self) -> None:
        left = [(0.0, 90 * MIB), (0.1, 2 * MIB), (0.2, MIB), (0.3, MIB // 2)]
        assert contact(series(*((time, DISK - free) for time, free in left))).at == pytest.approx(0.2)

    def test_the_moment_of_a_full_disk_is_the_first_that_came_as_near(self) -> None:
        # A step left 300 kB, and what came after it took the last of them.
        left = [(0.0, 90 * MIB), (0.1, 300_000), (0.2, 300_000), (0.3, 0), (0.4, 0)]
        found = contact(series(*((time, DISK - free) for time, free in left)))
        assert (found.surely, found.at, found.told) == (True, pytest.approx(0.1), pytest.approx(0.3))

    def test_no_rate_is_told_from_microseconds(self) -> None:
        # 8 MiB in 10 us, beside a step event, are no 800 GB/s that reach the ceiling from anywhere.
        made = series((0.0, 0), (0.01, MIB), (0.01001, 9 * MIB), (0.02, 10 * MIB))
        assert not contact(made).near
        assert max(rises(made, 0, 4)) == pytest.approx(9 * MIB / 0.01001)

    def test_a_fall_after_a_slow_rise_proves_nothing(self) -> None:
        climb = [(0.01 * step, DISK - 12 * MIB + MIB // 2 * step) for step in range(7)]
        assert contact(series(*climb, (0.07, DISK - 300 * MIB))).surely is False

    def test_close_samples_show_each_write(self) -> None:
        # 6 GB a second, seen every 0.2 ms: 1 MiB from the end the next write meets it; 20 MiB from it, and at rest, no.
        for left, writes, surely in ((1, 1, True), (20, 0, False), (20, 1, False)):
            climb = [(0.0002 * step, DISK - (left + (100 - step) * writes) * MIB) for step in range(101)]
            rise = [(-0.01, DISK - 200 * MIB), *climb]
            assert contact(series(*rise, (0.0222, DISK - 60 * MIB))).surely is surely, (left, writes)
        assert contact(series(*rise, (0.0252, DISK - 60 * MIB))).surely is True, "5 ms later it may have been there"

    def test_a_fall_long_after_the_last_rise_proves_nothing(self) -> None:
        rise = [(0.0, DISK - 50 * MIB), (0.01, DISK - 10 * MIB)]
        still = [(0.01 + 0.1 * step, DISK - 10 * MIB) for step in range(1, 8)]
        assert contact(series(*rise, *still, (0.75, DISK - 300 * MIB))).surely is False
        assert contact(series(*rise, (0.02, DISK - 300 * MIB))).surely is True

    def test_no_writer_leaps_800_mb_in_10_ms(self) -> None:
        leapt = contact(series((0.0, DISK - 900 * MIB), (0.01, DISK), (0.02, DISK - 900 * MIB)))
        assert (leapt.surely, leapt.leapt_from, leapt.at) == (True, 900 * MIB, 0.01)

    def test_a_sample_in_the_middle_of_a_leap_hides_it_not(self) -> None:
        for middle in (60 * MIB, 450 * MIB, 870 * MIB):
            levels = ((0.0, DISK - 900 * MIB), (0.01, DISK - 900 * MIB + middle), (0.02, DISK))
            assert contact(series(*levels)).leapt_from == 900 * MIB

    def test_many_samples_in_the_middle_of_a_leap_hide_it_not(self) -> None:
        left = [(0.01, 138), (0.0102, 60), (0.0104, 9), (0.0106, 1), (0.0108, 0)]
        levels = ((0.0, DISK - 398 * MIB), *((time, DISK - free * MIB) for time, free in left))
        assert contact(series(*levels)).leapt_from == 398 * MIB

    def test_what_a_writer_can_do_is_no_leap(self) -> None:
        written = contact(series((0.0, DISK - 70 * MIB), (0.01, DISK), (0.02, DISK)))
        assert (written.surely, written.leapt_from) == (True, None)
        from_the_end = contact(series((0.0, DISK - 60 * MIB), (0.001, DISK)))
        assert from_the_end.leapt_from is None, "the last 64 MiB are near enough to have been written"

    @pytest.mark.parametrize(
        ("left", "near", "surely", "inodes"),
        [(101, False, False, False), (100, True, False, True), (0, True, True, True)],
    )
    def test_inodes_end_too(self, left: int, near: bool, surely: bool, inodes: bool) -> None:
        found = contact(series((0.0, 100), (0.01, 200), (0.02, 300), inodes={1: left}))
        assert (found.near, found.surely, found.inodes, found.free_inodes) == (near, surely, inodes, left)

    def test_where_both_are_short_the_blocks_are_the_reason(self) -> None:
        found = contact(series((0.0, DISK - 100), (0.01, DISK), inodes={1: 3}))
        assert (found.near, found.surely, found.inodes) == (True, True, False)

    def test_the_neighbours_just_outside_count(self) -> None:
        made = series((0.0, 0), (1.0, DISK), (2.0, 0))
        found = find_contact(made, 1.2, 1.8)
        assert found is not None and found.surely
        assert find_contact(SampleSeries(), 0.0, 1.0) is None


class TestThinOut:
    """Fewer points for a chart."""

    def test_nothing_in_the_window(self) -> None:
        assert thin_out(series((1.0, 10)), 2.0, 3.0, zero=0, limit=10) == []

    def test_few_points_stay_as_they_are(self) -> None:
        made = series((1.0, 10), (1.5, 30), (2.0, 20))
        assert thin_out(made, 1.0, 2.0, zero=10, limit=600) == [(0.0, 0), (0.5, 20), (1.0, 10)]

    def test_a_crowd_of_samples_takes_no_more_room_than_its_time(self) -> None:
        sparse = [(index * 0.01, 5) for index in range(1000)]
        dense = [(10.0 + index * 0.0001, 5 + index % 7) for index in range(1000)]
        points = thin_out(series(*sparse, *dense), 0.0, 11.0, zero=0, limit=100)
        assert len([time for time, _ in points if time < 10.0]) >= 48

    def test_a_single_spike_among_a_hundred_thousand_is_kept(self) -> None:
        made = series(*((index * 0.01, 500) for index in range(100_000)))
        made.used[77_777] = 9_999
        made.used[33_333] = 1
        points = thin_out(made, 0.0, 1000.0, zero=100, limit=600)
        assert len(points) <= 602
        assert (pytest.approx(777.77), 9_899) in points
        assert (pytest.approx(333.33), -99) in points
        assert points[-1][0] == pytest.approx(999.99)


levels = st.lists(st.integers(0, DISK), min_size=2, max_size=60)
gaps = st.floats(0.001, 0.7, allow_nan=False)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    points=st.lists(st.tuples(gaps, st.integers(0, DISK)), min_size=2, max_size=60),
    zero=st.integers(0, 10_000),
    ceiling=st.one_of(st.none(), st.integers(0, DISK)),
    limit=st.integers(2, 80),
)
def test_the_figures_hang_together(points: list[tuple[float, int]], zero: int, ceiling: int | None, limit: int) -> None:
    """The peak is the highest level, its bound is not below it, and no thinning loses it."""
    time, placed = 100.0, []
    for gap, used in points:
        time += gap
        placed.append((time, used))
    made = series(*placed)
    start, end = made.times[0], made.times[-1]

    peak = find_peak(made, start, end, zero=zero, ceiling=ceiling)
    assert peak is not None
    assert peak.observed == max(made.used) - zero
    assert peak.observed <= peak.upper_bound
    assert ceiling is None or peak.upper_bound <= max(ceiling, peak.observed)
    assert made.level_at(peak.at) - zero == peak.observed

    thinned = thin_out(made, start, end, zero=zero, limit=limit)
    assert max(used for _, used in thinned) == peak.observed
    assert min(used for _, used in thinned) == min(made.used) - zero
    assert [time for time, _ in thinned] == sorted({time for time, _ in thinned})
    assert len(thinned) <= limit + 3

    found = find_contact(made, start, end)
    assert found is not None
    assert found.free == DISK - max(made.used)
    assert start <= found.at <= end
