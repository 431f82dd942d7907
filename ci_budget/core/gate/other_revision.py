"""`--against`: another revision, built in the same run, in the place of the accepted values."""

from __future__ import annotations

from ci_budget.core.records.baseline import BaselineEntry
from ci_budget.core.records.baseline_update import RECORDED
from ci_budget.core.records.report import ImageReport, Metric


def entry_of(measured: ImageReport, *, commit: str, recorded: str) -> BaselineEntry | None:
    """What was measured of the other revision, as a baseline; None where its build or its environment failed.

    `recorded`: ISO 8601, UTC.
    """
    if measured.failure is not None or measured.fingerprint is None:
        return None
    return BaselineEntry(
        fingerprint=measured.fingerprint,
        metrics=_values(dict(measured.metrics.named())),
        stages={stage.name: _values(stage.metrics) for stage in measured.stages if stage.reached},
        commit=commit,
        recorded=recorded,
        bases=measured.bases,
        image_id=measured.image_id,
        versions=measured.versions,
    )


def _values(metrics: dict[str, Metric]) -> dict[str, int]:
    return {name: metric.value for name, metric in metrics.items() if name in RECORDED and metric.value is not None}
