"""`merge`: the shards' reports, read with suspicion, become one report."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from ci_budget.commands.merge_options import MergeOptions
from ci_budget.core.action_outputs import outputs_of
from ci_budget.core.merging import Shard, merge_shards
from ci_budget.core.render.annotations import render_annotations
from ci_budget.core.render.json_text import render_json
from ci_budget.core.render.markdown import render_markdown
from ci_budget.core.render.verdict_list import render_verdict_list
from ci_budget.edges.files.config_file import read_bounded
from ci_budget.edges.files.report_files import REPORT_NAME, ReportFolder, read_report
from ci_budget.edges.github import GitHubContext, read_context
from ci_budget.edges.sites.state import state_directory
from ci_budget.errors import CiBudgetError, ConfigError, ExitCode

MOST_SHARDS = 10_000
LARGEST_PLAN = 16_000_000
LARGEST_MARKDOWN = 300_000
"""Bytes of the summary; who reads on opens the report of the image."""

_DEEPEST = 3


def run_merge(options: MergeOptions) -> int:
    """Merge, write the report folder, print the result; returns the exit code. Raises CiBudgetError."""
    github = read_context(os.environ)
    expected = options.images or read_plan(options.plan or Path())
    if not expected and not any(place.exists() for place in options.places):
        click.echo("nothing to merge: the plan names no image to build")
        return ExitCode.OK
    shards, broken = read_shards(options.places)
    started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    report = merge_shards(shards, expected=expected, broken=broken, started=started)
    folder = ReportFolder.open(_folder(options, github))
    data = render_json(report)
    markdown = render_markdown(report, report_folder=str(folder.path), largest=LARGEST_MARKDOWN)
    folder.write(REPORT_NAME, data)
    folder.write("report.md", markdown)
    texts = {"json": data, "markdown": markdown}
    text = texts.get(options.form) or render_verdict_list(report, report_folder=str(folder.path))
    click.echo(text, nl=False)
    if options.form == "github":
        click.echo(render_annotations(report), nl=False)
        github.write_summary(markdown)
        github.write_outputs(outputs_of(report, exit_code=report.exit_code, report_dir=str(folder.path)))
    return report.exit_code


def read_shards(places: Sequence[Path]) -> tuple[list[Shard], list[str]]:
    """The reports below the places, and what is wrong with those that cannot be read.

    Raises ConfigError for a place that is not there, and for more than 10,000 reports.
    """
    shards: list[Shard] = []
    broken: list[str] = []
    for path in _report_files(places):
        if len(shards) + len(broken) == MOST_SHARDS:
            raise ConfigError(f"there are more than {MOST_SHARDS:,} reports below {places[0]}")
        try:
            shards.append(Shard(place=str(path.parent), report=read_report(path)))
        except CiBudgetError as error:
            broken.append(f"a shard's report cannot be read, so it has not passed: {path}: {error.what}")
    return shards, broken


def read_plan(path: Path) -> tuple[str, ...]:
    """The images to build of a plan in JSON. Raises ConfigError for anything else."""
    try:
        names = json.loads(read_bounded(path, LARGEST_PLAN))["touched"]
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return tuple(names)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise ConfigError("this is no plan of ci-budget", mend="`ci-budget plan --format json` prints one.", file=path)


def _report_files(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        if not place.exists():
            raise ConfigError(f"there is no folder {place}", mend="Download the shards' artifacts into it first.")
        if place.is_file() or (place / REPORT_NAME).is_file():
            yield place if place.is_file() else place / REPORT_NAME
            continue
        for folder, below, names in os.walk(place):  # follows no links
            here = Path(folder)
            if len(here.relative_to(place).parts) >= _DEEPEST:
                below.clear()
            below.sort()
            if REPORT_NAME in names:
                below.clear()
                yield here / REPORT_NAME


def _folder(options: MergeOptions, github: GitHubContext) -> Path:
    if options.report is not None:
        return options.report
    if github.runner_temp is not None and os.environ.get("CI"):
        return github.runner_temp / "ci-budget-merged"
    return state_directory() / "merged"
