"""What an image is held to: budgets, tolerances and warning shares, by metric, for the image and its stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ci_budget.core.text.units import Tolerance

DEFAULT_GATE_WARM = ("image_size", "layers", "context_size")


@dataclass(frozen=True, kw_only=True)
class MetricLimits:
    """The limits of one metric, in its unit.

    `tolerance` None: not compared with a baseline. `disabled`: switched off by name, out of the gate.
    `warn_at`: percent of the budget, and of the tolerance above the baseline, from which on it warns.
    """

    budget: int | None = None
    tolerance: Tolerance | None = None
    warn_at: Decimal | None = None
    disabled: bool = False


@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    """All limits of one image.

    `metrics` holds the limits of every image metric, `stage_defaults` those of a stage that the config
    does not name, `stages` those of the named ones (by name, in lower case, or by number). `new`: the image
    does not exist at the base revision, so these are the pull request's own. `disk_budget` in bytes.
    """

    metrics: Mapping[str, MetricLimits]
    stage_defaults: Mapping[str, MetricLimits] = field(default_factory=dict)
    stages: Mapping[str, Mapping[str, MetricLimits]] = field(default_factory=dict)
    gate_warm: tuple[str, ...] = DEFAULT_GATE_WARM
    require_baseline: bool = False
    disk_budget: int | None = None
    new: bool = False

    def of(self, metric: str) -> MetricLimits:
        """The limits of a metric of the image."""
        return self.metrics.get(metric, MetricLimits())

    def of_stage(self, name: str, index: int) -> Mapping[str, MetricLimits]:
        """The limits of a stage's metrics, by metric."""
        for key in (name.lower(), str(index), f"stage-{index}"):
            if key in self.stages:
                return self.stages[key]
        return self.stage_defaults
