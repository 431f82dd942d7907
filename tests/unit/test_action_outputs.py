"""The action's outputs and annotations, from a report."""

from __future__ import annotations

import json
from typing import Any

from ci_budget.core.action_outputs import outputs_of
from ci_budget.core.records.report import (
    ContextMetric,
    Failure,
    ImageReport,
    LayersMetric,
    Metric,
    Metrics,
    PeakMetric,
    Report,
    StageReport,
    Verdict,
)
from ci_budget.core.render.annotations import render_annotations

STAGES = [
    StageReport(name="build", index=0, base="python", line=1, reached=True),
    StageReport(name="runtime", index=1, base="python", line=9, reached=True),
    StageReport(name="docs", index=2, base="python", line=20, reached=False),
]


def image(name: str, *, exit_code: int = 0, verdict: Verdict = Verdict.PASS, **more: Any) -> ImageReport:
    return ImageReport(
        **{
            "name": name,
            "exit_code": exit_code,
            "verdict": verdict,
            "dockerfile": f"{name}/Dockerfile",
            "stages": STAGES,
            "metrics": Metrics(
                peak_disk=PeakMetric(unit="bytes", value=100, verdict=Verdict.PASS, gated=True),
                image_size=Metric(unit="bytes", value=50, limit=60, verdict=Verdict.PASS, gated=True),
                layers=LayersMetric(unit="count", value=7, verdict=Verdict.PASS, gated=True),
                context_size=ContextMetric(unit="bytes", value=0, verdict=Verdict.PASS, gated=True),
            ),
            **more,
        }
    )


def report(*images: ImageReport, exit_code: int = 0, verdict: Verdict = Verdict.PASS) -> Report:
    return Report(
        ci_budget="0", verdict=verdict, exit_code=exit_code, started="2026-01-01T00:00:00Z", images=list(images)
    )


def failed(message: str, **more: Any) -> Metric:
    return Metric(**{"unit": "bytes", "value": 70, "verdict": Verdict.FAIL, "gated": True, "message": message, **more})


def test_the_outputs_are_of_the_first_image_that_failed() -> None:
    small = image("small")
    large = image("large", exit_code=1, verdict=Verdict.FAIL, metrics=Metrics(image_size=failed("too large", limit=60)))
    broken = image("broken", exit_code=4, verdict=Verdict.BUILD_FAILED, metrics=Metrics())
    outputs = outputs_of(report(small, large, broken, exit_code=1, verdict=Verdict.FAIL), exit_code=1, report_dir="/r")
    metrics = json.loads(outputs.pop("metrics-json"))
    assert outputs == {
        "verdict": "fail",
        "exit-code": "1",
        "report": "/r",
        "image": "large",
        "peak-disk": "",
        "image-size": "70",
        "layers": "",
        "context-size": "",
    }
    assert list(metrics) == ["small", "large", "broken"]
    assert metrics["large"] == {
        "verdict": "fail",
        "exit_code": 1,
        "metrics": {"image_size": {"value": 70, "limit": 60, "verdict": "fail"}},
    }
    assert metrics["broken"] == {"verdict": "build-failed", "exit_code": 4, "metrics": {}}


def test_without_a_failure_the_outputs_are_of_the_first_image() -> None:
    outputs = outputs_of(report(image("a"), image("b")), exit_code=0, report_dir="/r")
    assert (outputs["image"], outputs["peak-disk"], outputs["context-size"]) == ("a", "100", "0")


def test_without_a_report_nothing_is_claimed() -> None:
    assert outputs_of(None, exit_code=2, report_dir="/r") == {
        "verdict": "not-measured",
        "exit-code": "2",
        "report": "",
        "image": "",
        "peak-disk": "",
        "image-size": "",
        "layers": "",
        "context-size": "",
        "metrics-json": "{}",
    }


def test_nothing_is_annotated_where_all_is_well() -> None:
    assert render_annotations(report(image("a"))) == ""


def test_metrics_are_annotated_on_their_stage() -> None:
    stages = [
        STAGES[0].model_copy(update={"metrics": {"peak_disk": failed("70 bytes, 60 allowed")}}),
        *STAGES[1:],
    ]
    metrics = Metrics(
        image_size=failed("12 GB, 11 GB allowed\n::error::x"),
        layers=LayersMetric(unit="count", value=9, verdict=Verdict.WARN, gated=True, message="9 of 10"),
        peak_disk=PeakMetric(unit="bytes", verdict=Verdict.NOT_MEASURED, gated=True, message="a gap of 600 ms"),
        build_seconds=Metric(unit="seconds", verdict=Verdict.FAIL, gated=False, message="not gated"),
    )
    found = image("a,b", exit_code=1, verdict=Verdict.FAIL, metrics=metrics, stages=stages)
    assert render_annotations(report(found)) == (
        "::error title=a%2Cb%3A peak_disk,file=a%2Cb/Dockerfile,line=9::a gap of 600 ms\n"
        "::error title=a%2Cb%3A image_size,file=a%2Cb/Dockerfile,line=9::12 GB, 11 GB allowed\\n::error::x\n"
        "::error title=a%2Cb%3A peak_disk of stage build,file=a%2Cb/Dockerfile,line=1::70 bytes, 60 allowed\n"
        "::warning title=a%2Cb%3A layers,file=a%2Cb/Dockerfile,line=9::9 of 10\n"
    )


def test_a_failed_build_is_annotated_once_on_its_line() -> None:
    metrics = Metrics(
        peak_disk=PeakMetric(unit="bytes", value=60, verdict=Verdict.FAIL, gated=True, message="at least 60"),
        image_size=Metric(unit="bytes", verdict=Verdict.NOT_MEASURED, gated=True, message="no image"),
        context_size=ContextMetric(unit="bytes", value=9, verdict=Verdict.FAIL, gated=True, message="9 > 5"),
    )
    failure = Failure(kind="ceiling", message="the disk budget was hit", stage="build", line=4, mend="Raise it.")
    found = image("a", exit_code=1, verdict=Verdict.FAIL, metrics=metrics, failure=failure)
    assert render_annotations(report(found)) == (
        "::error title=a%3A ceiling (stage build),file=a/Dockerfile,line=4::the disk budget was hit. Raise it.\n"
        "::error title=a%3A context_size,file=a/Dockerfile,line=9::9 > 5\n"
    )


def test_more_than_github_shows_is_counted() -> None:
    images = [image(f"i{number}", exit_code=1, metrics=Metrics(image_size=failed("large"))) for number in range(1, 13)]
    lines = render_annotations(report(*images)).splitlines()
    assert len(lines) == 10
    assert lines[8] == "::error title=i9%3A image_size,file=i9/Dockerfile,line=9::large"
    assert lines[9] == "::error::3 more; the summary and the report name them all"
