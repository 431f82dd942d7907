"""From a recording to metrics, stages and the reason of a failure."""

from __future__ import annotations

from typing import Any

import pytest

from ci_budget.core.measurement.measured_image import (
    ContextFacts,
    StageFacts,
    assemble_metrics,
    assemble_stages,
    find_failure,
    unmeasured_image,
)
from ci_budget.core.measurement.recording import BuiltStage, FailedStep, Recording, StageRecord, StepRecord
from ci_budget.core.measurement.samples import SampleSeries
from ci_budget.core.records.report import Failure, Verdict
from ci_budget.errors import BuildFailedError, CiBudgetError, GateError, UnmeasuredError

MIB = 2**20
ZERO = 5 * MIB
CEILING = 400 * MIB
CONTEXT = ContextFacts(size=5_000, files=3, referenced=2_000)
IMAGE = BuiltStage(image_id="sha256:aa", size=70 * MIB, layers=5, inherited=2)
SMALLER = "Write less in this step, remove in the same step what it no longer needs, or raise disk.budget."
FEWER = "Keep fewer files (caches, sources, node_modules), or raise disk.budget, which brings more inodes."


def recording(*used: int, interval: float = 0.01, inodes: int = 90_000, **more: Any) -> Recording:
    """Levels in MiB above `ZERO`, one each `interval` seconds; the window is the whole of it."""
    series = SampleSeries()
    for index, level in enumerate(used):
        series.append(index * interval, ZERO + level * MIB, CEILING - level * MIB, inodes)
    given: dict[str, Any] = {
        "zero": ZERO,
        "zero_inodes": 10,
        "total_inodes": 100_000,
        "ceiling": CEILING,
        "base_level": series.used[0],
        "start": 0.0,
        "end": series.times[-1],
    } | more
    return Recording(series=series, **given)


def failed(error: str = "exit code: 1", *, end: float = 99.0, says_no_space: bool = False) -> FailedStep:
    """A step on line 7 that failed."""
    return FailedStep(
        name="[app 3/4] RUN make",
        stage="app",
        line=7,
        start=0.0,
        end=end,
        error=error,
        says_no_space=says_no_space,
        last_lines=("one", "two"),
    )


def failure(kind: Any = "build") -> Failure:
    """A failure of this kind."""
    return Failure(kind=kind, message=f"{kind} went wrong")


