"""What a report has to say of a line of a Dockerfile: the one source of annotations and of SARIF."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from ci_budget.core.records.report import Contributor, Finding, ImageReport, Metric, Report, StageReport, Verdict
from ci_budget.core.text.units import format_delta, format_distinct

Severity = Literal["error", "warning", "note"]

_SEVERITIES: dict[Verdict, Severity] = {
    Verdict.FAIL: "error",
    Verdict.INCOMPARABLE: "error",
    Verdict.NOT_MEASURED: "error",
    Verdict.NO_BASELINE: "error",  # only where it is gated: a baseline is required
    Verdict.WARN: "warning",
}
_GROWN_BY = 3
_EXPLAINED = ("image_size", "peak_disk")


@dataclass(frozen=True, kw_only=True)
class Remark:
    """One thing to say. `rule`: the metric, the kind of failure, or the finding's rule. Text is untrusted.

    `line` is 1-based, and 1 where no better one is known. `bytes`: what it is about, where that is known.
    """

    severity: Severity
    rule: str
    image: str
    title: str
    message: str
    file: str
    line: int
    stage: str | None = None
    bytes: int | None = None
    is_finding: bool = False


def gate_remarks(report: Report) -> Iterator[Remark]:
    """What failed, warns or is missing. An image that could not be built or measured is named once, not once a
    metric."""
    for image in report.images:
        yield from _of_failure(image)
        for name, metric in image.metrics.named():
            yield from _of_metric(image, name, metric, None)
        for stage in image.stages:
            for name, metric in stage.metrics.items():
                yield from _of_metric(image, name, metric, stage)


def finding_remarks(report: Report) -> list[Remark]:
    """Every finding, the largest first."""
    found = [_of_finding(image, finding) for image in report.images for finding in image.findings]
    return sorted(found, key=lambda remark: -(remark.bytes or 0))


def growth_said(contributors: Iterable[Contributor], delta: int) -> str:
    """`torch 2.13.0 -> 2.14.1: +1.90 GB; …`: what moved most in the direction of `delta`; empty where nothing did."""
    same_way = [item for item in contributors if item.delta * delta > 0]
    largest = sorted(same_way, key=lambda item: -abs(item.delta))[:_GROWN_BY]
    return "; ".join(f"{item.name}: {format_delta(item.delta, 'bytes')}" for item in largest)


def _of_failure(image: ImageReport) -> Iterator[Remark]:
    failure = image.failure
    if failure is None:
        return
    where = f" (stage {failure.stage})" if failure.stage else ""
    mend = f". {failure.mend}" if failure.mend else ""
    yield Remark(
        severity="error",
        rule=failure.kind,
        image=image.name,
        title=f"{failure.kind}{where}",
        message=f"{failure.message.rstrip('.')}{mend}",
        file=image.dockerfile,
        line=failure.line or 1,
        stage=failure.stage,
    )


def _of_metric(image: ImageReport, name: str, metric: Metric, stage: StageReport | None) -> Iterator[Remark]:
    severity = _SEVERITIES.get(metric.verdict)
    if severity is None or not metric.gated:
        return
    if image.failure is not None:
        # What failed is named already: the ceiling as such, and the values it left unmeasured.
        unmeasured = metric.verdict in (Verdict.NOT_MEASURED, Verdict.INCOMPARABLE)
        if unmeasured or (image.failure.kind == "ceiling" and name == "peak_disk"):
            return
    message, line = metric.message or metric.verdict.value, None if stage is None else stage.line
    if stage is None:
        line = _target_line(image)
        if name in _EXPLAINED and metric.delta:
            said = growth_said(image.contributors, metric.delta)
            message += f"; in the image: {said}" if said else ""
            line = _grown_line(image, metric.delta) or line
    yield Remark(
        severity=severity,
        rule=name,
        image=image.name,
        title=name if stage is None else f"{name} of stage {stage.name}",
        message=message,
        file=image.dockerfile,
        line=line or 1,
        stage=None if stage is None else stage.name,
        bytes=metric.value if metric.unit == "bytes" else None,
    )


def _of_finding(image: ImageReport, finding: Finding) -> Remark:
    return Remark(
        severity=finding.severity,
        rule=finding.rule,
        image=image.name,
        title=finding.rule
        if finding.bytes is None
        else f"{finding.rule}, {format_distinct([finding.bytes], 'bytes')[0]}",
        message=f"{finding.message} {finding.mend}",
        file=finding.file or image.dockerfile,
        line=finding.line or (1 if finding.file else _target_line(image) or 1),
        stage=finding.stage,
        bytes=finding.bytes,
        is_finding=True,
    )


def _grown_line(image: ImageReport, delta: int) -> int | None:
    """The line of the step that is behind most of what moved the same way, or brought it."""
    placed: dict[int, int] = {}
    for item in image.contributors:
        line = item.cause.line if item.cause is not None and item.cause.line is not None else item.line
        if line is not None and item.delta * delta > 0:
            placed[line] = placed.get(line, 0) + abs(item.delta)
    return max(placed, key=lambda line: placed[line], default=None)


def _target_line(image: ImageReport) -> int | None:
    """Where the target stage begins: a metric of the whole image belongs to it."""
    reached = [stage for stage in image.stages if stage.reached]
    named = [stage for stage in reached if stage.name == image.target]
    chosen = named or reached
    return chosen[-1].line if chosen else None
