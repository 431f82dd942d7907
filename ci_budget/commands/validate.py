"""`validate`: is the config right, and do the files and stages that it names exist? Needs no engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ci_budget.core.config.text import ConfigProblemsError
from ci_budget.core.render.config_summary import config_data, render_config
from ci_budget.edges.files.config_file import check_files, find_config, load_config
from ci_budget.errors import ConfigError, ExitCode


@click.command(name="validate", short_help="Check the config, without an engine.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The config.  [default: ci-budget.yml, here or above]",
)
@click.option(
    "--format", "form", envvar="CI_BUDGET_VALIDATE_FORMAT", type=click.Choice(["text", "json"]), default="text",
    show_default=True, help="Of the output."
)  # fmt: skip
def command(config: Path | None, form: str) -> int:
    """Check the config: keys, values, and the folders, Dockerfiles and stages that it names."""
    try:
        click.echo(validate(config, Path.cwd(), form), nl=False)
    except ConfigError as error:
        if form == "json":
            click.echo(json.dumps({"valid": False, "problems": problem_data(error)}, indent=2))
        raise
    return ExitCode.OK


def validate(config: Path | None, start: Path, form: str) -> str:
    """What the config says, as text or JSON. Raises ConfigError when something is wrong with it."""
    path = find_config(start, config)
    parsed = load_config(path, _shown(path, start))
    files = check_files(parsed, path.absolute().parent)
    stages = {image.name: {stage.name: stage.line for stage in image.parsed.stages} for image in files}
    if form == "json":
        return json.dumps(config_data(parsed, stages), indent=2) + "\n"
    return render_config(parsed, stages)


def problem_data(error: ConfigError) -> list[dict[str, Any]]:
    """What is wrong, one entry for each problem."""
    if isinstance(error, ConfigProblemsError):
        return [{"file": error.file, "line": one.line, "message": one.message} for one in error.problems]
    return [{"file": error.file, "line": error.line, "message": error.what}]


def _shown(path: Path, start: Path) -> str:
    """The path relative to the working directory where it lies below it: messages show it."""
    try:
        return str(path.relative_to(start.resolve()))
    except ValueError:
        return str(path)
