"""`release` on the command line: its options, kept apart from its work so that `--help` loads nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from ci_budget.cli import LINES

Format = Literal["text", "json", "markdown", "github"]


@dataclass(frozen=True, kw_only=True)
class ReleaseOptions:
    """What was asked of `release`. `last`: a tag of the same repository, registry://…, or a report; None: none."""

    candidate: str
    reports: tuple[str, ...]
    last: str | None = None
    config: Path | None = None
    format: Format = "text"


@click.command(name="release", short_help="The release gate: exactly the measured image, in its budgets.")
@click.argument("candidate", metavar="IMAGE_REF", envvar="CI_BUDGET_RELEASE_CANDIDATE")
@click.option(
    "--report",
    "reports",
    envvar="CI_BUDGET_RELEASE_REPORT",
    multiple=True,
    required=True,
    type=LINES,
    metavar="FOLDER",
    help="A report (its folder or report.json) that measured the image; repeat it for several platforms.",
)
@click.option(
    "--last",
    metavar="TAG|REF|REPORT",
    help="The last release: a tag of the same repository, registry://HOST/NAME:TAG, or the path of its report.",
)
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="The config.  [default: ci-budget.yml]")
@click.option(
    "--format",
    "form",
    envvar="CI_BUDGET_RELEASE_FORMAT",
    type=click.Choice(["text", "json", "markdown", "github"]),
    default="text",
    show_default=True,
    help="github: text, and the outputs and the summary of a workflow's step.",
)
def command(candidate: str, reports: tuple[str, ...], last: str | None, config: Path | None, form: Format) -> int:
    """Pass only an image of a registry that is the very one a passed report measured.

    Its config's digest must be the report's image_id; a rebuilt image is refused. Its values are then compared with
    the last release and with release.budgets of the config. Nothing is built, pushed or tagged; what the decision
    rests on is written to release.json beside the (first) report.
    """
    from ci_budget.commands.release import run_release

    options = ReleaseOptions(candidate=candidate, reports=reports, last=last, config=config, format=form)
    return run_release(options)
