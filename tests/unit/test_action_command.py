"""What the action does with the result of a check: outputs whatever happened, and never a pass without a report."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ci_budget.commands.action import run_action
from ci_budget.core.records.report import Report, Verdict
from ci_budget.edges.github import GitHubContext
from ci_budget.errors import BuildFailedError, ConfigError, TerminatedRunError
from tests.unit.test_action_outputs import image, report

Check = Callable[[Sequence[str]], int]


class Run:
    """One run of the action with a given check."""

    def __init__(self, folder: Path, check: Check, **environ: str) -> None:
        self.context = GitHubContext(
            in_actions=True, runner_temp=folder, output_file=folder / "outputs", summary_file=folder / "summary"
        )
        self.out = io.StringIO()
        self.exit_code: int | None = None
        try:
            self.exit_code = run_action(environ=environ, context=self.context, check=check, out=self.out)
        finally:
            written = (folder / "outputs").read_text().split("\n")
            self.outputs = dict(zip((line.split("<<")[0] for line in written[0::3]), written[1::3], strict=False))
        summary = folder / "summary"
        self.summary = summary.read_text() if summary.exists() else ""


def write(folder: Path, content: Report, markdown: str = "# the report\n") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(content.model_dump_json())
    (folder / "report.md").write_text(markdown)


def test_a_pass(tmp_path: Path) -> None:
    def check(arguments: Sequence[str]) -> int:
        assert arguments == [f"--report={tmp_path}/ci-budget-report"]
        write(tmp_path / "ci-budget-report", report(image("a")))
        return 0

    run = Run(tmp_path, check)
    assert (run.exit_code, run.summary, run.out.getvalue()) == (0, "# the report\n", "")
    assert (run.outputs["verdict"], run.outputs["exit-code"]) == ("pass", "0")
    assert run.outputs["report"] == f"{tmp_path}/ci-budget-report"


def test_a_failure_with_exit_zero_keeps_its_verdict(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"

    def check(arguments: Sequence[str]) -> int:
        assert arguments == [f"--report={folder}"]
        write(folder, report(image("a", exit_code=1, verdict=Verdict.FAIL), exit_code=1, verdict=Verdict.FAIL))
        return 0

    run = Run(tmp_path, check, CI_BUDGET_CHECK_REPORT=str(folder), CI_BUDGET_ACTION_SUMMARY="false")
    assert (run.exit_code, run.summary) == (0, "")
    assert (run.outputs["verdict"], run.outputs["exit-code"]) == ("fail", "0")


def test_the_report_of_an_earlier_step_is_not_taken_for_this_one(tmp_path: Path) -> None:
    write(tmp_path / "ci-budget-report", report(image("a")))
    run = Run(tmp_path, lambda _arguments: 0)
    assert run.exit_code == 3
    assert (run.outputs["verdict"], run.outputs["exit-code"], run.outputs["report"]) == ("not-measured", "3", "")
    assert run.out.getvalue() == (
        "::error title=ci-budget::the check ended well and yet left no report; this is no pass\n"
    )


def test_an_error_is_annotated_summed_up_and_set(tmp_path: Path) -> None:
    def check(_arguments: Sequence[str]) -> int:
        raise ConfigError("unknown key 'imges'\n```\n::error::x", mend="Write 'images'.", file="ci-budget.yml", line=3)

    run = Run(tmp_path, check)
    assert run.exit_code == 2
    assert (run.outputs["verdict"], run.outputs["exit-code"]) == ("not-measured", "2")
    assert run.out.getvalue() == (
        "::error title=ci-budget,file=ci-budget.yml,line=3::"
        "unknown key 'imges'%0A```%0A| ::error::x%0AWrite 'images'.\n"
    )
    assert run.summary == (
        "### ci-budget: exit 2\n\n"
        "````text\nci-budget.yml:3: unknown key 'imges'\n```\n| ::error::x\n  Write 'images'.\n````\n"
    )


@pytest.mark.parametrize(("error", "code"), [(TerminatedRunError("terminated"), 143), (BuildFailedError("no"), 4)])
def test_the_exit_code_is_the_error_s(tmp_path: Path, error: BaseException, code: int) -> None:
    def check(_arguments: Sequence[str]) -> int:
        raise error

    run = Run(tmp_path, check)
    assert (run.exit_code, run.outputs["exit-code"]) == (code, str(code))


def test_a_bug_sets_the_outputs_and_is_not_swallowed(tmp_path: Path) -> None:
    def check(_arguments: Sequence[str]) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Run(tmp_path, check)
    assert "exit-code<<" in (tmp_path / "outputs").read_text()
    assert "\n70\n" in (tmp_path / "outputs").read_text()


def test_a_report_that_is_cut_off_is_no_pass(tmp_path: Path) -> None:
    def check(_arguments: Sequence[str]) -> int:
        write(tmp_path / "ci-budget-report", report(image("a")))
        (tmp_path / "ci-budget-report" / "report.json").write_text('{"schema_version": 1, "verdict": "pa')
        return 0

    run = Run(tmp_path, check)
    assert (run.exit_code, run.outputs["verdict"]) == (2, "not-measured")
