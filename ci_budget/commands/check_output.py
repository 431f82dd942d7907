"""What `check` shows and leaves behind: progress, build logs, the report folder, the verdict."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping

import click

from ci_budget.commands.check_options import CheckOptions
from ci_budget.core.history.build_view import BuildView
from ci_budget.core.records.report import Report
from ci_budget.core.render.html.single import render_single
from ci_budget.core.render.json_text import render_json
from ci_budget.core.render.markdown import render_markdown
from ci_budget.core.render.text import render_text
from ci_budget.edges.build_log import BuildLog, FolderBuildLog, GroupedBuildLog, TeeBuildLog
from ci_budget.edges.files.output_file import write_output_file
from ci_budget.edges.files.report_files import ReportFolder
from ci_budget.edges.progress import Progress
from ci_budget.edges.reading_progress import is_live


def new_progress(options: CheckOptions) -> Progress:
    """Live on a terminal, plain lines in CI and in pipes."""
    return Progress(sys.stderr, live=is_live(sys.stderr), colour=_wants_colour(options, sys.stderr.isatty()))


def new_log(options: CheckOptions, folder: ReportFolder, image: str, *, in_actions: bool) -> BuildLog:
    """The build log: kept in the report folder; streamed in groups on GitHub, as it is with --verbose."""
    logs: list[BuildLog] = [FolderBuildLog(folder.log_folder(image))]
    if in_actions or options.verbose:
        logs.append(GroupedBuildLog(sys.stderr, image=image))
    return TeeBuildLog(logs)


def deliver(report: Report, folder: ReportFolder, options: CheckOptions, views: Mapping[str, BuildView]) -> None:
    """Write the report folder, and the output that was asked for. `views`: what the page draws of each build."""
    markdown = render_markdown(report, report_folder=str(folder.path))
    data = render_json(report)
    folder.write("report.json", data)
    folder.write("report.md", markdown)
    folder.write("report.html", render_single(report, views, report_folder=str(folder.path)))
    if options.sarif:
        from ci_budget.core.render.sarif import render_sarif

        folder.write("report.sarif", render_sarif(report))
    if options.junit:
        from ci_budget.core.render.junit import render_junit

        folder.write("junit.xml", render_junit(report))
    tty = sys.stdout.isatty()
    if options.format == "json":
        output = data
    elif options.format == "markdown":
        output = markdown
    else:
        output = render_text(
            report,
            width=min(shutil.get_terminal_size((100, 24)).columns, 140) if tty else 100,
            colour=_wants_colour(options, tty) and options.output is None,
            ascii_only=(sys.stdout.encoding or "").lower().replace("-", "") != "utf8",
            report_folder=str(folder.path),
        )
    if options.output is None:
        click.echo(output, nl=False, color=True if _wants_colour(options, tty) else None)
        return
    write_output_file(options.output, output)


def _wants_colour(options: CheckOptions, tty: bool) -> bool:
    if options.color != "auto":
        return options.color == "always"
    return tty and not os.environ.get("NO_COLOR")
