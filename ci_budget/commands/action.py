"""The inside of the GitHub action: inputs to arguments, `check`, then outputs, summary and annotations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from ci_budget.core.action_inputs import read_inputs
from ci_budget.core.action_outputs import outputs_of
from ci_budget.core.plain_text import plain_lines
from ci_budget.core.render.annotations import render_annotations
from ci_budget.core.report import SCHEMA_VERSION, Report
from ci_budget.core.stored import parse_stored
from ci_budget.core.workflow_text import format_annotation
from ci_budget.edges.github import GitHubContext
from ci_budget.errors import CiBudgetError, ExitCode, UnmeasuredError

LARGEST_REPORT = 256 * 1024 * 1024
"""Bytes of report.json that are read."""


def run_action(
    *,
    environ: Mapping[str, str],
    context: GitHubContext,
    check: Callable[[Sequence[str]], int],
    out: TextIO,
) -> int:
    """Run `check` as the workflow asked and hand its result to GitHub; returns the exit code.

    `check` takes the arguments of `ci-budget check`, returns its exit code, and raises CiBudgetError
    for what ended it early. Outputs are set whatever happened.
    """
    folder = _default_folder(context)
    code: int = ExitCode.BUG
    report: Report | None = None
    try:
        inputs = read_inputs(environ)
        folder = Path(inputs.report_dir) if inputs.report_dir else folder
        arguments = [*inputs.arguments] if inputs.report_dir else [*inputs.arguments, f"--report={folder}"]
        before = _stamp(folder)
        code = check(arguments)
        report = _read_report(folder) if _stamp(folder) not in (None, before) else None
        if report is None and code == ExitCode.OK:
            raise UnmeasuredError("the check ended well and yet left no report; this is no pass")
        if report is not None and inputs.annotations:
            out.write(render_annotations(report))
        if inputs.summary:
            context.write_summary(_summary(folder, report, code))
    except CiBudgetError as error:
        code = error.exit_code
        out.write(f"{plain_lines(f'Error: {error}')}\n")
        out.write(f"{format_annotation('error', plain_lines(str(error)), title='ci-budget', file=error.file)}\n")
        context.write_summary(f"### ci-budget: exit {int(code)}\n\n{_fenced(str(error))}\n")
    finally:
        out.flush()
        context.write_outputs(outputs_of(report, exit_code=code, report_dir=str(folder)))
    return code


def _default_folder(context: GitHubContext) -> Path:
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
