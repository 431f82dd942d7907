"""From what was recorded to figures: stage peaks, what a peak was made of, steps and timeline."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ci_budget.core.measurement.recording import FailedStep, Recording, StageRecord, StepRecord
from ci_budget.core.measurement.samples import CeilingContact, Peak, SampleSeries
from ci_budget.core.records.report import Composition, StepReport, TimelinePoint

EXAMPLES = int(os.environ.get("CI_BUDGET_PROPERTY_EXAMPLES", "100"))
START = 50.0
ZERO = 1_000
TOTAL = 1_000_000_000


def series(*used: int, interval: float = 0.1, free_inodes: int = 900) -> SampleSeries:
    """Levels above `ZERO`, one each `interval` seconds from `START` on."""
    made = SampleSeries()
    for index, level in enumerate(used):
        made.append(START + index * interval, ZERO + level, TOTAL - ZERO - level, free_inodes)
    return made


def step(name: str, start: float, end: float, **more: Any) -> StepRecord:
    """A step of stage `app`; times are seconds after `START`."""
    given: dict[str, Any] = {"stage": "app", "line": 3} | more
    return StepRecord(name=name, start=START + start, end=START + end, **given)


def recording(*used: int, **more: Any) -> Recording:
    """A recording whose window is the whole series."""
    made = series(*used)
    given: dict[str, Any] = {
        "zero": ZERO,
        "zero_inodes": 20,
        "total_inodes": 1_000,
        "ceiling": None,
        "base_level": made.used[0],
        "start": made.times[0],
        "end": made.times[-1],
    } | more
    return Recording(series=made, **given)


def peak_of(made: Recording) -> Peak:
    """The peak of a recording that has one."""
    peak = made.peak()
    assert peak is not None
    return peak


class TestStages:
    """Each stage has its own peak and what it kept."""

    def test_a_stage_peak_is_the_highest_level_while_it_was_built(self) -> None:
        made = recording(0, 500, 200, 200, 300, 250)
        first = StageRecord(index=0, start=START, end=START + 0.2)
        second = StageRecord(index=1, start=START + 0.3, end=START + 0.5)
        peaks = [made.stage_peak(stage) for stage in (first, second)]
        assert [peak.observed for peak in peaks if peak] == [500, 300]
        assert (made.added_by(first), made.added_by(second)) == (200, 50)

    def test_a_stage_that_frees_more_than_it_writes_adds_less_than_nothing(self) -> None:
        made = recording(700, 800, 600)
        assert made.added_by(StageRecord(index=0, start=START, end=START + 0.2)) == -100

    def test_most_inodes_in_use(self) -> None:
        made = recording(0, 0, 0)
        made.series.free_inodes[1] = 300
        assert made.peak_inodes() == 1_000 - 300 - 20
        assert (
            Recording(series=SampleSeries(), zero=0, zero_inodes=0, total_inodes=9, ceiling=None).peak_inodes() is None
        )


class TestContact:
    """Where the ceiling is looked for."""

    def test_in_the_step_that_failed_and_nowhere_else(self) -> None:
        full = TOTAL - ZERO
        made = recording(0, full, 0, 100, 200, 200)
        failed = FailedStep(
            name="RUN x", stage="app", line=4, start=START + 0.35, end=START + 0.5, error="", says_no_space=False
        )
        everywhere = made.contact()
        made.failed = failed
        within = made.contact()
        assert everywhere is not None and everywhere.surely
        assert within is not None and not within.surely and within.free == TOTAL - ZERO - 200


class TestComposition:
    """What the peak was made of."""

    def test_bases_kept_layers_and_the_rest(self) -> None:
        # 100 of bases; a step keeps 200; the next one is at 700 when the peak comes.
        made = recording(100, 200, 300, 500, 800, 350, steps=[step("RUN a", 0.0, 0.2), step("RUN b", 0.25, 0.5)])
        assert made.compose(peak_of(made)) == Composition(
            bases=100, kept_layers=200, cache_mounts=0, context_copy=0, temporary=500
        )

    def test_the_context_counts_once_it_is_there(self) -> None:
        loads = step("[internal] load build context", 0.0, 0.1, loads_context=True, internal=True)
        made = recording(100, 160, 400, 300, steps=[loads, step("RUN a", 0.1, 0.3)], context_copy=60)
        assert made.compose(peak_of(made)) == Composition(
            bases=100, kept_layers=0, cache_mounts=0, context_copy=60, temporary=240
        )
        made.steps = [step("RUN a", 0.1, 0.3)]
        assert made.compose(peak_of(made)).context_copy == 0

    def test_cache_mounts_are_no_layers(self) -> None:
        made = recording(0, 500, 500, 600, 550, steps=[step("RUN a", 0.0, 0.2)], cache_mounts=300)
        assert made.compose(peak_of(made)) == Composition(
            bases=0, kept_layers=200, cache_mounts=300, context_copy=0, temporary=100
        )

    def test_records_larger_than_the_peak_are_cut(self) -> None:
        """The engine counts what it has afterwards; at the peak there was less."""
        made = recording(100, 150, 120, steps=[step("load", 0.0, 0.05, loads_context=True)], context_copy=900)
        made.cache_mounts = 900
        assert made.compose(peak_of(made)) == Composition(
            bases=100, kept_layers=0, cache_mounts=0, context_copy=50, temporary=0
        )

    def test_a_step_from_the_cache_kept_nothing(self) -> None:
        made = recording(100, 300, 500, steps=[step("RUN a", 0.0, 0.1, cached=True)])
        assert made.compose(peak_of(made)).kept_layers == 0


class TestSteps:
    """The Dockerfile's steps as they are reported."""

    def test_in_the_order_of_their_start_with_what_they_added_and_their_peak(self) -> None:
        made = recording(
            0, 500, 200, 200, 900, 300,
            steps=[
                step("RUN b", 0.3, 0.5, line=7, located_by="provenance"),
                step("[internal] load metadata", 0.0, 0.1, internal=True),
                step("RUN a", 0.0, 0.2),
                step("RUN c", 0.3, 0.5, cached=True, stage=None, line=None),
            ],
        )  # fmt: skip
        assert made.report_steps() == [
            StepReport(
                name="RUN a", stage="app", line=3, start_ms=0, end_ms=200, added=200, wrote=500, gave_back=300, peak=500
            ),
            StepReport(
                name="RUN b", stage="app", line=7, start_ms=300, end_ms=500, added=100, wrote=700, gave_back=600,
                peak=900, at_peak=True, located_by="provenance",
            ),
            StepReport(
                name="RUN c", stage=None, line=None, start_ms=300, end_ms=500, added=0, wrote=0, gave_back=0, peak=900,
                cached=True,
            ),
        ]  # fmt: skip

    def test_a_step_that_began_before_the_window_begins_with_it(self) -> None:
        made = recording(0, 100, steps=[step("RUN a", -0.4, 0.1)])
        assert [(found.start_ms, found.end_ms) for found in made.report_steps()] == [(0, 100)]

    def test_who_filled_the_disk_may_have_ended_when_a_sample_shows_it(self) -> None:
        steps = [step("a", 0.0, 0.25), step("export", 0.26, 1.0), step("c", 0.0, 1.0, cached=True)]
        made = recording(0, 100, 900, 960, *[960] * 7, steps=steps)
        assert [blamed(made, time) for time in (-0.1, 0.2, 0.3, 1.0, 1.6)] == [None, "a", "a", "export", "export"]

    def test_who_says_that_the_disk_was_full_is_believed(self) -> None:
        steps = [
            step("early", 0.0, 0.1, says_no_space=True),
            step("large", 0.7, 0.9),
            step("refused", 0.92, 1.0, says_no_space=True),
            step("later", 1.1, 1.2, says_no_space=True),
        ]
        made = recording(*[0] * 8, 900, 990, 1000, 1000, 1000, steps=steps)
        assert blamed(made, 0.9, told=1.0) == "refused"
        assert blamed(made, 0.9) == "large"
        assert blamed(made, 0.9, told=0.91) == "large"


