"""What the gate says: every verdict, its message with all its numbers, and the exit code of images and runs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from ci_budget.core.gate.image_limits import ImageLimits
from ci_budget.core.gate.judgement import GateOptions, judge_image, judge_run
from ci_budget.core.records.baseline import BaselineEntry
from ci_budget.core.records.report import (
    Base,
    Failure,
    Fingerprint,
    ImageReport,
    Metric,
    PeakMetric,
    SmokeReport,
    Verdict,
    Versions,
)
from tests.unit.report_samples import (
    GB,
    MB,
    SANDBOX,
    STARTED,
    entry,
    fingerprint,
    limits,
    measured,
    metrics,
    stage,
)

PLAIN = GateOptions()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One metric, what it is held to, and what the gate must say of it."""

    name: str
    metric: str
    value: int | None
    limits: ImageLimits = field(default_factory=limits)
    baselines: Sequence[BaselineEntry] = ()
    now: Fingerprint | None = SANDBOX
    options: GateOptions = PLAIN
    verdict: Verdict
    gated: bool
    code: int
    message: str


SIZE = "image_size"
CASES = [
    Case(
        name="within its budget",
        metric=SIZE,
        value=2 * GB,
        limits=limits({SIZE: 3 * GB}),
        verdict=Verdict.PASS,
        gated=True,
        code=0,
        message="2.00 GB, within the budget of 3.00 GB",
    ),
    Case(
        name="exactly its budget",
        metric=SIZE,
        value=3 * GB,
        limits=limits({SIZE: 3 * GB}),
        verdict=Verdict.PASS,
        gated=True,
        code=0,
        message="3.00 GB, within the budget of 3.00 GB",
    ),
    Case(
        name="one byte over its budget prints bytes",
        metric=SIZE,
        value=3 * GB + 1,
        limits=limits({SIZE: 3 * GB}),
        verdict=Verdict.FAIL,
        gated=True,
        code=1,
        message="3,000,000,001 B is 1 B over the budget of 3,000,000,000 B",
    ),
    Case(
        name="a budget of zero",
        metric="context_size",
        value=1,
        limits=limits({"context_size": 0}),
        verdict=Verdict.FAIL,
        gated=True,
        code=1,
        message="1 B is 1 B over the budget of 0 B",
    ),
    Case(
        name="within its baseline's tolerance",
        metric=SIZE,
        value=2_010 * MB,
        baselines=[entry()],
        verdict=Verdict.PASS,
        gated=True,
        code=0,
        message="2.01 GB, within the baseline's limit of 2.02 GB (2.00 GB + 20.0 MB)",
    ),
    Case(
        name="exactly baseline plus tolerance",
        metric=SIZE,
        value=2_020 * MB,
        baselines=[entry()],
        verdict=Verdict.PASS,
        gated=True,
        code=0,
        message="2.02 GB, within the baseline's limit of 2.02 GB (2.00 GB + 20.0 MB)",
    ),
    Case(
        name="one byte over baseline plus tolerance",
        metric=SIZE,
        value=2_020 * MB + 1,
        baselines=[entry()],
        verdict=Verdict.FAIL,
        gated=True,
        code=1,
        message="2,020,000,001 B is 1 B over the baseline's limit of 2,020,000,000 B (2,000,000,000 B + 20.0 MB)",
    ),
    Case(
        name="no tolerance on layers",
        metric="layers",
        value=9,
        baselines=[entry()],
        verdict=Verdict.FAIL,
        gated=True,
        code=1,
        message="9 is 1 over the baseline of 8",
    ),
    Case(
        name="over its baseline, within its budget",
        metric=SIZE,
        value=2_500 * MB,
        limits=limits({SIZE: 3 * GB}),
        baselines=[entry()],
        verdict=Verdict.FAIL,
        gated=True,
        code=1,
        message="2.50 GB is 480 MB over the baseline's limit of 2.02 GB (2.00 GB + 20.0 MB); "
        "the budget of 3.00 GB holds",
    ),
    Case(
        name="over its budget, within its baseline",
        metric=SIZE,
        value=2_010 * MB,
        limits=limits({SIZE: 1 * GB}),
        baselines=[entry()],
        verdict=Verdict.FAIL,
        gated=True,
        code=1,
        message="2.01 GB is 1.01 GB over the budget of 1.00 GB; "
        "the baseline's limit of 2.02 GB (2.00 GB + 20.0 MB) holds",
    ),
    Case(
        name="over both",
        metric=SIZE,
        value=4 * GB,
        limits=limits({SIZE: 3 * GB}),
        baselines=[entry()],
        verdict=Verdict.FAIL,
        gated=True,
        code=1,
        message="4.00 GB is 1.00 GB over the budget of 3.00 GB and "
        "1.98 GB over the baseline's limit of 2.02 GB (2.00 GB + 20.0 MB)",
    ),
    Case(
        name="better than its baseline by more than the tolerance",
        metric=SIZE,
        value=1_500 * MB,
        baselines=[entry()],
        verdict=Verdict.PASS,
        gated=True,
        code=0,
        message="1.50 GB, within the baseline's limit of 2.02 GB (2.00 GB + 20.0 MB); "
        "500 MB below the baseline, more than the tolerance: accept it with `ci-budget baseline update`",
    ),
    Case(
        name="at the warning level of its budget",
        metric=SIZE,
        value=2_700 * MB,
        limits=limits({SIZE: 3 * GB}, warn_at="90"),
        verdict=Verdict.WARN,
        gated=True,
        code=0,
        message="2.70 GB is at or above 2.70 GB, 90 % of the budget; the budget of 3.00 GB",
    ),
    Case(
        name="just below the warning level",
        metric=SIZE,
        value=2_700 * MB - 1,
        limits=limits({SIZE: 3 * GB}, warn_at="90"),
        verdict=Verdict.PASS,
        gated=True,
        code=0,
        message="2.70 GB, within the budget of 3.00 GB",
    ),
    Case(
        name="at the warning level of its tolerance",
        metric=SIZE,
        value=2_019 * MB,
        baselines=[entry()],
        limits=limits(warn_at="90"),
        verdict=Verdict.WARN,
        gated=True,
        code=0,
        message="2,019,000,000 B is at or above 2,018,000,000 B, 90 % of the tolerance; "
        "the baseline's limit of 2,020,000,000 B (2,000,000,000 B + 20.0 MB)",
    ),
    Case(
        name="unchanged is no warning",
        metric=SIZE,
        value=2 * GB,
        baselines=[entry()],
        limits=limits(warn_at="90"),
        verdict=Verdict.PASS,
        gated=True,
        code=0,
        message="2.00 GB, within the baseline's limit of 2.02 GB (2.00 GB + 20.0 MB)",
    ),
    Case(
        name="a warning fails where warnings fail",
        metric=SIZE,
        value=2_900 * MB,
        limits=limits({SIZE: 3 * GB}, warn_at="90"),
        options=GateOptions(fail_on="warn"),
        verdict=Verdict.WARN,
        gated=True,
        code=1,
        message="2.90 GB is at or above 2.70 GB, 90 % of the budget; the budget of 3.00 GB",
    ),
    Case(
        name="neither budget nor baseline",
        metric=SIZE,
        value=2 * GB,
        verdict=Verdict.NO_BASELINE,
        gated=False,
        code=0,
        message="2.00 GB, no budget and no baseline yet; record one with `ci-budget baseline update`",
    ),
    Case(
        name="a required baseline is missing",
        metric=SIZE,
        value=2 * GB,
        options=GateOptions(require_baseline=True),
        verdict=Verdict.NO_BASELINE,
        gated=True,
        code=3,
        message="2.00 GB; a baseline is required and missing, record it: "
        "`ci-budget check --baseline none`, then `ci-budget baseline update`",
    ),
    Case(
        name="the config requires a baseline",
        metric=SIZE,
        value=2 * GB,
        limits=limits({SIZE: 3 * GB}, require_baseline=True),
        verdict=Verdict.NO_BASELINE,
        gated=True,
        code=3,
        message="2.00 GB; the budget of 3.00 GB holds; a baseline is required and missing, record it: "
        "`ci-budget check --baseline none`, then `ci-budget baseline update`",
    ),
    Case(
        name="a required baseline is missing, and the budget is broken",
        metric=SIZE,
        value=4 * GB,
        limits=limits({SIZE: 3 * GB}),
        options=GateOptions(require_baseline=True),
        verdict=Verdict.FAIL,
        gated=True,
        code=1,
        message="4.00 GB is 1.00 GB over the budget of 3.00 GB",
    ),
    Case(
        name="no baseline is required of a run that records one",
        metric=SIZE,
        value=2 * GB,
        limits=limits(require_baseline=True),
        options=GateOptions(require_baseline=True, without_baselines=True),
        verdict=Verdict.NO_BASELINE,
        gated=False,
        code=0,
        message="2.00 GB, no budget and no baseline yet; record one with `ci-budget baseline update`",
    ),
    Case(
        name="recorded elsewhere",
        metric="peak_disk",
        value=5 * GB,
        baselines=[entry(at=fingerprint(storage_driver="overlayfs", block_size=1024))],
        verdict=Verdict.INCOMPARABLE,
        gated=True,
        code=3,
        message="5.00 GB; not comparable with the baseline of 5.00 GB: storage driver is overlay2, the baseline's "
        "overlayfs; block size is 4096, the baseline's 1024; record one for this setup: "
        "`ci-budget check --baseline none`, then `ci-budget baseline update`",
    ),
    Case(
        name="recorded elsewhere, and the budget holds",
        metric="peak_disk",
        value=5 * GB,
        limits=limits({"peak_disk": 6 * GB}),
        baselines=[entry({"peak_disk": 4 * GB}, at=fingerprint(disk_mode="host"))],
        verdict=Verdict.INCOMPARABLE,
        gated=True,
        code=3,
        message="5.00 GB; the budget of 6.00 GB holds; not comparable with the baseline of 4.00 GB: disk mode is "
        "sandbox, the baseline's host; record one for this setup: "
        "`ci-budget check --baseline none`, then `ci-budget baseline update`",
    ),
    Case(
        name="recorded elsewhere, and the budget is broken",
        metric="peak_disk",
        value=7 * GB,
        limits=limits({"peak_disk": 6 * GB}),
        baselines=[entry({"peak_disk": 4 * GB}, at=fingerprint(disk_mode="host"))],
        verdict=Verdict.FAIL,
        gated=True,
        code=1,
        message="7.00 GB is 1.00 GB over the budget of 6.00 GB; not comparable with the baseline of 4.00 GB: "
        "disk mode is sandbox, the baseline's host",
    ),
    Case(
        name="image sizes are compared across disk modes",
        metric=SIZE,
        value=2 * GB,
        baselines=[entry(at=fingerprint(disk_mode="host", storage_driver="overlayfs", method=7))],
        verdict=Verdict.PASS,
        gated=True,
        code=0,
        message="2.00 GB, within the baseline's limit of 2.02 GB (2.00 GB + 20.0 MB)",
    ),
    Case(
        name="image sizes are not compared across platforms",
        metric=SIZE,
        value=2 * GB,
        baselines=[entry({SIZE: 1900 * MB}, at=fingerprint(platform="linux/arm64"))],
        verdict=Verdict.INCOMPARABLE,
        gated=True,
        code=3,
        message="2.00 GB; not comparable with the baseline of 1.90 GB: platform is linux/amd64, the baseline's "
        "linux/arm64; record one for this setup: "
        "`ci-budget check --baseline none`, then `ci-budget baseline update`",
    ),
    Case(
        name="contexts are compared across everything",
        metric="context_size",
        value=400_000,
        baselines=[entry(at=fingerprint(platform="linux/arm64", disk_mode="host"))],
        now=None,
        verdict=Verdict.PASS,
        gated=True,
        code=0,
        message="400 kB, within the baseline's limit of 420 kB (400 kB + 20.0 kB)",
    ),
    Case(
        name="an unknown setup is compared with nothing",
        metric=SIZE,
        value=2 * GB,
        baselines=[entry()],
        now=None,
        verdict=Verdict.INCOMPARABLE,
        gated=True,
        code=3,
        message="2.00 GB; not comparable with the baseline of 2.00 GB: platform is unknown, "
        "the baseline's linux/amd64; record one for this setup: "
        "`ci-budget check --baseline none`, then `ci-budget baseline update`",
    ),
    Case(
        name="not measured with a budget",
        metric="peak_disk",
        value=None,
        limits=limits({"peak_disk": 6 * GB}),
        verdict=Verdict.NOT_MEASURED,
        gated=True,
        code=3,
        message="not measured: the disk level could not be read; the budget of 6.00 GB",
    ),
    Case(
        name="not measured with a baseline",
        metric="peak_disk",
        value=None,
        baselines=[entry()],
        verdict=Verdict.NOT_MEASURED,
        gated=True,
        code=3,
        message="not measured: the disk level could not be read; the baseline's limit of 5.10 GB (5.00 GB + 100 MB)",
    ),
    Case(
        name="not measured, with nothing to compare it with",
        metric="peak_disk",
        value=None,
        verdict=Verdict.NOT_MEASURED,
        gated=False,
        code=0,
        message="not measured: the disk level could not be read",
    ),
    Case(
        name="not measured, and a baseline is required",
        metric="peak_disk",
        value=None,
        options=GateOptions(require_baseline=True),
        verdict=Verdict.NOT_MEASURED,
        gated=True,
        code=3,
        message="not measured: the disk level could not be read",
    ),
    Case(
        name="switched off",
        metric=SIZE,
        value=9 * GB,
        limits=limits({SIZE: 3 * GB}, disabled=(SIZE,), require_baseline=False),
        baselines=[entry()],
        verdict=Verdict.DISABLED,
        gated=False,
        code=0,
        message="9.00 GB, not gated: switched off in the config",
    ),
    Case(
        name="tolerance off: only the budget counts",
        metric=SIZE,
        value=2_900 * MB,
        limits=limits({SIZE: 3 * GB}, untolerated=(SIZE,)),
        baselines=[entry()],
        verdict=Verdict.PASS,
        gated=True,
        code=0,
        message="2.90 GB, within the budget of 3.00 GB",
    ),
    Case(
        name="a warm run does not gate the peak",
        metric="peak_disk",
        value=9 * GB,
        limits=limits({"peak_disk": 6 * GB}),
        options=GateOptions(warm=True),
        verdict=Verdict.DISABLED,
        gated=False,
        code=0,
        message="9.00 GB, not gated: this run reused a cache, and gate_warm does not name it",
    ),
    Case(
        name="a warm run without a peak",
        metric="peak_disk",
        value=None,
        limits=limits({"peak_disk": 6 * GB}),
        options=GateOptions(warm=True),
        verdict=Verdict.NOT_MEASURED,
        gated=False,
        code=0,
        message="not measured: the disk level could not be read; the budget of 6.00 GB",
    ),
    Case(
        name="a warm run gates what gate_warm names",
        metric=SIZE,
        value=4 * GB,
        limits=limits({SIZE: 3 * GB}),
        options=GateOptions(warm=True),
        verdict=Verdict.FAIL,
        gated=True,
        code=1,
        message="4.00 GB is 1.00 GB over the budget of 3.00 GB",
    ),
    Case(
        name="a warm setup gates only what gate_warm names",
        metric=SIZE,
        value=4 * GB,
        limits=limits({SIZE: 3 * GB}, gate_warm=("layers",)),
        now=fingerprint(cache="warm"),
        verdict=Verdict.DISABLED,
        gated=False,
        code=0,
        message="4.00 GB, not gated: this run reused a cache, and gate_warm does not name it",
    ),
    Case(
        name="other metrics are gated by a budget",
        metric="build_seconds",
        value=301,
        limits=limits({"build_seconds": 300}),
        verdict=Verdict.FAIL,
        gated=True,
        code=1,
        message="301 s is 1 s over the budget of 300 s",
    ),
    Case(
        name="other metrics are not gated by a baseline",
        metric="wasted_bytes",
        value=3 * GB,
        baselines=[entry({"wasted_bytes": 1 * GB})],
        verdict=Verdict.NO_BASELINE,
        gated=False,
        code=0,
        message="3.00 GB, no budget",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_metric(case: Case) -> None:
    image = measured(metrics=metrics(**{case.metric: case.value}), fingerprint=case.now)
    only = {name: getattr(image.metrics, name) if name == case.metric else None for name, _ in image.metrics.named()}
    others = image.metrics.model_copy(update=only)
    judged = judge_image(
        image.model_copy(update={"metrics": others}),
        limits=case.limits,
        baselines=[_only(found, case.metric) for found in case.baselines],
        options=case.options,
    )
    metric = getattr(judged.metrics, case.metric)
    assert (metric.verdict, metric.gated, metric.message) == (case.verdict, case.gated, case.message)
    nothing_known = case.value is None
    assert judged.exit_code == (3 if nothing_known else case.code)
    assert metric.value == case.value


def _only(found: BaselineEntry, metric: str) -> BaselineEntry:
    return found.model_copy(update={"metrics": {k: v for k, v in found.metrics.items() if k == metric}})


def test_the_cases_reach_every_metric_verdict() -> None:
    assert {case.verdict for case in CASES} == set(Verdict) - {Verdict.BUILD_FAILED}


def test_the_numbers_beside_the_verdict() -> None:
    judged = judge_image(
        measured(metrics=metrics(image_size=2_500 * MB)),
        limits=limits({SIZE: 3 * GB}),
        baselines=[entry()],
        options=PLAIN,
    )
    found = judged.metrics.image_size
    assert found is not None
    assert found.model_dump(exclude={"message"}) == {
        "value": 2_500 * MB,
        "unit": "bytes",
        "baseline": 2 * GB,
        "budget": 3 * GB,
        "tolerance": 20 * MB,
        "limit": 2_020 * MB,
        "delta": 500 * MB,
        "verdict": Verdict.FAIL,
        "gated": True,
    }


def test_the_upper_bound_alone_is_a_remark() -> None:
    peak = PeakMetric(value=5 * GB, observed=5 * GB, upper_bound=5_200 * MB, unit="bytes")
    image = measured(metrics=metrics().model_copy(update={"peak_disk": peak}))
    judged = judge_image(image, limits=limits({"peak_disk": 5_100 * MB}), baselines=[], options=PLAIN)
    found = judged.metrics.peak_disk
    assert found is not None
    assert (found.verdict, found.message) == (
        Verdict.PASS,
        "5.00 GB, within the budget of 5.10 GB; "
        "between two samples it may have reached 5.20 GB, over the limit of 5.10 GB",
    )


@pytest.mark.parametrize("disabled", [(), ("peak_disk",)])
def test_the_ceiling_always_fails(disabled: tuple[str, ...]) -> None:
    peak = PeakMetric(value=4 * GB, at_least=True, unit="bytes")
    image = measured(metrics=metrics().model_copy(update={"peak_disk": peak}))
    held = limits({"peak_disk": 6 * GB}, disabled=disabled)
    judged = judge_image(image, limits=held, baselines=[], options=GateOptions(warm=True))
    found = judged.metrics.peak_disk
    assert found is not None
    assert (found.verdict, found.gated, judged.verdict, judged.exit_code) == (Verdict.FAIL, True, Verdict.FAIL, 1)
    budget = "" if disabled else "; the budget of 6.00 GB"
    assert found.message == f"at least 4.00 GB: the build used up its disk and hit the ceiling{budget}"


def test_a_gated_metric_that_does_not_exist_is_not_measured() -> None:
    judged = judge_image(measured(), limits=limits({"compressed_size": GB}), baselines=[], options=PLAIN)
    found = judged.metrics.compressed_size
    assert found is not None
    assert (found.verdict, found.gated, found.message) == (
        Verdict.NOT_MEASURED,
        True,
        "not measured: only a registry tells it: gate it by release.budgets, or by a run with --no-build; "
        "the budget of 1.00 GB",
    )
    assert (judged.verdict, judged.exit_code) == (Verdict.NOT_MEASURED, 3)


def test_a_baseline_metric_that_vanished_is_not_measured() -> None:
    image = measured(metrics=metrics().model_copy(update={"peak_disk": None}))
    judged = judge_image(image, limits=limits(), baselines=[entry()], options=PLAIN)
    assert (judged.verdict, judged.exit_code) == (Verdict.NOT_MEASURED, 3)


def test_an_image_of_which_nothing_is_known_never_passes() -> None:
    nothing = metrics(peak_disk=None, image_size=None, layers=None, context_size=None)
    for found in (nothing, type(nothing)()):
        judged = judge_image(measured(metrics=found), limits=limits(), baselines=[], options=PLAIN)
        assert (judged.verdict, judged.exit_code) == (Verdict.NOT_MEASURED, 3)


STAGE_CASES = [
    ("within its budget", {"peak_disk": 3 * GB}, {"builder": {"peak_disk": 4 * GB}}, {}, Verdict.PASS, 0),
    ("over its budget", {"peak_disk": 5 * GB}, {"builder": {"peak_disk": 4 * GB}}, {}, Verdict.FAIL, 1),
    ("by its number", {"peak_disk": 5 * GB}, {"0": {"peak_disk": 4 * GB}}, {}, Verdict.FAIL, 1),
    ("not measured", {"peak_disk": None}, {"builder": {"peak_disk": 4 * GB}}, {}, Verdict.NOT_MEASURED, 3),
    ("absent", {}, {"builder": {"added_disk": 4 * GB}}, {}, Verdict.NOT_MEASURED, 3),
    ("over its baseline", {"peak_disk": 5 * GB}, {}, {"builder": {"peak_disk": 4 * GB}}, Verdict.FAIL, 1),
    ("within its baseline", {"peak_disk": 4 * GB}, {}, {"builder": {"peak_disk": 4 * GB}}, Verdict.PASS, 0),
    ("not gated by a baseline", {"added_disk": 9}, {}, {"builder": {"added_disk": 1}}, Verdict.NO_BASELINE, 0),
    ("without limits", {"peak_disk": 5 * GB}, {}, {}, Verdict.NO_BASELINE, 0),
]


@pytest.mark.parametrize(("values", "budgets", "accepted", "verdict", "code"), [case[1:] for case in STAGE_CASES],
                         ids=[case[0] for case in STAGE_CASES])  # fmt: skip
def test_one_stage(
    values: dict[str, int | None],
    budgets: dict[str, dict[str, int]],
    accepted: dict[str, dict[str, int]],
    verdict: Verdict,
    code: int,
) -> None:
    judged = judge_image(
        measured(stages=[stage(**values)]),
        limits=limits(stages=budgets),
        baselines=[entry({}, stages=accepted)] if accepted else [],
        options=PLAIN,
    )
    assert (judged.stages[0].verdict, judged.exit_code) == (verdict, code)


def test_an_unreached_stage_is_not_judged_and_says_so() -> None:
    image = measured(stages=[stage("tests", 1, reached=False), stage("runtime", 2, image_size=GB)])
    held = limits(stages={"tests": {"peak_disk": 1}, "gone": {"peak_disk": 1}})
    judged = judge_image(image, limits=held, baselines=[], options=PLAIN)
    assert judged.stages[0] == image.stages[0]
    assert judged.exit_code == 0
    assert judged.notes == [
        "the stage 'gone' has limits and is not in the Dockerfile: they could not be applied",
        "the stage 'tests' has budgets and the target never reaches it: they could not be applied",
    ]


def test_a_stage_needs_no_baseline_where_images_do() -> None:
    judged = judge_image(
        measured(stages=[stage(peak_disk=GB)]),
        limits=limits(require_baseline=True),
        baselines=[entry()],
        options=PLAIN,
    )
    assert judged.exit_code == 0


FAILURES = [
    ("ceiling", 1, Verdict.FAIL, 0),
    ("smoke", 1, Verdict.FAIL, 0),
    ("build", 4, Verdict.BUILD_FAILED, 4),
    ("timeout", 4, Verdict.BUILD_FAILED, 4),
    ("environment", 3, Verdict.NOT_MEASURED, 3),
]


@pytest.mark.parametrize(("kind", "code", "verdict", "with_exit_zero"), FAILURES)
def test_failures(kind: str, code: int, verdict: Verdict, with_exit_zero: int) -> None:
    failure = Failure.model_validate({"kind": kind, "message": "it went wrong"})
    values = metrics() if kind == "smoke" else metrics(peak_disk=None, image_size=None, layers=None)
    judged = judge_image(
        measured(metrics=values, failure=failure),
        limits=limits({"peak_disk": 9 * GB, SIZE: 9 * GB}),
        baselines=[],
        options=PLAIN,
    )
    assert (judged.verdict, judged.exit_code) == (verdict, code)
    assert _run([judged]) == (verdict, code)
    assert _run([judged], GateOptions(exit_zero=True)) == (verdict, with_exit_zero)


def test_a_failed_smoke_test_fails_the_image_by_itself() -> None:
    smoke = SmokeReport(command=["true"], passed=False, exit_code=1, seconds=1.0, gpu="off", message="exit 1")
    judged = judge_image(measured(smoke=smoke), limits=limits(), baselines=[], options=PLAIN)
    assert (judged.verdict, judged.exit_code) == (Verdict.FAIL, 1)


def test_a_broken_budget_counts_more_than_a_failed_build() -> None:
    image = measured(
        metrics=metrics(peak_disk=None, image_size=None, layers=None),
        failure=Failure(kind="build", message="it went wrong"),
    )
    judged = judge_image(image, limits=limits({"context_size": 1}), baselines=[], options=PLAIN)
    assert (judged.verdict, judged.exit_code) == (Verdict.FAIL, 1)
    assert _run([judged], GateOptions(exit_zero=True)) == (Verdict.FAIL, 4)


def _judged(code: int) -> ImageReport:
    """An image that the gate itself gave this exit code."""
    if code == 4:
        image = measured("four", failure=Failure(kind="build", message="it went wrong"))
        held = limits()
    else:
        image = measured(f"image-{code}", metrics=metrics(layers=None if code == 3 else 8))
        held = limits({"layers": 7 if code == 1 else 9})
    judged = judge_image(image, limits=held, baselines=[], options=PLAIN)
    assert judged.exit_code == code
    return judged


def _run(images: Sequence[ImageReport], options: GateOptions = PLAIN) -> tuple[Verdict, int]:
    report = judge_run(images, started=STARTED, commit=None, options=options)
    return report.verdict, report.exit_code


VERDICT_OF = {0: Verdict.PASS, 1: Verdict.FAIL, 3: Verdict.NOT_MEASURED, 4: Verdict.BUILD_FAILED}
ORDER = (1, 4, 3, 0)
COMBINATIONS = [
    chosen for count in (1, 2, 3, 4) for chosen in itertools.combinations((0, 1, 3, 4), count)
]  # every set of exit codes that images can have


@pytest.mark.parametrize("codes", COMBINATIONS, ids=str)
def test_the_exit_code_of_several_images(codes: tuple[int, ...]) -> None:
    for arrangement in itertools.permutations(codes):
        images = [_judged(code) for code in arrangement]
        worst = next(code for code in ORDER if code in codes)
        assert _run(images) == (VERDICT_OF[worst], worst)
        forgiven = [0 if code == 1 else code for code in codes]
        left = next(code for code in ORDER if code in forgiven)
        assert _run(images, GateOptions(exit_zero=True)) == (VERDICT_OF[worst], left)


@pytest.mark.parametrize("options", [PLAIN, GateOptions(exit_zero=True)])
def test_no_image_is_no_pass(options: GateOptions) -> None:
    report = judge_run([], started=STARTED, commit=None, options=options)
    assert (report.verdict, report.exit_code) == (Verdict.NOT_MEASURED, 3)
    assert report.notes == ["no image was checked, so nothing is known"]


@pytest.mark.parametrize("options", [PLAIN, GateOptions(exit_zero=True)])
def test_an_image_that_nobody_judged_is_no_pass(options: GateOptions) -> None:
    assert _run([measured()], options) == (Verdict.NOT_MEASURED, 3)


WHOLE = [
    (Verdict.PASS, True, 0, 0),
    (Verdict.WARN, True, 0, 1),
    (Verdict.FAIL, True, 1, 1),
    (Verdict.NO_BASELINE, True, 3, 3),
    (Verdict.NO_BASELINE, False, 0, 0),
    (Verdict.INCOMPARABLE, True, 3, 3),
    (Verdict.NOT_MEASURED, True, 3, 3),
    (Verdict.NOT_MEASURED, False, 0, 0),
    (Verdict.DISABLED, False, 0, 0),
]


@pytest.mark.parametrize(("verdict", "gated", "code", "code_on_warn"), WHOLE)
def test_every_verdict_and_its_exit_code(verdict: Verdict, gated: bool, code: int, code_on_warn: int) -> None:
    value = None if verdict == Verdict.NOT_MEASURED else 1
    found = metrics().model_copy(update={"image_size": Metric(value=value, unit="bytes", verdict=verdict, gated=gated)})
    image = measured(metrics=found).model_copy(update={"exit_code": 0, "verdict": verdict})
    for fail_on, expected in (("fail", code), ("warn", code_on_warn)):
        for exit_zero in (False, True):
            options = GateOptions(fail_on=fail_on, exit_zero=exit_zero)
            left = 0 if exit_zero and expected == 1 else expected
            assert _run([image], options)[1] == left


def test_a_warning_that_fails_makes_the_run_fail() -> None:
    options = GateOptions(fail_on="warn")
    image = judge_image(measured(), limits=limits({"layers": 8}, warn_at="90"), baselines=[], options=options)
    assert (image.verdict, image.exit_code) == (Verdict.FAIL, 1)
    assert _run([image], options) == (Verdict.FAIL, 1)


def test_what_changed_under_the_build_is_named() -> None:
    then = entry(
        versions=Versions(ci_budget="0.1.0", engine="28.5.2", buildkit="v0.25.1", buildx="0.29.1"),
        bases=[Base(reference="debian:12", image_id="sha256:old", size=100 * MB), Base(reference="gone:1")],
    )
    image = measured(
        versions=Versions(ci_budget="0.2.0", engine="29.0.0", buildkit="v0.25.1", buildx="0.30.0"),
        bases=[Base(reference="debian:12", image_id="sha256:new", size=150 * MB), Base(reference="fresh:1")],
    )
    judged = judge_image(image, limits=limits(), baselines=[then], options=PLAIN)
    assert judged.exit_code == 0
    assert judged.notes == [
        "since the baseline was recorded: engine 28.5.2 -> 29.0.0, buildx 0.29.1 -> 0.30.0 (named, never compared)",
        "the base debian:12 is another image than when the baseline was recorded: 100 MB -> 150 MB (+50.0 MB)",
    ]
