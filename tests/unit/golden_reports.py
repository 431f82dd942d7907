"""Whole reports for the golden tests: the main one as a pull request meets it, and one full of hostile text."""

from __future__ import annotations

from ci_budget.core.gate.judgement import GateOptions, judge_image, judge_run
from ci_budget.core.records.baseline import Baseline
from ci_budget.core.records.report import (
    Base,
    Composition,
    Contributor,
    DiskReport,
    Failure,
    Finding,
    ImageReport,
    LimitChange,
    Metric,
    PeakMetric,
    Report,
    SmokeReport,
    StageReport,
    Verdict,
    Versions,
)
from tests.unit.report_samples import GB, MB, STARTED, baseline, entry, limits, measured, metrics, stage

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
DISK = DiskReport(mode="sandbox", reason="running as root", enforced=True, budget=15 * GB)


def mixed_report() -> Report:
    """A failing, a passing, a new and a ceiling-hitting image, with everything that a report can carry."""
    changed = [
        LimitChange(path="images.audio-voice.budgets.image_size", base="12.0 GB", head="15.0 GB", loosened=True),
        LimitChange(path="images.audio-voice.budgets.layers", base=None, head="10", loosened=False),
    ]
    images = [_passing(), _failing(changed), _new(), _ceiling()]
    dropped = LimitChange(path="images.gone", base="gated", head=None, loosened=True)
    report = judge_run(images, started=STARTED, commit=COMMIT, options=GateOptions(), limits_changed=[dropped])
    return report.model_copy(update={"ci_budget": "0.1.0"})  # a new version changes no golden text


def passing_report() -> Report:
    """One image that passes, better than its baseline in one metric."""
    return judge_run([_passing()], started=STARTED, commit=COMMIT, options=GateOptions())


def unmeasured_report() -> Report:
    """One image on a setup without a comparable baseline, and one that could not be measured."""
    peak = PeakMetric(unit="bytes", message="the machine was too busy: 0.7 s without a sample")
    busy = measured("busy", metrics=metrics().model_copy(update={"peak_disk": peak}))
    moved = measured("moved")
    elsewhere = entry(at=moved.fingerprint.model_copy(update={"disk_mode": "host"}) if moved.fingerprint else None)
    held = limits({"peak_disk": 6 * GB}, warn_at="80")
    images = [
        judge_image(busy, limits=held, baselines=[], options=GateOptions()),
        judge_image(moved, limits=held, baselines=[elsewhere], options=GateOptions()),
        judge_image(
            measured("none", failure=Failure(kind="environment", message="no engine", mend="Start Docker.")),
            limits=held,
            baselines=[],
            options=GateOptions(),
        ),
    ]
    return judge_run(images, started=STARTED, commit=None, options=GateOptions())


HOSTILE = (
    "|x](http://evil.example)<img src=x onerror=alert(1)> `code` ::error::boom ##[error]boom @everyone #1 GH-2 "
    "www.evil.example **bold** _it_ ~~no~~ $x$ <!-- gone --> \x1b[31mred\x1b[0m \u202edlrow\u200b\r\n::error::second\n"
    "\n# heading\n- item\n```\n&lt; \\| a\u2028b"
)


def hostile_report() -> Report:
    """Every text that comes from outside is hostile."""
    text = HOSTILE
    image = ImageReport(
        name=text,
        verdict=Verdict.FAIL,
        exit_code=1,
        dockerfile=text,
        target=text,
        disk=DiskReport(mode="host", reason=text, enforced=False, budget=GB),
        metrics=metrics(peak_disk=None).model_copy(
            update={
                "image_size": Metric(value=GB, unit="bytes", verdict=Verdict.FAIL, gated=True, message=text),
            }
        ),
        stages=[
            StageReport(
                name=text,
                index=0,
                base=text,
                line=1,
                reached=True,
                verdict=Verdict.FAIL,
                metrics={"peak_disk": Metric(value=1, unit="bytes", verdict=Verdict.FAIL, gated=True, message=text)},
            ),
            StageReport(name=text, index=1, base=text, line=None, reached=False),
        ],
        findings=[
            Finding(rule=text, severity="warning", bytes=5, stage=text, file=text, line=3, message=text, mend=text)
        ],
        contributors=[Contributor(kind=text, name=text, before=1, after=2, delta=1)],
        smoke=SmokeReport(command=[text, text], passed=False, exit_code=1, seconds=1, gpu=text, message=text),
        failure=Failure(
            kind="build", message=text, stage=text, line=3, step=text, last_lines=[text, "::error::boom"], mend=text
        ),
        limits_changed=[LimitChange(path=text, base=text, head=text, loosened=True)],
        notes=[text],
    )
    change = LimitChange(path=text, base=text, head=text, loosened=True)
    return judge_run(
        [image], started=STARTED, commit=text, options=GateOptions(), limits_changed=[change], notes=[text]
    )