def blamed(made: Recording, at: float, *, told: float | None = None) -> str | None:
    """The name of the step that met a full disk, where `at` seconds after the start it was full."""
    contact = CeilingContact(
        free=0,
        free_inodes=900,
        at=START + at,
        told=START + (at if told is None else told),
        near=True,
        surely=True,
        inodes=False,
        leapt_from=None,
    )
    found = made.step_that_filled(contact)
    return found.name if found else None


class TestTimeline:
    """The level over time."""

    def test_points_count_from_the_window_and_name_the_running_steps(self) -> None:
        made = recording(0, 500, 200, steps=[step("RUN b", 0.15, 0.2), step("RUN a", 0.0, 0.12)])
        assert made.timeline() == [
            TimelinePoint(t_ms=0, used=0, steps=[0]),
            TimelinePoint(t_ms=100, used=500, steps=[0]),
            TimelinePoint(t_ms=200, used=200, steps=[1]),
        ]
        assert [found.name for found in made.report_steps()] == ["RUN a", "RUN b"]

    def test_a_long_build_is_thinned_out_and_keeps_its_peak(self) -> None:
        levels = [1000] * 50_000
        levels[31_234] = 77_777
        made = recording(*levels)
        points = made.timeline()
        assert len(points) <= 602
        assert max(point.used for point in points) == peak_of(made).observed == 77_777


amounts = st.integers(0, 5_000)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    levels=st.lists(amounts, min_size=2, max_size=30),
    ends=st.lists(st.floats(0, 3, allow_nan=False), max_size=5),
    base=st.integers(-100, 6_000),
    caches=amounts,
    context=amounts,
)
def test_the_parts_always_add_up_to_the_peak(
    levels: list[int], ends: list[float], base: int, caches: int, context: int
) -> None:
    steps = [step(str(index), 0.0, end, loads_context=index == 0) for index, end in enumerate(ends)]
    made = recording(*levels, steps=steps, cache_mounts=caches, context_copy=context)
    made.base_level = ZERO + base
    peak = peak_of(made)
    parts = made.compose(peak).model_dump().values()
    assert sum(parts) == peak.observed == max(levels)
    assert min(parts) >= 0
