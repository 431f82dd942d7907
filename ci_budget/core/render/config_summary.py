"""What a config says, as text for a person and as data for a program."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ci_budget.core.config.model import Config, ImageConfig
from ci_budget.core.config.text import ParsedConfig
from ci_budget.core.records.metrics import GATED_BY_BASELINE, METRIC_NAMES, STAGE_METRIC_NAMES, metric_unit
from ci_budget.core.text.plain_text import one_line
from ci_budget.core.text.units import Tolerance, format_seconds, format_size, format_value

StageLines = Mapping[str, int]
"""The line of each stage's FROM, by the stage's name, in the order of the Dockerfile."""


def render_config(parsed: ParsedConfig, stages: Mapping[str, StageLines]) -> str:
    """The images with their stages and limits. `stages`: by image."""
    config = parsed.config
    count = len(config.images)
    disk = config.disk
    budget = f"budget {format_size(disk.budget)}, " if disk.budget is not None else ""
    blocks = [
        f"{one_line(parsed.file)} is valid: {count} image{'s' if count != 1 else ''}",
        f"disk: {disk.mode}, {budget}reserve {format_size(disk.reserve)}, free factor {_plain(disk.free_factor)}, "
        f"{disk.order}",
    ]
    blocks += [_image(config, name, stages[name]) for name in config.images]
    blocks += [f"note: {note}" for note in config_notes(config)]
    return "\n".join(blocks) + "\n"


def config_data(parsed: ParsedConfig, stages: Mapping[str, StageLines]) -> dict[str, Any]:
    """The same as plain data: sizes in bytes, durations in seconds."""
    config = parsed.config
    return {
        "valid": True,
        "file": parsed.file,
        "disk": {
            "mode": config.disk.mode,
            "budget": config.disk.budget,
            "reserve": config.disk.reserve,
            "free_factor": float(config.disk.free_factor),
            "order": config.disk.order,
        },
        "images": [_image_data(config, name, stages[name]) for name in config.images],
        "notes": config_notes(config),
    }


def config_notes(config: Config) -> list[str]:
    """What is allowed and yet probably not meant."""
    notes = []
    for name, image in config.images.items():
        disk = config.disk_budget_of(name)
        if disk is None and image.builder is None:
            notes.append(f"{name} has no disk budget; `check` needs disk.budget, or the image's own peak_disk budget")
        peak = image.budgets.peak_disk
        if disk is not None and isinstance(peak, int) and peak > disk:
            notes.append(
                f"{name} may peak at {format_size(peak)}, but its build may use {format_size(disk)} only; "
                "the disk budget is met first"
            )
    return notes


def limit_text(config: Config, name: str, metric: str, stage: str | None = None) -> str:
    """A metric's limits in words: `15.0 GB, tolerance 2%`."""
    budget = config.budget_of(name, metric, stage)
    tolerance = config.tolerance_of(name, metric, stage)
    if config.is_disabled(name, metric, stage):
        return "off"
    unit = metric_unit(metric)
    parts = [format_value(budget, unit)] if isinstance(budget, int) else []
    if isinstance(tolerance, Tolerance):
        parts.append(f"tolerance {tolerance_text(tolerance, metric)}")
    return ", ".join(parts)


def tolerance_text(tolerance: Tolerance, metric: str) -> str:
    """`2%`, `10.0 MB`, `2% or 10.0 MB`, `0`."""
    parts = [f"{_plain(tolerance.percent)}%"] if tolerance.percent else []
    if tolerance.amount:
        parts.append(format_value(tolerance.amount, metric_unit(metric)))
    return " or ".join(parts) or "0"


def _image(config: Config, name: str, stages: StageLines) -> str:
    image = config.images[name]
    target = f", target {image.target}" if image.target else ""
    rows = [("builds", f"{one_line(image.dockerfile_path)}{target}")]
    rows.append(("stages", ", ".join(f"{stage} (line {line})" for stage, line in stages.items())))
    disk = config.disk_budget_of(name)
    rows.append(("may use", format_size(disk) if disk is not None else "no disk budget given"))
    share = config.warn_share_of(name)
    if share is not None:
        rows.append(("warns", f"from {_plain(share)}% of a limit"))
    rows.append(("timeout", format_seconds(image.timeout)))
    rows += [(f"{metric}:", limit_text(config, name, metric)) for metric in _named_metrics(config, image)]
    for stage in image.stages:
        rows += [
            (f"{stage} {metric}:", limit_text(config, name, metric, stage)) for metric in _stage_metrics(image, stage)
        ]
    width = max(len(label) for label, _ in rows)
    return "\n".join([f"\n{name}", *(f"  {label:<{width}}  {text}" for label, text in rows)])


def _named_metrics(config: Config, image: ImageConfig) -> list[str]:
    given = set(image.budgets.named()) | set(image.tolerance.named()) | set(config.defaults.tolerance.named())
    return [metric for metric in METRIC_NAMES if metric in given or metric in GATED_BY_BASELINE]


def _stage_metrics(image: ImageConfig, stage: str) -> list[str]:
    limits = image.stage(stage)
    given = set(limits.budgets.named()) | set(limits.tolerance.named())
    return [metric for metric in STAGE_METRIC_NAMES if metric in given]


def _image_data(config: Config, name: str, stages: StageLines) -> dict[str, Any]:
    image = config.images[name]
    return {
        "name": name,
        "context": image.context_path,
        "dockerfile": image.dockerfile_path,
        "target": image.target,
        "disk_budget": config.disk_budget_of(name),
        "timeout": image.timeout,
        "limits": {metric: _limit_data(config, name, metric, None) for metric in _named_metrics(config, image)},
        "stages": [
            {
                "name": stage,
                "line": line,
                "limits": {metric: _limit_data(config, name, metric, stage) for metric in _stage_metrics(image, stage)},
            }
            for stage, line in stages.items()
        ],
    }


def _limit_data(config: Config, name: str, metric: str, stage: str | None) -> dict[str, Any]:
    budget = config.budget_of(name, metric, stage)
    tolerance = config.tolerance_of(name, metric, stage)
    return {
        "budget": budget if isinstance(budget, int) else None,
        "tolerance": {"percent": float(tolerance.percent), "amount": tolerance.amount}
        if isinstance(tolerance, Tolerance)
        else None,
        "disabled": config.is_disabled(name, metric, stage),
    }


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
