"""`check` on the command line: its options, kept apart from its work so that `--help` loads nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from ci_budget.cli import LINES, Color, shell_of

Format = Literal["text", "json", "markdown"]
DiskMode = Literal["auto", "sandbox", "host"]


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """What was asked of `check`. Paths are as written, relative to the working directory.

    `images` empty: all of the config. `disk_mode`, `disk_budget`: None where the config decides.
    """

    config: Path | None = None
    images: tuple[str, ...] = ()
    context: Path | None = None
    file: Path | None = None
    target: str | None = None
    build_args: tuple[str, ...] = ()
    disk_mode: DiskMode | None = None
    disk_budget: str | None = None
    warm: bool = False
    against: str | None = None
    no_build: str | None = None
    baseline: Path | None = None
    require_baseline: bool = False
    report: Path | None = None
    sarif: bool = False
    junit: bool = False
    format: Format = "text"
    output: Path | None = None
    fail_on: Literal["fail", "warn"] = "fail"
    exit_zero: bool = False
    push: str | None = None
    load: bool = False
    export: Path | None = None
    color: Color = "auto"
    verbose: int = 0


_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


def complete_images(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The names of the config's images, for the shell's completion; none where the config cannot be read."""
    from ci_budget.edges.files.config_file import find_config, load_config
    from ci_budget.errors import CiBudgetError

    try:
        parsed = load_config(find_config(Path.cwd(), ctx.params.get("config")))
    except CiBudgetError:
        return []
    return [name for name in parsed.config.images if name.startswith(incomplete)]


@click.command(name="check", short_help="Build, measure, compare, report: the gate.")
@click.option("--config", type=_FILE, help="The config.  [default: ci-budget.yml, here or above]")
@click.option(
    "--image",
    "images",
    envvar="CI_BUDGET_CHECK_IMAGE",
    multiple=True,
    type=LINES,
    metavar="NAME",
    shell_complete=complete_images,
    help="Only this image of the config; may be repeated.",
)
@click.option("--context", type=_FOLDER, help="Context of one image, without a config or beside one --image.")
@click.option("--file", type=_FILE, help="Dockerfile of that image, relative to the working directory.")
@click.option("--target", metavar="STAGE", help="Stage of that image to build.")
@click.option(
    "--build-arg",
    "build_args",
    envvar="CI_BUDGET_CHECK_BUILD_ARG",
    multiple=True,
    type=LINES,
    metavar="NAME[=VALUE]",
    help="Build argument of that image; may be repeated.",
)
@click.option("--disk-mode", type=click.Choice(["auto", "sandbox", "host"]), help="Overrides disk.mode.")
@click.option("--disk-budget", metavar="SIZE", help="What a build may use, such as 15GB; overrides disk.budget.")
@click.option("--warm", is_flag=True, help="Reuse the build cache: quick, but measures no peak.")
@click.option("--against", metavar="REF", help="Build this revision too, and compare with it instead of the baseline.")
@click.option(
    "--no-build", metavar="IMAGE_REF", help="Judge this image of a registry (registry://HOST/NAME:TAG); build nothing."
)
@click.option("--baseline", type=_FILE, help="The baseline.  [default: .ci-budget/baseline.json]")
@click.option("--require-baseline", is_flag=True, help="A gated metric without a baseline is an error (exit 3).")
@click.option("--report", type=_FOLDER, help="Folder for report.json, report.md, report.html and the logs.")
@click.option("--sarif", is_flag=True, help="Write report.sarif as well, for code scanning.")
@click.option("--junit", is_flag=True, help="Write junit.xml as well: one test case a metric.")
@click.option(
    "--format",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="Of the output.",
)
@click.option("--output", type=_FILE, help="Write the output to this file instead of the terminal.")
@click.option(
    "--fail-on",
    type=click.Choice(["fail", "warn"]),
    default="fail",
    show_default=True,
    help="The verdict that exits 1.",
)
@click.option("--exit-zero", is_flag=True, help="Exit 0 where the gate says no; other errors keep their code.")
@click.option("--push", metavar="REF", help="Push the image that was measured.")
@click.option("--load", is_flag=True, help="Load the measured image into the runner's engine, as NAME:ci-budget.")
@click.option("--export", type=_FILE, help="Write the image that was measured to this archive.")
@click.pass_context
def command(ctx: click.Context, /, **values: Any) -> int:
    """Build every stage inside the disk budget, measure, compare with budgets and baselines, and report."""
    shell = shell_of(ctx)
    options = CheckOptions(**values, color=shell.color, verbose=shell.verbose)
    problem = contradiction(options)
    if problem is not None:
        raise click.UsageError(problem, ctx)
    from ci_budget.commands.check import run_check

    return run_check(options)


def contradiction(options: CheckOptions) -> str | None:
    """What in the options excludes each other, as a sentence; None where they agree."""
    single = {
        "--context": options.context,
        "--file": options.file,
        "--target": options.target,
        "--build-arg": options.build_args or None,
        "--push": options.push,
        "--export": options.export,
    }
    given = [name for name, value in single.items() if value is not None]
    if given and len(options.images) > 1:
        return f"{given[0]} is about one image, but --image names {len(options.images)}"
    if options.against is not None and options.baseline is not None:
        return "--against compares with a revision and --baseline with a file: give one of them"
    if options.no_build is not None:
        building = {
            **single,
            "--disk-mode": options.disk_mode,
            "--disk-budget": options.disk_budget,
            "--warm": options.warm or None,
            "--against": options.against,
            "--load": options.load or None,
        }
        given = [name for name, value in building.items() if value is not None]
        if given:
            return f"{given[0]} is for a build, and --no-build builds nothing"
    return None