class TestMetrics:
    """All metrics of an image, and why one has no value."""

    def test_a_build_that_went_through(self) -> None:
        made = recording(20, 100, 60, end=0.02)
        metrics = assemble_metrics(made, context=CONTEXT, image=IMAGE, failure=None, no_peak=None)
        assert metrics.model_dump(exclude_defaults=True) == {
            "peak_disk": {
                "value": 100 * MIB,
                "unit": "bytes",
                "observed": 100 * MIB,
                "upper_bound": 180 * MIB,  # 80 MiB came between two samples, and could have come once more
                "interval_ms": 10.0,
                "widest_gap_ms": 10.0,
                "base": 20 * MIB,
                "composition": {
                    "bases": 20 * MIB,
                    "kept_layers": 0,
                    "cache_mounts": 0,
                    "context_copy": 0,
                    "temporary": 80 * MIB,
                },
            },
            "image_size": {"value": 70 * MIB, "unit": "bytes"},
            "layers": {"value": 5, "unit": "count", "inherited": 2, "own": 3},
            "context_size": {"value": 5_000, "unit": "bytes", "context_files": 3, "referenced": 2_000},
            "peak_inodes": {"value": 9_990, "unit": "count"},
            "build_seconds": {"value": 0, "unit": "seconds"},
        }

    def test_at_the_ceiling_the_peak_is_at_least_the_ceiling(self) -> None:
        made = recording(20, 390, 60)
        peak = assemble_metrics(made, context=None, image=None, failure=failure("ceiling"), no_peak=None).peak_disk
        assert peak is not None
        assert (peak.value, peak.at_least, peak.observed, peak.upper_bound) == (CEILING, True, 390 * MIB, CEILING)

    def test_a_watched_limit_has_no_ceiling_to_name(self) -> None:
        made = recording(20, 390, 60, ceiling=None)
        peak = assemble_metrics(made, context=None, image=None, failure=failure("ceiling"), no_peak=None).peak_disk
        assert peak is not None
        assert (peak.value, peak.at_least, peak.message) == (390 * MIB, True, "")

    @pytest.mark.parametrize("kind", ["build", "timeout", "environment"])
    def test_a_build_that_did_not_finish_has_no_peak_but_shows_what_was_seen(self, kind: str) -> None:
        metrics = assemble_metrics(recording(20, 100), context=CONTEXT, image=None, failure=failure(kind), no_peak=None)
        assert metrics.peak_disk is not None
        assert (metrics.peak_disk.value, metrics.peak_disk.observed) == (None, 100 * MIB)
        assert metrics.peak_disk.message == "the build did not finish, so its peak is not known"
        assert metrics.image_size is not None and metrics.layers is not None and metrics.build_seconds is not None
        assert (metrics.image_size.value, metrics.image_size.message) == (None, "the build did not finish")
        assert (metrics.layers.value, metrics.layers.own) == (None, None)
        assert metrics.build_seconds.value is None

    def test_a_failed_smoke_test_takes_nothing_from_the_peak(self) -> None:
        metrics = assemble_metrics(
            recording(20, 100), context=CONTEXT, image=IMAGE, failure=failure("smoke"), no_peak=None
        )
        assert metrics.peak_disk is not None
        assert (metrics.peak_disk.value, metrics.peak_disk.at_least) == (100 * MIB, False)

    def test_unseen_for_more_than_half_a_second_is_not_measured(self) -> None:
        made = recording(20, 100, 60, interval=0.51)
        peak = assemble_metrics(made, context=None, image=IMAGE, failure=None, no_peak=None).peak_disk
        assert peak is not None
        assert (peak.value, peak.observed, peak.widest_gap_ms) == (None, 100 * MIB, 510.0)
        assert peak.message == (
            "the level went unseen for 510 ms, more than 500 ms: the machine was too busy to measure"
        )

    def test_the_ceiling_counts_even_when_the_machine_was_too_busy(self) -> None:
        made = recording(20, 399, 60, interval=0.6)
        peak = assemble_metrics(made, context=None, image=None, failure=failure("ceiling"), no_peak=None).peak_disk
        assert peak is not None and (peak.value, peak.message) == (CEILING, "")

    def test_a_level_below_that_of_before_the_build_is_not_measured(self) -> None:
        said = "less of the disk was in use than before the build: others gave back space meanwhile"
        made = recording(-3, -1, -2, stages=[StageRecord(index=0, start=0.0, end=0.02)])
        peak = assemble_metrics(made, context=None, image=IMAGE, failure=None, no_peak=None).peak_disk
        assert peak is not None
        assert (peak.value, peak.observed, peak.message) == (None, -MIB, said)
        facts = StageFacts(name="app", index=0, base="debian", line=1, reached=True)
        (stage,) = assemble_stages([facts], made, {}, no_peak=None)
        assert (stage.metrics["peak_disk"].value, stage.metrics["peak_disk"].message) == (None, said)
        assert stage.metrics["added_disk"].value == MIB
        made = recording(9, 4, stages=[StageRecord(index=0, start=0.0, end=0.01)])
        (stage,) = assemble_stages([facts], made, {}, no_peak=None)
        assert stage.metrics["peak_disk"].value == 9 * MIB
        assert (stage.metrics["added_disk"].value, stage.metrics["added_disk"].message) == (None, said)

    def test_too_few_samples(self) -> None:
        peak = assemble_metrics(recording(20), context=None, image=IMAGE, failure=None, no_peak=None).peak_disk
        assert peak is not None
        assert (peak.value, peak.message) == (None, "too few samples: the disk level could not be read")

    def test_a_warm_build_has_sizes_and_no_peak(self) -> None:
        metrics = assemble_metrics(recording(20, 100), context=None, image=IMAGE, failure=None, no_peak="it was warm")
        shown = {name: (metric.value, metric.message) for name, metric in metrics.named()}
        assert shown == {
            "peak_disk": (None, "it was warm"),
            "image_size": (70 * MIB, ""),
            "layers": (5, ""),
            "context_size": (None, "the context could not be read"),
            "peak_inodes": (None, "it was warm"),
            "build_seconds": (None, "it was warm"),
        }

    def test_nothing_was_built(self) -> None:
        metrics = assemble_metrics(None, context=CONTEXT, image=None, failure=failure("environment"), no_peak=None)
        shown = {name: (metric.value, metric.message) for name, metric in metrics.named()}
        assert shown["context_size"] == (5_000, "")
        del shown["context_size"]
        assert set(shown.values()) == {(None, "environment went wrong")}, shown


