"""`baseline`: show the accepted values, or accept those of a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from ci_budget.core.records.baseline import Baseline
from ci_budget.core.records.baseline_update import BaselineChange, accept_report
from ci_budget.core.render.baseline_text import render_baseline_text, render_update
from ci_budget.core.text.suggestion import suggest
from ci_budget.edges.baseline_file import baseline_path, change_baseline, read_baseline
from ci_budget.edges.config_file import find_config
from ci_budget.edges.report_files import read_report
from ci_budget.errors import ConfigError, ExitCode


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
    made: list[BaselineChange] = []

    def accept(before: Baseline) -> Baseline:
        after, changes = accept_report(before, report, raise_metrics=options.raised)
        made.extend(changes)
        return after

    change_baseline(path, accept)
    click.echo(render_update(made, str(path)), nl=False)
    return ExitCode.OK


def _path(config: Path | None, baseline: Path | None) -> Path:
    if baseline is not None:
        return baseline
    return baseline_path(find_config(Path.cwd(), config).resolve().parent, None)
