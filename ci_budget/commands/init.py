"""`init`: a first config, from the Dockerfiles in the repository."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from ci_budget.commands.own_folder import suggest_ignoring
from ci_budget.core.config.starter import render_starter
from ci_budget.core.config.text import parse_config
from ci_budget.core.records.baseline import DEFAULT_PATH
from ci_budget.core.text.plain_text import plain_lines
from ci_budget.edges.files.config_file import CONFIG_NAMES, check_files, repository_root
from ci_budget.edges.files.dockerfile_search import find_dockerfiles
from ci_budget.errors import ConfigError, ExitCode


@click.command(name="init", short_help="Start a config from the repository's Dockerfiles.")
@click.option("--force", is_flag=True, help="Overwrite the config that is there.")
def command(force: bool) -> int:
    """Write ci-budget.yml at the repository's root, with an image for each Dockerfile that is found."""
    click.echo(plain_lines(init(Path.cwd(), force=force)))
    return ExitCode.OK


def init(start: Path, *, force: bool) -> str:
    """Write the config; returns what to tell. Raises ConfigError where one is there, or no Dockerfile is found."""
    root = repository_root(start)
    path = next((root / name for name in CONFIG_NAMES if os.path.lexists(root / name)), root / CONFIG_NAMES[0])
    if os.path.lexists(path) and not force:
        raise ConfigError(f"{path} exists already", mend="`ci-budget init --force` overwrites it.")
    search = find_dockerfiles(root)
    if not search.found:
        reasons = "".join(f"\n  left out: {reason}" for reason in search.left_out)
        raise ConfigError(
            f"there is no Dockerfile in {root}{reasons}",
            mend="`ci-budget check --context FOLDER --file DOCKERFILE` gates one that lies elsewhere.",
        )
    text = render_starter(search.found, root.name)
    images = check_files(parse_config(text, str(path)), root)
    _write(path, text, overwrite=force)
    count = len(search.found)
    lines = [f"wrote {path} with {count} image{'s' if count != 1 else ''}:"]
    lines += [f"  {one.path} (context {one.context}{_target(one.target)})" for one in search.found]
    lines += [f"left out: {reason}" for reason in search.left_out]
    lines += suggest_ignoring((root / DEFAULT_PATH).parent, images)
    lines.append("next: `ci-budget check` builds and measures; then set budgets from what it shows")
    return "\n".join(lines)


def _target(target: str | None) -> str:
    return f", target {target}" if target is not None else ""


def _write(path: Path, text: str, *, overwrite: bool) -> None:
    """The whole file or nothing; a file that appeared meanwhile is kept."""
    try:
        handle, name = tempfile.mkstemp(prefix=".ci-budget-", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            temporary.chmod(0o644)
            if overwrite:
                temporary.replace(path)
            else:
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise ConfigError(f"{path} exists already", mend="`ci-budget init --force` overwrites it.") from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
