"""The inside of the GitHub action: inputs to arguments, `check`, then outputs, summary and annotations."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import click

from ci_budget.core.action_outputs import outputs_of
from ci_budget.core.records.report import SCHEMA_VERSION, Report
from ci_budget.core.records.stored import parse_stored
from ci_budget.core.render.annotations import render_annotations
from ci_budget.core.text.plain_text import plain_lines, shorten
from ci_budget.core.text.workflow_text import format_annotation
from ci_budget.edges.github import GitHubContext, read_context
from ci_budget.errors import CiBudgetError, ConfigError, EndedRunError, ExitCode, UnmeasuredError

LARGEST_REPORT = 256 * 1024 * 1024
"""Bytes of report.json that are read."""


@click.command(name="action", hidden=True)
def command() -> int:
    """Run `check` for the GitHub action, which hands its inputs over as CI_BUDGET_CHECK_*."""
    return run_action(environ=os.environ, context=read_context(os.environ), check=_check, out=sys.stdout)


def _check(arguments: Sequence[str]) -> int:
    from ci_budget.cli import run_command

    try:
        return run_command(["check", *arguments])
    except click.ClickException as error:
        raise ConfigError(error.format_message()) from error


def run_action(
    *,
    environ: Mapping[str, str],
    context: GitHubContext,
    check: Callable[[Sequence[str]], int],
    out: TextIO,
) -> int:
    """Run `check` and hand its result to GitHub: outputs, summary, annotations; returns the exit code.

    `check` takes arguments beside those in the environment, returns the exit code, and raises CiBudgetError
    for what ended it early. Outputs are set whatever happened.
    """
    folder = Path()
    code: int = ExitCode.BUG
    report: Report | None = None
    try:
        summary, annotations = (_read_switch(environ, name) for name in ("summary", "annotations"))
        folder = _report_folder(environ, context)
        before = _stamp(folder)
        code = check([f"--report={folder}"])
        report = _read_report(folder) if _stamp(folder) not in (None, before) else None
        if report is None and code == ExitCode.OK:
            raise UnmeasuredError("the check ended well and yet left no report; this is no pass")
        if report is not None and annotations:
            out.write(render_annotations(report))
        if summary:
            context.write_summary(_summary(folder, report, code))
    except EndedRunError as error:
        code = error.exit_code
        out.write(f"{format_annotation('error', str(error), title='ci-budget')}\n")
        context.write_summary(f"### ci-budget: exit {int(code)}\n\n{_fenced(str(error))}\n")
    except CiBudgetError as error:
        code = error.exit_code
        message = plain_lines(error.what if error.mend is None else f"{error.what}\n{error.mend}")
        out.write(f"{format_annotation('error', message, title='ci-budget', file=error.file, line=error.line)}\n")
        context.write_summary(f"### ci-budget: exit {int(code)}\n\n{_fenced(str(error))}\n")
    finally:
        out.flush()
        context.write_outputs(outputs_of(report, exit_code=code, report_dir=str(folder)))
    return code


def _read_switch(environ: Mapping[str, str], name: str) -> bool:
    """An input of the action alone; not given is true."""
    value = environ.get(f"CI_BUDGET_ACTION_{name.upper()}", "").strip().lower()
    if value not in ("", "true", "false"):
        raise ConfigError(f"the input '{name}' is '{shorten(value)}'", mend=f"Write '{name}: true' or '{name}: false'.")
    return value != "false"


def _report_folder(environ: Mapping[str, str], context: GitHubContext) -> Path:
    given = environ.get("CI_BUDGET_CHECK_REPORT", "")
    if given:
        return Path(given)
    if context.runner_temp is None:
        raise UnmeasuredError("RUNNER_TEMP is not set", mend="`ci-budget action` runs in GitHub Actions; use `check`.")
    return context.runner_temp / "ci-budget-report"


def _stamp(folder: Path) -> tuple[int, int] | None:
    """What tells this run's report from one that lay there before; None where there is none."""
    try:
        status = (folder / "report.json").stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _read_report(folder: Path) -> Report:
    path = folder / "report.json"
    with path.open("rb") as file:
        data = file.read(LARGEST_REPORT + 1)
    return parse_stored(
        data,
        file=str(path),
        model=Report,
        kind="report",
        version=SCHEMA_VERSION,
        mend="Run the check again.",
        largest=LARGEST_REPORT,
    )


def _summary(folder: Path, report: Report | None, code: int) -> str:
    if report is None:
        return f"### ci-budget: exit {code}\n\nNothing was judged; the step's log says why.\n"
    return (folder / "report.md").read_text("utf-8", "replace")


def _fenced(text: str) -> str:
    """Untrusted text in a code block that it cannot end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{plain_lines(text)}\n{fence}"