def sample_baseline() -> Baseline:
    """What `baseline show` prints in its golden test."""
    return baseline(entry(stages={"builder": {"peak_disk": 4 * GB, "layers": 3}}))


def _passing() -> ImageReport:
    image = measured(
        "gateway",
        disk=DISK,
        metrics=metrics(image_size=1_500 * MB),
        stages=[stage("runtime", 0, peak_disk=5 * GB, added_disk=2 * GB, image_size=1_500 * MB, layers=8)],
    )
    return judge_image(image, limits=limits({"peak_disk": 6 * GB}), baselines=[entry()], options=GateOptions())


def _failing(changed: list[LimitChange]) -> ImageReport:
    peak = PeakMetric(
        value=11_630 * MB,
        observed=11_630 * MB,
        upper_bound=12_100 * MB,
        interval_ms=9.8,
        widest_gap_ms=41.0,
        base=241 * MB,
        unit="bytes",
        composition=Composition(
            bases=241 * MB, kept_layers=8_000 * MB, cache_mounts=0, context_copy=400_000, temporary=3_388_600_000
        ),
    )
    found = metrics(image_size=13_900 * MB, layers=12, compressed_size=5 * GB, build_seconds=180)
    image = measured(
        "audio-voice",
        target="runtime",
        disk=DISK,
        metrics=found.model_copy(update={"peak_disk": peak}),
        stages=[
            stage(
                "builder", 0, peak_disk=12_500 * MB, added_disk=7 * GB, image_size=8 * GB, layers=5, build_seconds=134
            ),
            stage("tests", 1, reached=False),
            stage("runtime", 2, peak_disk=11 * GB, added_disk=6 * GB, image_size=13_900 * MB, layers=12),
        ],
        versions=Versions(ci_budget="0.1.0", engine="29.0.0"),
        bases=[Base(reference="python:3.11", image_id="sha256:new", size=1_100 * MB)],
        findings=[
            Finding(
                rule="pip-cache",
                severity="warning",
                bytes=2_700 * MB,
                stage="builder",
                file="app/Dockerfile",
                line=12,
                message="pip keeps its cache in this layer.",
                mend="Add --no-cache-dir.",
            )
        ],
        contributors=[
            Contributor(
                kind="this-change",
                name="torch 2.13.0 -> 2.14.1",
                before=900 * MB,
                after=2_910 * MB,
                delta=2_010 * MB,
                stage="runtime",
                line=5,
            ),
            Contributor(kind="dependency-drift", name="scipy 1.16", before=200 * MB, after=90 * MB, delta=-110 * MB),
            Contributor(kind="this-change", name="other files", before=None, after=None, delta=MB),
        ],
        smoke=SmokeReport(
            command=["python", "-c", "import torch"], passed=True, exit_code=0, seconds=3.21, gpu="none, on the CPU",
            message="",
        ),
        limits_changed=changed,
    )  # fmt: skip
    accepted = entry(
        {"peak_disk": 11_530 * MB, "image_size": 12 * GB, "layers": 12, "context_size": 400_000},
        stages={"builder": {"peak_disk": 12_500 * MB}},
        versions=Versions(ci_budget="0.1.0", engine="28.5.2"),
        bases=[Base(reference="python:3.11", image_id="sha256:old", size=1_050 * MB)],
    )
    held = limits(
        {"peak_disk": 15 * GB, "image_size": 12 * GB, "context_size": 440_000},
        stages={"builder": {"peak_disk": 12 * GB}},
        warn_at="90",
    )
    return judge_image(image, limits=held, baselines=[accepted], options=GateOptions())


def _new() -> ImageReport:
    return judge_image(measured("fresh", disk=DISK), limits=limits(new=True), baselines=[], options=GateOptions())


def _ceiling() -> ImageReport:
    nothing = metrics(image_size=None, layers=None)
    peak = PeakMetric(value=4 * GB, unit="bytes", at_least=True, observed=4 * GB)
    failure = Failure(
        kind="ceiling",
        message="`RUN fill` hit the ceiling: the disk budget of 4.00 GB is full",
        stage="builder",
        line=7,
        step="RUN fill",
        mend="Write less in this step, or raise disk.budget.",
    )
    image = measured("filler", metrics=nothing.model_copy(update={"peak_disk": peak}), failure=failure)
    held = limits({"peak_disk": 5 * GB, "image_size": 2 * GB})
    return judge_image(image, limits=held, baselines=[], options=GateOptions())
