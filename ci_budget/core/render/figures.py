"""The figures of a report as both renderers write them: columns of a metric, changes, the peak's parts, next steps."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from ci_budget.core.records.report import (
    GATED_BY_BASELINE,
    Composition,
    DiskReport,
    ImageReport,
    Metric,
    Report,
    StageReport,
    Verdict,
)
from ci_budget.core.text.units import format_delta, format_distinct, format_size, format_value

ATTENTION = (
    Verdict.FAIL,
    Verdict.BUILD_FAILED,
    Verdict.NOT_MEASURED,
    Verdict.INCOMPARABLE,
    Verdict.WARN,
    Verdict.NO_BASELINE,
    Verdict.PASS,
    Verdict.DISABLED,
)
"""Verdicts, those that want a person's attention first."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One metric as text. `change` carries the difference and, where there is a baseline, its percentage."""

    name: str
    stage: str | None
    metric: Metric
    now: str
    baseline: str
    limit: str
    delta: str
    percent: str

    @property
    def change(self) -> str:
        """`+1.90 GB (+18.3 %)`; `-` without a baseline."""
        return f"{self.delta} ({self.percent})" if self.percent not in ("-", "") else self.delta

    @property
    def title(self) -> str:
        """`image_size`, or `builder: peak_disk` for a stage."""
        return self.name if self.stage is None else f"{self.stage}: {self.name}"

    @property
    def quiet(self) -> bool:
        """Whether nothing about it wants attention."""
        return is_quiet(self.name, self.metric)


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something to do next; `command` is what to type, where there is something to type."""

    text: str
    command: str | None = None


def is_quiet(name: str, metric: Metric) -> bool:
    """Whether a metric is as its baseline, or only reported beside the usual four."""
    if metric.verdict in (Verdict.PASS, Verdict.DISABLED):
        return not metric.delta
    reported = metric.verdict == Verdict.NO_BASELINE and not metric.gated
    return reported and name not in GATED_BY_BASELINE


def image_rows(image: ImageReport) -> list[Row]:
    """The image's metrics in the order of the design."""
    return [_row(name, metric) for name, metric in image.metrics.named()]


def stage_rows(stage: StageReport) -> list[Row]:
    """A reached stage's metrics; none for an unreached one."""
    return [_row(name, metric, stage.name) for name, metric in stage.metrics.items()] if stage.reached else []


def all_rows(image: ImageReport) -> list[Row]:
    """The image's own metrics, then those of its stages."""
    return image_rows(image) + [row for stage in image.stages for row in stage_rows(stage)]


def attention_first(images: list[ImageReport]) -> list[ImageReport]:
    """Failing images first, otherwise in the order of the report."""
    return sorted(images, key=lambda image: ATTENTION.index(image.verdict))


def peak_parts(composition: Composition) -> str:
    """`bases 241 MB, kept layers 1.20 GB, …`: what the peak was made of; empty parts are left out."""
    parts = {
        "bases": composition.bases,
        "kept layers": composition.kept_layers,
        "cache mounts": composition.cache_mounts,
        "context copy": composition.context_copy,
        "temporary": composition.temporary,
    }
    return ", ".join(f"{name} {format_size(size)}" for name, size in parts.items() if size) or "nothing"


def against_said(report: Report) -> str | None:
    """What the columns `baseline` and `base` hold where no baseline was compared with; None where one was."""
    if report.against is None:
        return None
    return f"Compared with {report.against.shown}, built in this run under the same conditions, instead of a baseline."


def disk_said(disk: DiskReport) -> str:
    """Where the build ran and who keeps the ceiling: `sandbox (root): 15.0 GB, enforced by the kernel`."""
    if disk.mode == "remote":
        return f"remote ({disk.reason}): its disk is not seen from here"
    who = "enforced by the kernel" if disk.enforced else "observed, not enforced"
    budget = f"{format_size(disk.budget)}, " if disk.budget is not None else ""
    return f"{disk.mode} ({disk.reason}): {budget}{who}"


