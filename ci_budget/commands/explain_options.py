"""`explain` on the command line: its options, kept apart from its work so that `--help` loads nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
from click.core import ParameterSource

from ci_budget.cli import Color, shell_of

_LOCAL = "local://"
_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, kw_only=True)
class ExplainOptions:
    """What was asked of `explain`. `platform`: which image of several, as `linux/arm64`. `top`: rows of each list."""

    image: str
    against: str | None
    config: Path | None
    platform: str | None
    format: Literal["text", "json", "markdown"]
    output: Path | None
    top: int
    fix_ignore: bool
    color: Color


@click.command(name="explain", short_help="Why an image is as large as it is.")
@click.argument("image")
@click.option("--against", metavar="IMAGE", help="The older image; then what changed between the two is told.")
@click.option("--config", type=_FILE, help="The config.  [default: ci-budget.yml, here or above]")
@click.option("--platform", help="Which image of an index with several, such as linux/arm64.")
@click.option(
    "--format", "form", envvar="CI_BUDGET_EXPLAIN_FORMAT", type=click.Choice(["text", "json", "markdown"]),
    default="text", show_default=True, help="Of the output."
)  # fmt: skip
@click.option("--output", type=_FILE, help="Write there instead of to standard output.")
@click.option("--top", type=click.IntRange(1, 1000), default=15, show_default=True, help="Rows of each list.")
@click.option("--fix-ignore", is_flag=True, help="Write the lines that the image's ignore file lacks, and end.")
@click.pass_context
def command(
    ctx: click.Context,
    image: str,
    against: str | None,
    config: Path | None,
    platform: str | None,
    form: Literal["text", "json", "markdown"],
    output: Path | None,
    top: int,
    fix_ignore: bool,
) -> int:
    """Why an image is as large as it is: steps, paths, packages and waste by size. Nothing is built.

    With --against: what changed since the older image, by package, version and path, and whose doing it is.

    IMAGE is a name in the config (its last report), a report's folder (FOLDER#NAME where it has several images), an
    inventory beside a baseline (.ci-budget/inventory/NAME.zst), local://NAME (an image of the engine), registry://NAME,
    oci-dir://FOLDER, or archive://FILE (as `docker save` writes it).
    """
    if against is not None and fix_ignore:
        raise click.UsageError("--fix-ignore is about one image: leave --against out", ctx)
    if fix_ignore:
        for name in ("form", "output", "platform", "top"):
            if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
                option = "--format" if name == "form" else f"--{name}"
                raise click.UsageError(f"--fix-ignore writes the ignore file and nothing else: leave {option} out", ctx)
    from ci_budget.edges.layers.reading_ahead import reading_ahead

    options = ExplainOptions(
        image=image,
        against=against,
        config=config,
        platform=platform,
        format=form,
        output=output,
        top=top,
        fix_ignore=fix_ignore,
        color=shell_of(ctx).color,
    )
    local = [name.removeprefix(_LOCAL) for name in (image, against or "") if name.startswith(_LOCAL)]
    with reading_ahead(local if not fix_ignore else []) as ahead:
        from ci_budget.commands.explain import run_explain  # takes as long to load as the layers to read

        return run_explain(options, ahead)
