"""From a recording to a measured, not yet judged image report: metrics, stages, failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ci_budget.core.measurement.recording import BuiltStage, FailedStep, Recording, StageRecord
from ci_budget.core.measurement.samples import WIDEST_GAP, CeilingContact
from ci_budget.core.records.report import (
    ContextMetric,
    Failure,
    ImageReport,
    LayersMetric,
    Metric,
    Metrics,
    PeakMetric,
    StageReport,
    Verdict,
    metric_unit,
)
from ci_budget.core.text.units import format_seconds, format_size
from ci_budget.errors import CiBudgetError, ExitCode


@dataclass(frozen=True, kw_only=True)
class StageFacts:
    """A stage as the Dockerfile has it."""

    name: str
    index: int
    base: str
    line: int | None
    reached: bool


@dataclass(frozen=True, kw_only=True)
class ContextFacts:
    """The eligible context: bytes, files, and the part that the Dockerfile can use (None: not known)."""

    size: int
    files: int
    referenced: int | None


def assemble_metrics(
    recording: Recording | None,
    *,
    context: ContextFacts | None,
    image: BuiltStage | None,
    failure: Failure | None,
    no_peak: str | None,
) -> Metrics:
    """All metrics of an image. `no_peak`: why this run cannot measure peaks (warm, remote), None where it can.

    A metric that could not be measured has the value None and says why.
    """
    unbuilt = "the build did not finish" if recording is not None or failure is None else failure.message
    return Metrics(
        peak_disk=_peak_metric(recording, failure, no_peak),
        image_size=_metric("image_size", image.size if image else None, unbuilt),
        layers=LayersMetric(
            value=image.layers if image else None,
            unit="count",
            inherited=image.inherited if image else None,
            own=image.layers - image.inherited if image else None,
            message="" if image else unbuilt,
        ),
        context_size=ContextMetric(
            value=context.size if context else None,
            unit="bytes",
            context_files=context.files if context else None,
            referenced=context.referenced if context else None,
            message="" if context else "the context could not be read",
        ),
        peak_inodes=_metric(
            "peak_inodes",
            recording.peak_inodes() if recording and not no_peak else None,
            no_peak or unbuilt,
        ),
        build_seconds=_metric(
            "build_seconds",
            round(recording.end - recording.start) if recording and image and not no_peak else None,
            no_peak or unbuilt,
        ),
    )


def _peak_metric(recording: Recording | None, failure: Failure | None, no_peak: str | None) -> PeakMetric:
    if no_peak is not None or recording is None:
        reason = no_peak or (failure.message if failure else "nothing was built")
        return PeakMetric(value=None, unit="bytes", message=reason)
    peak = recording.peak()
    if peak is None:
        return PeakMetric(value=None, unit="bytes", message="too few samples: the disk level could not be read")
    hit = failure is not None and failure.kind == "ceiling"
    finished = failure is None or failure.kind in ("ceiling", "smoke")
    message = ""
    if not finished:
        message = "the build did not finish, so its peak is not known"
    elif not peak.measured and not hit:
        message = (
            f"the level went unseen for {peak.widest_gap * 1000:.0f} ms, more than {WIDEST_GAP * 1000:.0f} ms: "
            "the machine was too busy to measure"
        )
    elif peak.observed < 0:
        message = _GIVEN_BACK
    contact = (recording.hidden_contact() or recording.contact()) if hit else None
    inodes = contact is not None and contact.inodes
    value = recording.ceiling if hit and not inodes and recording.ceiling is not None else peak.observed
    return PeakMetric(
        value=None if message else value,
        unit="bytes",
        message="the build used up its inodes" if inodes else message,
        observed=peak.observed,
        upper_bound=max(peak.upper_bound, value or 0),
        interval_ms=round(peak.interval * 1000, 2),
        widest_gap_ms=round(peak.widest_gap * 1000, 2),
        base=recording.base_level - recording.zero,
        at_least=hit,
        composition=recording.compose(peak),
    )


_GIVEN_BACK = "less of the disk was in use than before the build: others gave back space meanwhile"


def _metric(name: str, value: int | None, reason: str) -> Metric:
    return Metric(value=value, unit=metric_unit(name), message="" if value is not None else reason)


def assemble_stages(
    facts: Sequence[StageFacts],
    recording: Recording | None,
    built: Mapping[int, BuiltStage],
    *,
    no_peak: str | None,
) -> list[StageReport]:
    """The stages in Dockerfile order; unreached ones carry no metrics."""
    records = {record.index: record for record in recording.stages} if recording else {}
    return [
        StageReport(
            name=stage.name,
            index=stage.index,
            base=stage.base,
            line=stage.line,
            reached=stage.reached,
            metrics=_stage_metrics(recording, records.get(stage.index), built.get(stage.index), no_peak)
            if stage.reached
            else {},
        )
        for stage in facts
    ]


def _stage_metrics(
    recording: Recording | None, record: StageRecord | None, built: BuiltStage | None, no_peak: str | None
) -> dict[str, Metric]:
    unbuilt = "this stage was not built to its end"
    peak = seconds = added = None
    reason = kept = no_peak or unbuilt
    if recording is not None and record is not None and no_peak is None:
        found = recording.stage_peak(record)
        complete = recording.failed is None or record is not recording.stages[-1]
        if found is not None and found.measured and complete:
            peak, added, seconds = found.observed, recording.added_by(record), round(record.end - record.start)
            if peak < 0:
                peak, reason = None, _GIVEN_BACK
            if added < 0:
                added, kept = None, _GIVEN_BACK
        elif found is not None and complete:
            reason = kept = f"the level went unseen for {found.widest_gap * 1000:.0f} ms"
    return {
        "peak_disk": _metric("peak_disk", peak, reason),
        "added_disk": _metric("added_disk", added, kept),
        "image_size": _metric("image_size", built.size if built else None, unbuilt),
        "layers": _metric("layers", built.layers if built else None, unbuilt),
        "build_seconds": _metric("build_seconds", seconds, reason),
    }


def find_failure(recording: Recording, *, timeout: float | None, enforced: bool) -> Failure | None:
    """Why the builds did not go through, or went through only by hiding that the disk was full; None when neither."""
    failed = recording.failed
    if recording.cancelled == "timeout":
        where = f" in {_step(failed)}" if failed else ""
        return _failure(
            "timeout",
            f"the build ran longer than its timeout of {format_seconds(timeout or 0)} and was ended{where}",
            failed,
            mend="Raise the image's `timeout`, or find out why this step hangs.",
        )
    if recording.cancelled is not None:
        return _failure("ceiling", recording.cancelled, failed, mend=_SMALLER)
    hidden = recording.hidden_contact() if enforced else None
    if hidden is not None:
        return _touched(recording, hidden)
    if failed is None:
        return None
    contact = recording.contact()
    leapt_from = contact.leapt_from if contact is not None and failed.says_no_space else None
    if enforced and contact is not None and contact.near and leapt_from is None:
        what = "has no free inodes left" if contact.inodes else "is full"
        return _failure(
            "ceiling",
            f"{_step(failed)} hit the ceiling: the disk budget of {format_size(recording.ceiling or 0)} {what}",
            failed,
            mend=_FEWER if contact.inodes else _SMALLER,
        )
    hint = ""
    if failed.says_no_space and contact is not None:
        left = contact.free if leapt_from is None else leapt_from
        hint = f"; it may have asked for more than the {format_size(left)} left"
    return _failure("build", f"{_step(failed)} failed{hint}: {_first_lines(failed.error)}", failed, mend=None)


def unmeasured_image(
    name: str, dockerfile: str, target: str | None, context: ContextFacts | None, error: CiBudgetError
) -> ImageReport:
    """An image that was not built: the environment did not allow it, its bases alone exceed the budget, or the engine
    cannot read its Dockerfile."""
    kinds: dict[ExitCode, Literal["ceiling", "build"]] = {ExitCode.GATE: "ceiling", ExitCode.BUILD: "build"}
    kind: Literal["ceiling", "build", "environment"] = kinds.get(error.exit_code, "environment")
    failure = Failure(kind=kind, message=error.what, line=error.line, mend=error.mend)
    return ImageReport(
        name=name,
        verdict=Verdict.NOT_MEASURED,
        exit_code=int(error.exit_code),
        dockerfile=dockerfile,
        target=target,
        metrics=assemble_metrics(None, context=context, image=None, failure=failure, no_peak=None),
        failure=failure,
    )


_Kind = Literal["ceiling", "build", "timeout"]
_SMALLER = "Write less in this step, remove in the same step what it no longer needs, or raise disk.budget."
_FEWER = "Keep fewer files (caches, sources, node_modules), or raise disk.budget, which brings more inodes."


def _touched(recording: Recording, contact: CeilingContact) -> Failure:
    step, failed = recording.step_that_filled(contact), recording.failed
    place = f"`{step.name}`" if step else "the build"
    what = " (no free inodes left)" if contact.inodes else ""
    then = f"; after it {_step(failed)} failed: {_first_lines(failed.error)}" if failed else ""
    return Failure(
        kind="ceiling",
        message=f"{place} touched the ceiling of {format_size(recording.ceiling or 0)}{what} and went on as if it had "
        f"not: what it wrote is not whole{then}",
        stage=step.stage if step else None,
        line=step.line if step else None,
        step=step.name if step else None,
        last_lines=list(failed.last_lines) if failed else [],
        mend=_FEWER if contact.inodes else _SMALLER,
    )


def _failure(kind: _Kind, message: str, failed: FailedStep | None, *, mend: str | None) -> Failure:
    return Failure(
        kind=kind,
        message=message,
        stage=failed.stage if failed else None,
        line=failed.line if failed else None,
        step=failed.name if failed else None,
        last_lines=list(failed.last_lines) if failed else [],
        mend=mend,
    )


def _step(failed: FailedStep | None) -> str:
    return f"`{failed.name}`" if failed else "the build"


def _first_lines(text: str) -> str:
    text = text.rpartition(" did not complete successfully: ")[2]  # before it BuildKit repeats the whole command
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines)[:600] or "no reason given"