class TestStages:
    """The stages in the Dockerfile's order."""

    FACTS = (
        StageFacts(name="one", index=0, base="debian", line=1, reached=True),
        StageFacts(name="unused", index=1, base="debian", line=4, reached=False),
        StageFacts(name="two", index=2, base="one", line=6, reached=True),
    )

    def stages(self, made: Recording | None, **more: Any) -> list[dict[str, tuple[int | None, str]]]:
        """Values and messages of the stages' metrics."""
        given: dict[str, Any] = {"built": {0: IMAGE, 2: IMAGE}, "no_peak": None} | more
        found = assemble_stages(self.FACTS, made, given["built"], no_peak=given["no_peak"])
        assert [(stage.name, stage.reached) for stage in found] == [("one", True), ("unused", False), ("two", True)]
        return [{name: (metric.value, metric.message) for name, metric in stage.metrics.items()} for stage in found]

    def test_each_has_its_own_figures_and_an_unreached_one_has_none(self) -> None:
        made = recording(20, 100, 60, 60, 300, 80)
        made.stages = [StageRecord(index=0, start=0.0, end=0.02), StageRecord(index=2, start=0.03, end=0.05)]
        one, unused, two = self.stages(made)
        assert unused == {}
        assert one == {
            "peak_disk": (100 * MIB, ""),
            "added_disk": (40 * MIB, ""),
            "image_size": (70 * MIB, ""),
            "layers": (5, ""),
            "build_seconds": (0, ""),
        }
        assert (two["peak_disk"], two["added_disk"]) == ((300 * MIB, ""), (20 * MIB, ""))

    def test_the_one_that_failed_has_no_figures_and_those_before_it_keep_theirs(self) -> None:
        made = recording(20, 100, 60, 60, 300, 80, failed=failed())
        made.stages = [StageRecord(index=0, start=0.0, end=0.02), StageRecord(index=2, start=0.03, end=0.05)]
        one, _, two = self.stages(made, built={0: IMAGE})
        assert one["peak_disk"] == (100 * MIB, "")
        assert set(two.values()) == {(None, "this stage was not built to its end")}

    def test_one_that_went_unseen_says_so(self) -> None:
        made = recording(20, 100, 60, 60, interval=0.6)
        made.stages = [StageRecord(index=0, start=0.0, end=1.8)]
        one, _, two = self.stages(made)
        assert one["peak_disk"] == (None, "the level went unseen for 600 ms")
        assert two["peak_disk"] == (None, "this stage was not built to its end")

    def test_without_peaks_there_are_sizes(self) -> None:
        made = recording(20, 100)
        made.stages = [StageRecord(index=0, start=0.0, end=0.01)]
        one, _, _ = self.stages(made, no_peak="it was warm")
        assert (one["peak_disk"], one["image_size"]) == ((None, "it was warm"), (70 * MIB, ""))


