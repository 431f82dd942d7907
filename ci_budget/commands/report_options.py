"""`report` on the command line: its options, kept apart from its work so that `--help` loads nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from ci_budget.cli import LINES
from ci_budget.commands.check_options import complete_images

_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What was asked of `report`. `threshold` is in percent; `repository` None: GitHub's, else the local one."""

    config: Path | None = None
    history: str | None = None
    repository: str | None = None
    images: tuple[str, ...] = ()
    days: int = 30
    threshold: float = 10.0
    imports: tuple[Path, ...] = ()
    format: Literal["markdown", "json"] = "markdown"
    output: Path | None = None
    html: Path | None = None


@click.command(name="report", short_help="From the history: trends, drift, worst offenders.")
@click.option("--config", type=_FILE, help="The config.  [default: ci-budget.yml, here or above; it may be missing]")
@click.option("--history", metavar="URL", help="The database; overrides history.url.  [default: the state directory's]")
@click.option("--repository", metavar="OWNER/NAME", help="Whose runs.  [default: the CI job's own, else local runs]")
@click.option(
    "--image",
    "images",
    envvar="CI_BUDGET_REPORT_IMAGE",
    multiple=True,
    type=LINES,
    metavar="NAME",
    shell_complete=complete_images,
    help="Only this image; may be repeated.",
)
@click.option(
    "--days", type=click.IntRange(1, 3650), default=30, show_default=True, help="The days up to now that count."
)
@click.option(
    "--threshold",
    type=click.FloatRange(0.0, 10_000.0),
    default=10.0,
    show_default=True,
    metavar="PERCENT",
    help="Growth, or drift since the last release, from which an image is among the worst.",
)
@click.option(
    "--import",
    "imports",
    envvar="CI_BUDGET_REPORT_IMPORT",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="First record this report.json, or all below this folder; what is there already stays. May be repeated.",
)
@click.option(
    "--format", type=click.Choice(["markdown", "json"]), default="markdown", show_default=True, help="Of the output."
)
@click.option("--output", type=_FILE, help="Write the output to this file instead of the terminal.")
@click.option("--html", type=_FILE, help="Also write one self-contained HTML page, with charts, to this file.")
def command(**values: Any) -> int:
    """Show from the history how every image's figures move: trends, drift, the worst, and what changed when."""
    from ci_budget.commands.report import run_report

    return run_report(ReportOptions(**values))
