"""Measured images, baselines and limits for tests of the gate and of the renderers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ci_budget.core.config.model import DEFAULT_TOLERANCES
from ci_budget.core.gate.image_limits import ImageLimits, MetricLimits
from ci_budget.core.records.baseline import Baseline, BaselineEntry
from ci_budget.core.records.metrics import METRIC_NAMES, STAGE_METRIC_NAMES, metric_unit
from ci_budget.core.records.report import (
    ContextMetric,
    Fingerprint,
    ImageReport,
    LayersMetric,
    Metric,
    Metrics,
    PeakMetric,
    StageReport,
    Verdict,
)
from ci_budget.core.text.units import Tolerance

MB = 10**6
GB = 10**9
STARTED = "2026-03-01T10:00:00Z"
SANDBOX = Fingerprint(
    platform="linux/amd64",
    disk_mode="sandbox",
    storage_driver="overlay2",
    filesystem="ext4",
    block_size=4096,
    order="sequential",
    cache="cold",
    method=1,
)
VALUES = {"peak_disk": 5 * GB, "image_size": 2 * GB, "layers": 8, "context_size": 400_000}


def fingerprint(**changes: Any) -> Fingerprint:
    """The sandbox's fingerprint with some fields changed."""
    return SANDBOX.model_copy(update=changes)


def metrics(**values: int | None) -> Metrics:
    """Measured metrics; the four usual ones, changed or added to by `values`."""
    found: dict[str, Metric] = {}
    for name, value in {**VALUES, **values}.items():
        kind: type[Metric] = Metric
        if name == "peak_disk":
            kind = PeakMetric
        elif name == "layers":
            kind = LayersMetric
        elif name == "context_size":
            kind = ContextMetric
        message = "" if value is not None else "the disk level could not be read"
        found[name] = kind(value=value, unit=metric_unit(name), message=message)
    return Metrics.model_validate({name: metric.model_dump() for name, metric in found.items()})


def stage(name: str = "builder", index: int = 0, *, reached: bool = True, **values: int | None) -> StageReport:
    """A stage with metrics of these values."""
    found = {key: Metric(value=value, unit=metric_unit(key)) for key, value in values.items()}
    return StageReport(name=name, index=index, base="debian:12", line=index + 1, reached=reached, metrics=found)


def measured(name: str = "app", **changes: Any) -> ImageReport:
    """A measured image that nobody has judged: its own verdict and code say that nothing is known."""
    given: dict[str, Any] = {"metrics": metrics(), "fingerprint": SANDBOX} | changes
    return ImageReport(name=name, verdict=Verdict.NOT_MEASURED, exit_code=3, dockerfile="app/Dockerfile", **given)


def limits(
    budgets: dict[str, int] | None = None,
    *,
    stages: dict[str, dict[str, int]] | None = None,
    warn_at: str | None = None,
    disabled: tuple[str, ...] = (),
    untolerated: tuple[str, ...] = (),
    **changes: Any,
) -> ImageLimits:
    """Limits with the built-in tolerances. `untolerated`: the tolerance is off; `disabled`: the metric is."""
    share = None if warn_at is None else Decimal(warn_at)

    def of(metric: str, budget: int | None) -> MetricLimits:
        tolerance: Tolerance | None = None if metric in untolerated else DEFAULT_TOLERANCES.get(metric)
        return MetricLimits(budget=budget, tolerance=tolerance, warn_at=share, disabled=metric in disabled)

    return ImageLimits(
        metrics={name: of(name, (budgets or {}).get(name)) for name in METRIC_NAMES},
        stage_defaults={name: of(name, None) for name in STAGE_METRIC_NAMES},
        stages={
            owner: {name: of(name, given.get(name)) for name in STAGE_METRIC_NAMES}
            for owner, given in (stages or {}).items()
        },
        **changes,
    )


def entry(
    values: dict[str, int] | None = None,
    *,
    stages: dict[str, dict[str, int]] | None = None,
    recorded: str = "2026-02-01T10:00:00Z",
    at: Fingerprint = SANDBOX,
    **changes: Any,
) -> BaselineEntry:
    """An accepted entry; the four usual values unless given."""
    return BaselineEntry(
        fingerprint=at,
        metrics=VALUES if values is None else values,
        stages=stages or {},
        recorded=recorded,
        commit="0123456789abcdef0123456789abcdef01234567",
        **changes,
    )


def baseline(*entries: BaselineEntry, image: str = "app") -> Baseline:
    """A baseline file with these entries of one image."""
    return Baseline(images={image: list(entries)} if entries else {})
