"""`baseline`: show the accepted values, or accept those of a report."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from ci_budget.commands.optional_config import optional_config
from ci_budget.commands.own_folder import suggest_ignoring
from ci_budget.core.inventory.storage import LARGEST_COMPRESSED, parse_inventories, render_inventory
from ci_budget.core.records.baseline import Baseline, same_setup
from ci_budget.core.records.baseline_update import BaselineChange, accept_report
from ci_budget.core.render.baseline_text import render_baseline_text, render_update
from ci_budget.core.text.plain_text import plain_lines
from ci_budget.core.text.suggestion import suggest
from ci_budget.edges.files.baseline_file import baseline_path, change_baseline, read_baseline
from ci_budget.edges.files.baseline_inventories import write_baseline_inventory
from ci_budget.edges.files.config_file import check_files, find_config, read_bounded
from ci_budget.edges.files.report_files import INVENTORY_NAME, read_report
from ci_budget.errors import CiBudgetError, ConfigError, ExitCode


@dataclass(frozen=True, kw_only=True)
class ShowOptions:
    """What was asked of `baseline show`. Paths are as written; `image` None: all of them."""

    config: Path | None = None
    baseline: Path | None = None
    image: str | None = None


@dataclass(frozen=True, kw_only=True)
class UpdateOptions:
    """What was asked of `baseline update`. `raised`: the metrics whose higher values are accepted."""

    report: Path
    raised: tuple[str, ...] = ()
    config: Path | None = None
    baseline: Path | None = None


def show(options: ShowOptions) -> int:
    """Print the accepted values; returns the exit code. Raises ConfigError for a damaged file, an unknown image."""
    path = _path(options.config, options.baseline)
    baseline = read_baseline(path.parent, path) if path.exists() or options.baseline else Baseline()
    names = sorted(baseline.images)
    if options.image is not None and options.image not in names:
        hint = suggest(options.image, names, kind="images") if names else "record one with `ci-budget baseline update`"
        raise ConfigError(f"there is no baseline of '{options.image}'; {hint}", file=path)
    if not names:
        click.echo(
            f"There is no baseline yet ({path}); `ci-budget check`, then `ci-budget baseline update`, records one."
        )
        return ExitCode.OK
    chosen = names if options.image is None else [options.image]
    click.echo(render_baseline_text(baseline, chosen), nl=False)
    return ExitCode.OK


def update(options: UpdateOptions) -> int:
    """Accept a report's values and print what happened to each; returns the exit code.

    Raises ConfigError for a report that may not be accepted, and for a baseline that cannot be read or written.
    """
    report = read_report(options.report)
    path = _path(options.config, options.baseline)
    inventories = _inventories(options.report)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in inventories.items()}
    setups = {one.name: one.fingerprint for one in report.images if one.name in inventories and one.fingerprint}
    made: list[BaselineChange] = []

    def accept(before: Baseline) -> Baseline:
        after, changes = accept_report(before, report, raise_metrics=options.raised, inventories=hashes)
        made.extend(changes)
        for name, setup in setups.items():  # first, so that the baseline never names one that is not there
            entry = same_setup(after.entries(name), setup)
            if entry is not None and entry.inventory == hashes[name]:
                others = {one.inventory for one in after.entries(name) if one is not entry and one.inventory}
                write_baseline_inventory(path, name, setup, inventories[name], others=others)
        return after

    change_baseline(path, accept)
    click.echo(render_update(made, str(path)), nl=False)
    for hint in _hints(options.config, path, [image.name for image in report.images]):
        click.echo(plain_lines(hint))
    return ExitCode.OK


def _inventories(report: Path) -> dict[str, bytes]:
    """What the report's images are made of, ready to be stored; empty for a report without."""
    file = (report if report.is_dir() else report.parent) / INVENTORY_NAME
    if not os.path.lexists(file):
        return {}
    found = parse_inventories(read_bounded(file, LARGEST_COMPRESSED), str(file))
    return {name: render_inventory(inventory) for name, inventory in found.images.items()}


def _hints(config: Path | None, path: Path, names: Sequence[str]) -> list[str]:
    """Images that the config does not have, and what the ignore files lack; nothing where there is no config to tell
    them by."""
    hints: list[str] = []
    with contextlib.suppress(CiBudgetError):
        found = optional_config(Path.cwd(), config)
        if found is not None:
            strange = [name for name in names if name not in found[0].config.images]
            hints += [f"the config here has no image '{name}': nothing is compared with its values" for name in strange]
            hints += suggest_ignoring(path.resolve().parent, check_files(*found))
    return hints


def _path(config: Path | None, baseline: Path | None) -> Path:
    if baseline is not None:
        return baseline
    return baseline_path(find_config(Path.cwd(), config).resolve().parent, None)
