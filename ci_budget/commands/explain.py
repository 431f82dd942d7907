"""`explain`: why an image is as large as it is. Nothing is built."""

from __future__ import annotations

import os
import shutil
import sys

import click

from ci_budget.commands.explain_options import ExplainOptions
from ci_budget.commands.explained_images import ExplainedImage, find_image
from ci_budget.core.inventory.explanation import explain_inventory
from ci_budget.core.render.explanation import (
    render_explanation_json,
    render_explanation_markdown,
    render_explanation_text,
)
from ci_budget.edges.files.output_file import write_output_file
from ci_budget.edges.layers.reading_ahead import ReadingAhead
from ci_budget.edges.reading_progress import ReadingProgress, is_live
from ci_budget.errors import ExitCode


def run_explain(options: ExplainOptions, ahead: ReadingAhead) -> int:
    """Explain one image, or the difference between two; returns the exit code. `ahead`: the local ones, being read."""
    if options.fix_ignore:
        from ci_budget.commands.fix_ignore import fix_ignore  # heavy, and seldom needed

        return fix_ignore(options.config, options.image, say=lambda text: click.echo(text, nl=False))
    progress = ReadingProgress(sys.stderr, live=is_live(sys.stderr))
    if options.against is not None:
        from ci_budget.commands.explain_against import explain_difference  # as above

        write_output(explain_difference(options, options.against, ahead, progress), options)
        return ExitCode.OK
    found = find_image(options.image, config=options.config, platform=options.platform, ahead=ahead, progress=progress)
    write_output(_render(found, options), options)
    return ExitCode.OK


def write_output(text: str, options: ExplainOptions) -> None:
    """Print the text, or write it to the file that was named."""
    if options.output is None:
        click.echo(text, nl=False, color=True if _colour(options) else None)
        return
    write_output_file(options.output, text)


def _render(found: ExplainedImage, options: ExplainOptions) -> str:
    explanation = explain_inventory(found.name, found.inventory)
    if options.format == "json":
        return render_explanation_json(explanation, found.report)
    if options.format == "markdown":
        return render_explanation_markdown(explanation, found.report, top=options.top)
    tty = sys.stdout.isatty()
    return render_explanation_text(
        explanation,
        found.report,
        top=options.top,
        width=min(shutil.get_terminal_size((100, 24)).columns, 140) if tty else 100,
        colour=_colour(options) and options.output is None,
        ascii_only=(sys.stdout.encoding or "").lower().replace("-", "") != "utf8",
    )


def _colour(options: ExplainOptions) -> bool:
    if options.color != "auto":
        return options.color == "always"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