class TestFailure:
    """Why the builds did not go through."""

    def test_none(self) -> None:
        assert find_failure(recording(20, 100), timeout=None, enforced=True) is None

    @pytest.mark.parametrize(
        ("levels", "says", "kind"),
        [
            ((20, 336), False, "ceiling"),
            ((20, 335), False, "build"),
            ((20, 335), True, "build"),
            ((20, 399), True, "ceiling"),
        ],
        ids=["64-MiB-left", "more-left", "more-left-and-said-so", "full"],
    )
    def test_a_step_that_failed(self, levels: tuple[int, ...], says: bool, kind: str) -> None:
        steady = [levels[0] + (levels[1] - levels[0]) * step // 100 for step in range(101)]
        made = recording(*steady, failed=failed(says_no_space=says))
        found = find_failure(made, timeout=None, enforced=True)
        assert found is not None
        assert (found.kind, found.stage, found.line, found.step) == (kind, "app", 7, "[app 3/4] RUN make")
        assert found.last_lines == ["one", "two"]

    def test_at_the_ceiling(self) -> None:
        found = find_failure(recording(20, 399, failed=failed()), timeout=None, enforced=True)
        assert found is not None
        assert found.message == "`[app 3/4] RUN make` hit the ceiling: the disk budget of 419 MB is full"
        assert found.mend == SMALLER

    def test_out_of_inodes(self) -> None:
        found = find_failure(recording(20, 30, inodes=4, failed=failed()), timeout=None, enforced=True)
        assert found is not None
        assert found.message == (
            "`[app 3/4] RUN make` hit the ceiling: the disk budget of 419 MB has no free inodes left"
        )
        assert (found.kind, found.mend) == ("ceiling", FEWER)

    def test_on_the_hosts_disk_there_is_no_ceiling_to_hit(self) -> None:
        found = find_failure(recording(20, 399, failed=failed()), timeout=None, enforced=False)
        assert found is not None
        assert (found.kind, found.message) == ("build", "`[app 3/4] RUN make` failed: exit code: 1")

    def test_asked_for_more_than_was_left(self) -> None:
        steady = [20 + step for step in range(101)]
        made = recording(*steady, failed=failed("fallocate: No space left on device", says_no_space=True))
        found = find_failure(made, timeout=None, enforced=True)
        assert found is not None
        assert (found.kind, found.message) == (
            "build",
            "`[app 3/4] RUN make` failed; it may have asked for more than the 294 MB left: "
            "fallocate: No space left on device",
        )

    def test_a_leap_to_the_ceiling_is_a_reservation_where_the_step_says_so(self) -> None:
        leap = (20, 30, 400, 30, 30)
        said = find_failure(recording(*leap, failed=failed(says_no_space=True)), timeout=None, enforced=True)
        silent = find_failure(recording(*leap, failed=failed()), timeout=None, enforced=True)
        assert said is not None and silent is not None
        assert (said.kind, silent.kind) == ("build", "ceiling")
        assert "more than the 388 MB left" in said.message

    def test_only_the_failed_step_is_looked_at(self) -> None:
        levels = (20, 399, 30, 40, 50, 60, 60, 60)
        made = recording(*levels, failed=failed())
        assert made.failed is not None
        made.failed = FailedStep(
            name="RUN x", stage="app", line=9, start=0.045, end=0.07, error="exit code: 2", says_no_space=False
        )
        found = find_failure(made, timeout=None, enforced=True)
        assert found is not None and found.kind == "build"

    def test_a_build_that_hid_that_it_was_full(self) -> None:
        made = recording(20, 200, 400, 200)
        made.steps = [
            StepRecord(name="RUN a", stage="app", line=2, start=0.0, end=0.011),
            StepRecord(name="RUN b || true", stage="app", line=3, start=0.015, end=0.03),
        ]
        found = find_failure(made, timeout=None, enforced=True)
        assert found is not None
        assert (found.kind, found.line, found.step) == ("ceiling", 3, "RUN b || true")
        assert found.message == (
            "`RUN b || true` touched the ceiling of 419 MB and went on as if it had not: what it wrote is not whole"
        )
        assert find_failure(made, timeout=None, enforced=False) is None

    @pytest.mark.parametrize("later", [(400, 400), (30, 30)], ids=["left-full", "cleaned-up"])
    def test_a_full_disk_is_the_fault_of_the_step_that_filled_it_not_of_the_one_that_failed(
        self, later: tuple[int, int]
    ) -> None:
        made = recording(20, 200, 400, *later, *later)
        made.steps = [
            StepRecord(name="RUN b || true", stage="app", line=3, start=0.0, end=0.028),
            StepRecord(name="RUN c", stage="app", line=9, start=0.045, end=0.06),
        ]
        made.failed = FailedStep(
            name="RUN c", stage="app", line=9, start=0.045, end=0.06, error="exit code: 2", says_no_space=False
        )
        found = find_failure(made, timeout=None, enforced=True)
        assert found is not None
        assert (found.kind, found.line, found.step) == ("ceiling", 3, "RUN b || true")
        assert found.message == (
            "`RUN b || true` touched the ceiling of 419 MB and went on as if it had not: what it wrote is not whole; "
            "after it `RUN c` failed: exit code: 2"
        )

    @pytest.mark.parametrize(("says", "line"), [(True, 3), (False, 9)])
    def test_who_left_the_last_blocks_is_not_blamed_for_the_one_that_was_refused(self, says: bool, line: int) -> None:
        made = recording(20, 200, 400, 400, 400, 400)
        made.steps = [
            StepRecord(name="RUN b", stage="app", line=3, start=0.0, end=0.028, says_no_space=says),
            StepRecord(name="RUN c", stage="app", line=9, start=0.045, end=0.06, says_no_space=True),
        ]
        made.failed = FailedStep(
            name="RUN c", stage="app", line=9, start=0.045, end=0.06, error="exit code: 2", says_no_space=True
        )
        found = find_failure(made, timeout=None, enforced=True)
        assert found is not None
        assert (found.kind, found.line) == ("ceiling", line)

    def test_inodes_that_a_step_used_up_and_gave_back(self) -> None:
        made = recording(20, 21, 20, 200, 200)
        made.series.free_inodes[1] = 0
        made.steps = [
            StepRecord(name="RUN many || true", stage="app", line=2, start=0.0, end=0.018),
            StepRecord(name="RUN big", stage="app", line=3, start=0.022, end=0.04),
        ]
        found = find_failure(made, timeout=None, enforced=True)
        assert found is not None
        assert (found.kind, found.line, found.mend) == ("ceiling", 2, FEWER)
        assert found.message.startswith("`RUN many || true` touched the ceiling of 419 MB (no free inodes left) and")
        peak = assemble_metrics(made, context=None, image=IMAGE, failure=found, no_peak=None).peak_disk
        assert peak is not None
        assert (peak.value, peak.at_least, peak.message) == (200 * MIB, True, "the build used up its inodes")

    def test_near_the_ceiling_it_takes_a_word_about_it(self) -> None:
        steady = [20 + 4 * step for step in range(91)]
        silent, said = recording(*steady), recording(*steady, said_no_space=True)
        assert find_failure(silent, timeout=None, enforced=True) is None
        found = find_failure(said, timeout=None, enforced=True)
        assert found is not None and (found.kind, found.step) == ("ceiling", None)
        assert found.message.startswith("the build touched the ceiling of 419 MB")

    def test_a_timeout_wins_over_everything(self) -> None:
        made = recording(20, 400, failed=failed(says_no_space=True), cancelled="timeout")
        found = find_failure(made, timeout=90, enforced=True)
        assert found is not None
        assert (found.kind, found.line) == ("timeout", 7)
        assert found.message == (
            "the build ran longer than its timeout of 1m 30s and was ended in `[app 3/4] RUN make`"
        )

    def test_the_watchdogs_reason_is_the_reason(self) -> None:
        made = recording(20, 100, failed=failed("context canceled"), cancelled="the build used 5 GB")
        found = find_failure(made, timeout=None, enforced=False)
        assert found is not None and (found.kind, found.message) == ("ceiling", "the build used 5 GB")

    @pytest.mark.parametrize(
        ("error", "shown"),
        [
            ('process "/bin/sh -c false" did not complete successfully: exit code: 1', "exit code: 1"),
            ("first line\n\n   second line\n", "first line second line"),
            ("", "no reason given"),
            ("x" * 5000, "x" * 600),
        ],
    )
    def test_errors_are_shown_short(self, error: str, shown: str) -> None:
        found = find_failure(recording(20, 30, failed=failed(error)), timeout=None, enforced=True)
        assert found is not None
        assert found.message == f"`[app 3/4] RUN make` failed: {shown}"


@pytest.mark.parametrize(
    ("error", "kind", "exit_code"),
    [
        (GateError("the bases alone take 5 GB", mend="Take a smaller one."), "ceiling", 1),
        (UnmeasuredError("no engine answers", line=3, mend="Start one."), "environment", 3),
        (BuildFailedError("unknown flag: --x", line=3), "build", 4),
    ],
)
def test_an_image_that_was_not_built(error: CiBudgetError, kind: str, exit_code: int) -> None:
    made = unmeasured_image("app", "app/Dockerfile", "runtime", CONTEXT, error)
    assert (made.name, made.verdict, made.exit_code) == ("app", Verdict.NOT_MEASURED, exit_code)
    assert made.failure == Failure(kind=kind, message=error.what, line=error.line, mend=error.mend)
    assert made.metrics.peak_disk is not None and made.metrics.context_size is not None
    assert (made.metrics.peak_disk.value, made.metrics.peak_disk.message) == (None, error.what)
    assert made.metrics.context_size.value == 5_000
