"""Which limits an image is held to, and which revision they come from.

Pull requests cannot move their own goalposts: every limit is read from the base revision, and what the
pull request changes is listed (limit_changes.py) without counting for the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ci_budget.core.config.amounts import OFF
from ci_budget.core.config.model import Config
from ci_budget.core.gate.approvals import Approvals, GivenApproval, compare_approvals
from ci_budget.core.gate.image_limits import ImageLimits, MetricLimits
from ci_budget.core.gate.limit_changes import compare_limits
from ci_budget.core.records.baseline import Baseline, BaselineEntry
from ci_budget.core.records.report import METRIC_NAMES, STAGE_METRIC_NAMES, LimitChange
from ci_budget.core.text.units import Tolerance


@dataclass(frozen=True, kw_only=True)
class DecidedLimits:
    """What an image is held to in this run.

    `config` is the one whose limits count: its disk budget, its reserve and its smoke test for this image
    count as well. `limits_changed`: what the head changes without effect. `notes`: what a reader must know.
    `approvals`: the increases that were accepted for the image.
    """

    config: Config
    limits: ImageLimits
    baselines: Sequence[BaselineEntry]
    limits_changed: Sequence[LimitChange] = ()
    notes: Sequence[str] = ()
    approvals: Sequence[GivenApproval] = ()


def own_limits(config: Config, baseline: Baseline, image: str, approvals: Approvals | None = None) -> DecidedLimits:
    """The limits where no base revision counts: a push, a nightly run, a developer's machine."""
    return DecidedLimits(
        config=config,
        limits=limits_of(config, image),
        baselines=baseline.entries(image),
        approvals=approvals.of(image) if approvals is not None else (),
    )


def pull_request_limits(
    *,
    base_config: Config | None,
    base_baseline: Baseline,
    head_config: Config,
    head_baseline: Baseline,
    image: str,
    base_approvals: Approvals | None = None,
    head_approvals: Approvals | None = None,
) -> DecidedLimits:
    """The limits in a pull request: the base revision's.

    `base_config` None: there verifiably is no config at the base revision. An image that the base does not
    have uses the head's limits, marked as new. `limits_from: head` counts only where the base says so.
    """
    if base_config is not None and base_config.limits_from == "head":
        note = "the base revision says limits_from: head, so the limits of this revision count"
        return replace(own_limits(head_config, head_baseline, image, head_approvals), notes=[note])
    base_approvals, head_approvals = base_approvals or Approvals(), head_approvals or Approvals()
    changes = [
        *compare_limits(base_config, head_config, base_baseline, head_baseline, image),
        *compare_approvals(base_approvals, head_approvals, image),
    ]
    approvals = base_approvals.of(image)
    if base_config is None or image not in base_config.images:
        return DecidedLimits(
            config=head_config,
            limits=limits_of(head_config, image, new=True),
            baselines=head_baseline.entries(image),
            limits_changed=changes,
            notes=["new at this revision: its own limits count, and nobody has reviewed them before"],
            approvals=approvals,
        )
    return DecidedLimits(
        config=base_config,
        limits=limits_of(base_config, image),
        baselines=base_baseline.entries(image),
        limits_changed=changes,
        approvals=approvals,
    )


def limits_of(config: Config, image: str, *, new: bool = False) -> ImageLimits:
    """The limits that `config` sets for `image`. Raises KeyError when it has no such image."""
    stages = config.images[image].stages
    return ImageLimits(
        metrics={metric: _metric_limits(config, image, metric) for metric in METRIC_NAMES},
        stage_defaults=_stage_limits(config, image, ""),
        stages={stage.lower(): _stage_limits(config, image, stage) for stage in stages},
        gate_warm=tuple(config.gate_warm),
        require_baseline=config.require_baseline,
        disk_budget=config.disk_budget_of(image),
        new=new,
    )


def _stage_limits(config: Config, image: str, stage: str) -> Mapping[str, MetricLimits]:
    return {metric: _metric_limits(config, image, metric, stage) for metric in STAGE_METRIC_NAMES}


def _metric_limits(config: Config, image: str, metric: str, stage: str | None = None) -> MetricLimits:
    budget = config.budget_of(image, metric, stage)
    tolerance = config.tolerance_of(image, metric, stage)
    return MetricLimits(
        budget=None if budget == OFF else budget,
        tolerance=tolerance if isinstance(tolerance, Tolerance) else None,
        warn_at=config.warn_share_of(image),
        disabled=config.is_disabled(image, metric, stage),
    )
