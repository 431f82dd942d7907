"""`report`: what the history says. Trends, drift, the worst offenders, what changed when."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from ci_budget.commands.build_views import build_views
from ci_budget.commands.history_recording import packed
from ci_budget.commands.optional_config import optional_config
from ci_budget.commands.report_options import ReportOptions
from ci_budget.core.history.build_view import BuildView, unpack_view
from ci_budget.core.history.measurement import (
    Measurement,
    Released,
    Run,
    measurements_of,
    read_mapping,
    read_setup,
    releases_of,
    run_of,
)
from ci_budget.core.history.overview import Overview, build_overview, wanted_runs
from ci_budget.core.history.trend import DAY, ImageTrend, Lookups, image_trends
from ci_budget.core.render.trend_json import render_trend_json
from ci_budget.core.render.trend_markdown import render_trend_markdown
from ci_budget.core.text.plain_text import plain_lines
from ci_budget.edges.files.output_file import write_output_file
from ci_budget.edges.files.report_files import RELEASE_NAME, find_reports, read_release, read_report
from ci_budget.edges.github import read_context
from ci_budget.edges.history.address import Address, history_address, kept_by_root
from ci_budget.edges.history.database import History, open_history
from ci_budget.edges.sites.state import root_state, state_directory
from ci_budget.errors import ExitCode, UnmeasuredError


def run_report(options: ReportOptions, now: datetime | None = None) -> int:
    """Import what was asked for, and print the report; returns the exit code.

    `now`: the end of the window, the present where left out. Raises UnmeasuredError when there is no history, nothing
    in it for these days, or it cannot be read; ConfigError for reports that cannot be imported.
    """
    found = optional_config(Path.cwd(), options.config)
    url = options.history or (found[0].config.history.url if found is not None else None)
    address = history_address(url, state_directory())
    repository = options.repository if options.repository is not None else read_context(os.environ).repository or ""
    if options.imports:
        _import(options.imports, address, repository)
    elif url is None:
        address = kept_by_root(address, root_state())
    with open_history(address, repository, write=False) as history:
        overview = _overview(history, address, repository, options, int((now or datetime.now(UTC)).timestamp()))
        views = _views(history, overview) if options.html is not None else {}
    if url is None and not options.imports:  # nobody named it, and nothing has said it yet
        click.echo(plain_lines(f"ci-budget: from the history {address.shown}"), err=True)
    if options.html is not None:
        from ci_budget.core.render.html.nightly import render_nightly  # slow to load

        write_output_file(options.html, render_nightly(overview, views))
        click.echo(f"HTML: {options.html}", err=True)
    text = render_trend_json(overview) if options.format == "json" else render_trend_markdown(overview)
    if options.output is not None:
        write_output_file(options.output, text)
    else:
        click.echo(text, nl=False)
    return ExitCode.OK


def _import(paths: Sequence[Path], address: Address, repository: str) -> None:
    """All reports in one transaction, after all of them were read: one that is damaged leaves nothing behind."""
    runs: list[tuple[Run, list[Measurement], Mapping[str, bytes]]] = []
    releases: list[Released] = []
    for file in (file for path in paths for file in find_reports(path)):
        report = read_report(file)
        views = packed(build_views(report, file.parent))
        runs.append((run_of(report, str(file)), measurements_of(report, str(file)), views))
        facts = read_release(file.parent)
        releases += releases_of(facts, str(file.parent / RELEASE_NAME)) if facts is not None else []
    with open_history(address, repository, write=True) as history:
        new = sum(history.record(*run) for run in sorted(runs, key=lambda run: run[0].started))
        history.record_releases(releases)
    total = sum(len(measured) for _, measured, _ in runs)
    click.echo(f"imported {new} new of {total} measurements from {len(runs)} reports into {address.shown}", err=True)


def _overview(history: History, address: Address, repository: str, options: ReportOptions, until: int) -> Overview:
    texts = history.texts()
    lookups = Lookups(
        setups={number: read_setup(text) for number, text in texts.items()},
        budgets={number: _budgets(text) for number, text in texts.items()},
    )
    releases = history.releases()
    most = _points(len(history.images()), wanted=options.html is not None)
    trends: list[ImageTrend] = []
    for image, rows in history.rows(until - options.days * DAY, options.images):
        trends += image_trends(image, rows, lookups, most_points=most, releases=releases.get(image, {}))
    if not trends:
        raise _nothing(history, address, repository, options)
    overview = build_overview(
        trends,
        repository=repository,
        until=until,
        days=options.days,
        threshold=options.threshold,
        history=address.shown,
    )
    return replace(overview, commits=history.commits(wanted_runs(overview)))


def _points(images: int, *, wanted: bool) -> int:
    if not wanted:
        return 3
    from ci_budget.core.render.html.nightly import points_for

    return points_for(images)


def _views(history: History, overview: Overview) -> dict[str, BuildView]:
    from ci_budget.core.render.html.nightly import built_images

    stored = history.builds(built_images(overview))
    return {name: view for name, data in stored.items() if (view := unpack_view(data)) is not None}


def _budgets(text: str) -> dict[str, int]:
    return {name: value for name, value in read_mapping(text).items() if isinstance(value, int)}


def _nothing(history: History, address: Address, repository: str, options: ReportOptions) -> UnmeasuredError:
    of = f" of {repository}" if repository else ""
    only = f" of {', '.join(options.images)}" if options.images else ""
    others = [name or "local runs (--repository '')" for name in history.repositories() if name != repository]
    elsewhere = f" It has runs of {', '.join(others[:5])}: name one with --repository." if others else ""
    return UnmeasuredError(
        f"the history {address.shown} has no run{of}{only} in the last {options.days} days",
        mend=f"Give more --days, or record runs with `ci-budget check`.{elsewhere}",
    )
