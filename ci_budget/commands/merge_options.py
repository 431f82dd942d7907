"""`merge` on the command line: its options, kept apart from its work so that `--help` loads nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from ci_budget.cli import LINES


@dataclass(frozen=True, kw_only=True)
class MergeOptions:
    """What was asked of `merge`. `images` and `plan`: what the shards must report on; one of them is given."""

    places: tuple[Path, ...]
    images: tuple[str, ...] = ()
    plan: Path | None = None
    report: Path | None = None
    form: Literal["text", "json", "markdown", "github"] = "text"


@click.command(name="merge", short_help="One verdict and one report from the shards of a matrix.")
@click.argument("places", nargs=-1, type=click.Path(path_type=Path), metavar="FOLDER...")
@click.option("--plan", type=click.Path(path_type=Path, dir_okay=False), help="What `plan --format json` printed.")
@click.option(
    "--image",
    "images",
    envvar="CI_BUDGET_MERGE_IMAGE",
    multiple=True,
    type=LINES,
    metavar="NAME",
    help="An image that was to be built; may be repeated.",
)
@click.option("--report", type=click.Path(path_type=Path, file_okay=False), help="Folder for report.json, report.md.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown", "github"]),
    default="text",
    show_default=True,
    help="github: text, and the step's outputs, summary and annotations.",
)
@click.pass_context
def command(ctx: click.Context, /, **values: Any) -> int:
    """Put the reports of a matrix's jobs together: one verdict, one exit code, one report for the comment.

    FOLDER is a report folder, or a folder of report folders as artifacts are downloaded. An image of the plan on
    which no shard reported is not measured: exit 3, never a pass.
    """
    options = MergeOptions(**values)
    if not options.places:
        raise click.UsageError("name the folder with the shards' reports", ctx)
    if (options.plan is None) == (not options.images):
        raise click.UsageError(
            "say what was to be built, by --plan or by --image, else a lost shard is not noticed", ctx
        )
    from ci_budget.commands.merge import run_merge

    return run_merge(options)
