"""How a report's values become the accepted ones: lower ones at once, higher ones only when named."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from ci_budget.core.records.baseline import Baseline, BaselineEntry, same_setup
from ci_budget.core.records.report import (
    GATED_BY_BASELINE,
    METRIC_NAMES,
    STAGE_METRIC_NAMES,
    ImageReport,
    Metric,
    PeakMetric,
    Report,
    Verdict,
)
from ci_budget.core.text.suggestion import suggest
from ci_budget.errors import ConfigError, ExitCode

RECORDED = (*GATED_BY_BASELINE, "compressed_size", "wasted_bytes", "peak_inodes", "added_disk")
"""Metrics that a baseline holds: those that do not depend on how busy the machine is."""

Kind = Literal["added", "lowered", "raised", "kept", "same", "unmeasured", "dropped"]


@dataclass(frozen=True, kw_only=True)
class BaselineChange:
    """What happened to one accepted value (bytes or a count). `after` is what the file holds now."""

    image: str
    stage: str | None
    metric: str
    kind: Kind
    before: int | None
    measured: int | None
    after: int | None


def check_acceptable(report: Report) -> None:
    """Refuse a report whose values were not all really measured.

    Raises ConfigError for a run that ended with anything but 0 or 1, for an image that failed to build or
    hit the ceiling, and for one with a gated value missing.
    """
    accepted = (ExitCode.OK, ExitCode.GATE)
    if report.exit_code not in accepted:
        raise ConfigError(
            f"this run ended with exit {report.exit_code} ({report.verdict.value}): its values are no baseline",
            mend="Only a run that ended with 0 or 1 measured all that it gates; run `ci-budget check` again.",
        )
    if not report.images:
        raise ConfigError("this report has no images: there is nothing to accept")
    for image in report.images:
        trouble = _trouble(image)
        if image.exit_code not in accepted or trouble is not None:
            reason = trouble or f"it ended with exit {image.exit_code} ({image.verdict.value})"
            raise ConfigError(
                f"the image '{image.name}' gives no baseline: {reason}",
                mend="Mend that, run `ci-budget check` again, and accept its report.",
            )


def check_metric_names(names: Collection[str]) -> None:
    """Raises ConfigError for a metric that no baseline holds."""
    for name in names:
        if name not in RECORDED:
            raise ConfigError(f"'{name}' is no metric of a baseline; {suggest(name, RECORDED, kind='metrics')}")


def accept_report(
    baseline: Baseline,
    report: Report,
    *,
    raise_metrics: Collection[str] = (),
    inventories: Mapping[str, str] | None = None,
) -> tuple[Baseline, list[BaselineChange]]:
    """The baseline with the report's values, and what happened to each.

    `inventories`: by image, the SHA-256 of what it is made of, recorded where its size and layers are accepted.

    Lower values are accepted, higher ones only of the metrics in `raise_metrics` (of images and stages
    alike); new images, setups, stages and metrics are added. Values of stages that are gone are dropped.
    Raises ConfigError when the report may not be accepted.
    """
    check_acceptable(report)
    check_metric_names(raise_metrics)
    images = {name: list(entries) for name, entries in baseline.images.items()}
    changes: list[BaselineChange] = []
    for image in report.images:
        entries = images.setdefault(image.name, [])
        if image.fingerprint is None:
            raise ConfigError(f"the image '{image.name}' gives no baseline: the report does not say where it was built")
        old = same_setup(entries, image.fingerprint)
        new, made = _accept_image(old, image, report, frozenset(raise_metrics), (inventories or {}).get(image.name))
        if old is None:
            entries.append(new)
        elif (new.metrics, new.stages, new.inventory) != (old.metrics, old.stages, old.inventory):
            entries[entries.index(old)] = new
        changes.extend(made)
    return baseline.model_copy(update={"images": images}), changes


def _trouble(image: ImageReport) -> str | None:
    if image.failure is not None:
        return image.failure.message
    if image.smoke is not None and not image.smoke.passed:
        return "its smoke test failed"
    stages = [(f"{stage.name}.{name}", metric) for stage in image.stages for name, metric in stage.metrics.items()]
    for name, metric in [*image.metrics.named(), *stages]:
        if metric.gated and metric.value is None:
            return f"{name} was not measured"
        if isinstance(metric, PeakMetric) and metric.at_least:
            return f"{name} hit the ceiling"
        if metric.gated and metric.verdict == Verdict.INCOMPARABLE:
            return f"{name} could not be compared; run `ci-budget check --baseline none` to record this setup"
    return None


def _accept_image(
    old: BaselineEntry | None, image: ImageReport, report: Report, raised: frozenset[str], inventory: str | None
) -> tuple[BaselineEntry, list[BaselineChange]]:
    changes: list[BaselineChange] = []
    metrics = _accept_values(
        dict(image.metrics.named()), old.metrics if old else {}, raised, changes, image=image.name, stage=None
    )
    stages = {}
    for stage in image.stages:
        if stage.reached:
            known = old.stages.get(stage.name, {}) if old else {}
            values = _accept_values(stage.metrics, known, raised, changes, image=image.name, stage=stage.name)
            if values:
                stages[stage.name] = values
    reached = {stage.name for stage in image.stages if stage.reached}
    for name, gone in (old.stages if old else {}).items():
        if name not in reached:
            changes.extend(_dropped(image.name, name, metric, value) for metric, value in gone.items())
    if image.fingerprint is None:  # refused by accept_report
        raise AssertionError(image.name)
    entry = BaselineEntry(
        fingerprint=image.fingerprint,
        metrics=metrics,
        stages=stages,
        commit=report.commit,
        recorded=report.started,
        bases=image.bases,
        image_id=image.image_id,
        inventory=_accept_inventory(old, metrics, image, inventory),
        versions=image.versions,
    )
    return entry, changes


def _accept_inventory(
    old: BaselineEntry | None, metrics: Mapping[str, int], image: ImageReport, inventory: str | None
) -> str | None:
    """The measured image's, where that is the image that the accepted values are of; else the one there was."""
    measured = dict(image.metrics.named())
    accepted = all(name in measured and metrics.get(name) == measured[name].value for name in ("image_size", "layers"))
    return inventory if inventory is not None and accepted else old.inventory if old else None


def _accept_values(
    measured: Mapping[str, Metric],
    accepted: Mapping[str, int],
    raised: frozenset[str],
    changes: list[BaselineChange],
    *,
    image: str,
    stage: str | None,
) -> dict[str, int]:
    values: dict[str, int] = {}
    for name in METRIC_NAMES if stage is None else STAGE_METRIC_NAMES:
        before = accepted.get(name)
        metric = measured.get(name)
        value = metric.value if metric is not None else None
        if name not in RECORDED or (value is None and before is None):
            continue
        kind = _kind(before, value, may_rise=name in raised)
        after = before if kind in ("kept", "same", "unmeasured") else value
        if after is not None:
            values[name] = after
        changes.append(
            BaselineChange(image=image, stage=stage, metric=name, kind=kind, before=before, measured=value, after=after)
        )
    return values


def _dropped(image: str, stage: str, metric: str, value: int) -> BaselineChange:
    return BaselineChange(
        image=image, stage=stage, metric=metric, kind="dropped", before=value, measured=None, after=None
    )


def _kind(before: int | None, value: int | None, *, may_rise: bool) -> Kind:
    if value is None:
        return "unmeasured"
    if before is None:
        return "added"
    if value == before:
        return "same"
    if value < before:
        return "lowered"
    return "raised" if may_rise else "kept"
