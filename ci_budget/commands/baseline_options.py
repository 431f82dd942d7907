"""`baseline` on the command line: its options, kept apart from its work so that `--help` loads nothing else."""

from __future__ import annotations

from pathlib import Path

import click

from ci_budget.cli import LINES
from ci_budget.commands.check_options import complete_images

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(name="baseline", short_help="Show the accepted values, or accept a report's.")
def command() -> None:
    """Show the accepted values, or accept those of a report."""


@command.command(name="show")
@click.option("--config", type=_FILE, help="The config.  [default: ci-budget.yml, here or above]")
@click.option("--baseline", type=_FILE, help="The baseline.  [default: .ci-budget/baseline.json]")
@click.option("--image", metavar="NAME", shell_complete=complete_images, help="Only this image.")
def show_command(config: Path | None, baseline: Path | None, image: str | None) -> int:
    """Show the accepted values, image by image."""
    from ci_budget.commands.baseline import ShowOptions, show

    return show(ShowOptions(config=config, baseline=baseline, image=image))


@command.command(name="update")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    required=True,
    help="A report's folder, or its report.json; its run must have ended with 0 or 1.",
)
@click.option(
    "--raise",
    "raised",
    envvar="CI_BUDGET_BASELINE_UPDATE_RAISE",
    multiple=True,
    type=LINES,
    metavar="METRIC",
    help="Accept a higher value of this metric; may be repeated. Lower values are always accepted.",
)
@click.option("--config", type=_FILE, help="The config.  [default: ci-budget.yml, here or above]")
@click.option("--baseline", type=_FILE, help="The baseline.  [default: .ci-budget/baseline.json]")
def update_command(report: Path, raised: tuple[str, ...], config: Path | None, baseline: Path | None) -> int:
    """Accept the values of a report into the baseline."""
    from ci_budget.commands.baseline import UpdateOptions, update

    return update(UpdateOptions(report=report, raised=raised, config=config, baseline=baseline))