def next_steps(report: Report, report_folder: str) -> list[Step]:
    """What to do next, most urgent first; empty when there is nothing to do."""
    rows = [held for image in report.images for held in _all_held(image)]
    update = f"ci-budget baseline update --report {shlex.quote(report_folder)}"
    mends = dict.fromkeys(image.failure.mend for image in report.images if image.failure and image.failure.mend)
    steps = [Step(text=mend) for mend in mends]
    risen = [row for row in rows if row.metric.verdict == Verdict.FAIL and _over_baseline(row.metric)]
    may_update = report.exit_code in (0, 1) and not any(image.failure for image in report.images)
    if risen and report.against is not None:
        steps.append(Step(text="Make it smaller: by what it is compared with, the growth is this change's own."))
    elif risen and may_update:
        names = " ".join(f"--raise {name}" for name in dict.fromkeys(row.name for row in risen))
        text = "Make it smaller; or, where the growth is wanted, accept it and commit the baseline:"
        steps.append(Step(text=text, command=f"{update} {names}"))
    if any(row.metric.verdict == Verdict.FAIL and _over_budget(row.metric) for row in rows):
        steps.append(Step(text="A budget is raised in ci-budget.yml, in a change of its own that is reviewed."))
    if report.against is not None:
        may_update = False  # what is accepted is compared with the baseline, and this run was not
    elif any(_lacks_comparison(row.metric) for row in rows):
        text = "No baseline fits this setup; record one: run this, then accept its report:"
        steps.append(Step(text=text, command="ci-budget check --baseline none"))
    if may_update and any(_is_better(row.metric) for row in rows):
        steps.append(Step(text="Accept what became better, and commit the baseline:", command=update))
    elif may_update and any(_lacks_baseline(row) for row in rows):
        steps.append(Step(text="Record these values as the baseline, and commit it:", command=update))
    changes = [change for image in report.images for change in image.limits_changed]
    if any(change.loosened for change in [*changes, *report.limits_changed]):
        text = "Looser limits count once they are on the base branch: merge them in a change of their own first."
        steps.append(Step(text=text))
    return steps


@dataclass(frozen=True, slots=True)
class _Held:
    """A metric without its texts, which take long to write for thousands of images."""

    name: str
    stage: str | None
    metric: Metric


def _all_held(image: ImageReport) -> Iterator[_Held]:
    for name, metric in image.metrics.named():
        yield _Held(name, None, metric)
    for stage in image.stages:
        if stage.reached:
            for name, metric in stage.metrics.items():
                yield _Held(name, stage.name, metric)


def _row(name: str, metric: Metric, stage: str | None = None) -> Row:
    now, limit = (format_value(value, metric.unit) for value in (metric.value, metric.limit))
    if metric.value is not None and metric.limit is not None:
        now, limit = format_distinct([metric.value, metric.limit], metric.unit)
    return Row(
        name=name,
        stage=stage,
        metric=metric,
        now=f">= {now}" if getattr(metric, "at_least", False) and metric.value is not None else now,
        baseline=format_value(metric.baseline, metric.unit),
        limit=limit,
        delta="-" if metric.delta is None else format_delta(metric.delta, metric.unit),
        percent=_percent(metric.delta, metric.baseline),
    )


def _percent(delta: int | None, baseline: int | None) -> str:
    if delta is None or not baseline:
        return "-"
    if delta == 0:
        return ""
    share = 100 * delta / baseline
    return f"{share:+.1f} %" if abs(share) >= 0.05 else "+0.0 %" if delta > 0 else "-0.0 %"


def _lacks_comparison(metric: Metric) -> bool:
    return metric.gated and metric.verdict in (Verdict.INCOMPARABLE, Verdict.NO_BASELINE)


def _over_baseline(metric: Metric) -> bool:
    allowed = None if metric.baseline is None or metric.tolerance is None else metric.baseline + metric.tolerance
    return metric.value is not None and allowed is not None and metric.value > allowed


def _over_budget(metric: Metric) -> bool:
    return metric.value is not None and metric.budget is not None and metric.value > metric.budget


def _is_better(metric: Metric) -> bool:
    return metric.delta is not None and metric.tolerance is not None and metric.delta < -metric.tolerance


def _lacks_baseline(row: _Held) -> bool:
    return row.metric.verdict == Verdict.NO_BASELINE and row.name in GATED_BY_BASELINE and row.stage is None
