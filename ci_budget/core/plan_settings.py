"""What a change of the config, the accepted values or the approvals means for each image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ci_budget.core.config.model import Config
from ci_budget.core.gate.approvals import Approvals
from ci_budget.core.records.baseline import Baseline

_PER_IMAGE = ("images", "release")


@dataclass(frozen=True, kw_only=True)
class SettingsChange:
    """`everywhere`: why every image counts as touched; `images`: why some do, by name; `removed`: gated no more."""

    everywhere: str | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a revision says about its images."""

    config: Config
    baseline: Baseline
    approvals: Approvals


def compare_settings(base: Settings, head: Settings, *, config_name: str) -> SettingsChange:
    """Which images another revision's settings touch; a key outside of `images:` touches them all."""
    whole = [name for name in Config.model_fields if name not in _PER_IMAGE]
    changed = [name for name in whole if getattr(base.config, name) != getattr(head.config, name)]
    removed = tuple(name for name in base.config.images if name not in head.config.images)
    if changed:
        return SettingsChange(everywhere=f"{', '.join(changed)} changed in {config_name}", removed=removed)
    found: dict[str, str] = {}
    for name, image in head.config.images.items():
        before = base.config.images.get(name)
        if before is None:
            found[name] = f"new in {config_name}"
        elif before != image:
            keys = [key for key in type(image).model_fields if getattr(before, key) != getattr(image, key)]
            found[name] = f"its {', '.join(keys)} changed in {config_name}"
        elif base.config.release.budgets.get(name) != head.config.release.budgets.get(name):
            found[name] = f"its release budgets changed in {config_name}"
        elif base.baseline.entries(name) != head.baseline.entries(name):
            found[name] = "its accepted values changed"
        elif base.approvals.of(name) != head.approvals.of(name):
            found[name] = "its approvals changed"
    return SettingsChange(images=found, removed=removed)
