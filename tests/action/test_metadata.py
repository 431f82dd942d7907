"""action.yml and the workflows as files: complete, wired right, and clean for the linters."""

from __future__ import annotations

import os
import re
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci_budget.commands.check_options import command as check
from ci_budget.commands.comment_options import command as comment
from ci_budget.commands.merge_options import command as merge
from ci_budget.commands.plan import command as plan
from ci_budget.commands.release_options import command as release
from ci_budget.commands.report_options import command as report
from ci_budget.core.action_outputs import outputs_of
from tests.action.conftest import REPOSITORY, run

pytestmark = pytest.mark.beside

ACTIONS = [
    REPOSITORY / "action.yml",
    *(REPOSITORY / "action" / name / "action.yml" for name in ("plan", "comment", "release", "merge", "report")),
]
WORKFLOWS = sorted([*REPOSITORY.glob("workflows/*.yml"), *REPOSITORY.glob(".github/workflows/*.yml")])
TOOLS = Path(sys.executable).parent

WRITES = {
    "pr-comment.yml": {("pull-requests", "write")},
    "release-gate.yml": {("packages", "write")},
    "nightly-report.yml": {("issues", "write")},
}
"""The rights to write, by workflow."""

OWN_INPUTS = {"summary", "annotations"}
"""Inputs about GitHub, which the command line has no use for."""

COMMENT_INPUTS = {"comment", "comment-key", "github-token"}
"""Inputs of the step that comments."""

TWINS = {"build-args": "build-arg", "report-dir": "report"}
"""Inputs whose option is called otherwise."""


def load(path: Path) -> dict[Any, Any]:
    data = yaml.safe_load(path.read_text())
    assert isinstance(data, dict)
    return data


def options_of(command: Any) -> set[str]:
    return {name.removeprefix("--") for parameter in command.params for name in parameter.opts}


def wiring(path: Path) -> dict[str, str]:
    """The environment of the action's first step: variable to input."""
    step = load(path)["runs"]["steps"][0]
    found = {}
    for name, value in step["env"].items():
        match = re.fullmatch(r"\$\{\{ (?:inputs\.([a-z-]+)|github\.action_path) \}\}", value)
        assert match is not None, value
        if match[1]:
            found[name] = match[1]
    return found


def test_every_input_is_an_option_of_check_and_every_option_an_input() -> None:
    inputs = set(load(ACTIONS[0])["inputs"])
    assert {TWINS.get(name, name) for name in inputs - OWN_INPUTS - COMMENT_INPUTS} == options_of(check)


def test_every_input_reaches_the_program_through_the_environment() -> None:
    expected = {}
    for name in set(load(ACTIONS[0])["inputs"]) - COMMENT_INPUTS:
        prefix = "CI_BUDGET_ACTION_" if name in OWN_INPUTS else "CI_BUDGET_CHECK_"
        expected[prefix + TWINS.get(name, name).upper().replace("-", "_")] = name
    assert wiring(ACTIONS[0]) == expected


def test_the_inputs_of_plan_are_options_of_plan() -> None:
    assert wiring(ACTIONS[1]) == {
        f"CI_BUDGET_PLAN_{name.upper()}": name for name in ("config", "base", "all", "shards")
    }
    assert set(load(ACTIONS[1])["inputs"]) == options_of(plan) - {"format"}


def test_the_inputs_of_release_are_options_of_release() -> None:
    names = set(load(ACTIONS[3])["inputs"])
    twins = {"image": "candidate"}
    assert wiring(ACTIONS[3]) == {f"CI_BUDGET_RELEASE_{twins.get(name, name).upper()}": name for name in names}
    assert {twins.get(name, name) for name in names} == options_of(release) - {"format"}


def test_the_inputs_of_comment_are_options_of_comment() -> None:
    names = set(load(ACTIONS[2])["inputs"]) - {"github-token"}
    expected = {f"CI_BUDGET_COMMENT_{name.upper().replace('-', '_')}": name for name in names}
    assert wiring(ACTIONS[2]) == {**expected, "GITHUB_TOKEN": "github-token"}
    assert names == options_of(comment) - {"repository", "api-url"}  # those of the run


def test_the_inputs_of_merge_and_report_are_options() -> None:
    assert wiring(ACTIONS[4]) == {
        "CI_BUDGET_MERGE_FOLDER": "folder",  # the argument
        "CI_BUDGET_MERGE_IMAGE": "image",
        "CI_BUDGET_MERGE_REPORT": "report-dir",
    }
    assert {"image", "report"} <= options_of(merge)
    names = ("config", "history", "days", "threshold", "html")
    assert wiring(ACTIONS[5]) == {f"CI_BUDGET_REPORT_{name.upper()}": name for name in names}
    assert set(names) <= options_of(report)


def test_the_build_never_sees_the_token_and_a_failed_comment_changes_no_result() -> None:
    check_step, comment_step = load(ACTIONS[0])["runs"]["steps"]
    assert not [value for value in check_step["env"].values() if "token" in value]
    assert comment_step["env"]["GITHUB_TOKEN"] == "${{ inputs.github-token }}"
    assert comment_step["env"]["CI_BUDGET_COMMENT_REPORT"] == "${{ steps.check.outputs.report || 'none' }}"
    assert (comment_step["continue-on-error"], comment_step["if"]) == (True, "always() && inputs.comment == 'true'")


def test_every_output_is_set_and_every_set_output_declared() -> None:
    declared = load(ACTIONS[0])["outputs"]
    assert set(declared) == set(outputs_of(None, exit_code=3, report_dir="x"))
    assert {name: output["value"] for name, output in declared.items()} == {
        name: f"${{{{ steps.check.outputs.{name} }}}}" for name in declared
    }


@pytest.mark.parametrize("path", [*ACTIONS, *WORKFLOWS], ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_script_holds_an_expression(path: Path) -> None:
    data = load(path)
    steps = (
        data["runs"]["steps"] if "runs" in data else [step for job in data["jobs"].values() for step in job["steps"]]
    )
    assert steps
    for step in steps:
        # a path of the matrix or of the action's own folder included: there are no exceptions to think about
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_workflows_have_few_rights_pinned_actions_and_an_end(path: Path) -> None:
    data = load(path)
    assert data["permissions"] == {}
    assert "concurrency" in data
    for job in data["jobs"].values():
        assert set(job["permissions"].items()) <= {(name, "read") for name in job["permissions"]} | WRITES.get(
            path.name, set()
        )
        assert job["timeout-minutes"] <= 120
        for step in job["steps"]:
            if "uses" in step and not step["uses"].startswith("./"):
                assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", step["uses"])
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_the_commenting_workflow_checks_out_nothing_and_runs_nothing_of_the_pull_request() -> None:
    data = load(REPOSITORY / "workflows" / "pr-comment.yml")
    (step,) = data["jobs"]["comment"]["steps"]
    assert step["uses"].startswith("ci-budget/ci-budget/action/comment@")
    assert data[True] == {"workflow_run": {"workflows": ["pr-check"], "types": ["completed"]}}
    assert load(REPOSITORY / "workflows" / "pr-check.yml")["name"] == "pr-check"


def test_the_pull_request_workflow_runs_for_every_pull_request_on_the_gpu_runner() -> None:
    data = load(REPOSITORY / "workflows" / "pr-check.yml")
    assert data[True] == {"pull_request": None, "merge_group": None}  # YAML reads the key `on` as true
    assert data["jobs"]["gate"]["runs-on"] == ["self-hosted", "gpu"]
    checkout = next(
        step for step in data["jobs"]["gate"]["steps"] if step.get("uses", "").startswith("actions/checkout@")
    )
    assert checkout["with"]["fetch-depth"] == 2


def test_actionlint_is_clean() -> None:
    assert shutil.which("shellcheck"), "actionlint checks scripts with shellcheck; make test-tools installs it"
    labels = REPOSITORY / ".github" / "actionlint.yaml"
    ran = run([TOOLS / "actionlint", "-config-file", labels, *WORKFLOWS], env=os.environ, cwd=REPOSITORY)
    assert (ran.exit_code, ran.text) == (0, "")


def test_actionlint_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "runs-onn:"))
    ran = run([TOOLS / "actionlint", wrong], env=os.environ, cwd=tmp_path)
    assert (ran.exit_code, "runs-onn" in ran.text) == (1, True)


def zizmor(*paths: Path) -> tuple[int, str]:
    ran = run(
        [TOOLS / "zizmor", "--offline", "--no-config", "--persona=pedantic", "--color=never", *paths],
        env=os.environ,
        cwd=REPOSITORY,
    )
    return ran.exit_code, ran.text


def test_zizmor_is_clean_in_its_pedantic_mode() -> None:
    exit_code, text = zizmor(*ACTIONS, *WORKFLOWS)
    assert exit_code == 0, text
    for path in (*ACTIONS, *WORKFLOWS):
        assert f"completed {path}" in text


def test_zizmor_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "action.yml"
    wrong.write_text(ACTIONS[0].read_text().replace("run: exec", "run: echo ${{ inputs.config }}; exec"))
    exit_code, text = zizmor(wrong)
    assert (exit_code != 0, "template-injection" in text) == (True, True)


def test_no_suppression_without_a_written_reason() -> None:
    found = []
    for path in (*ACTIONS, *WORKFLOWS):
        lines = path.read_text().splitlines()
        for before, line in pairwise(lines):
            if "zizmor: ignore" in line:
                found.append((path.name, line.strip()))
                assert before.strip().startswith("# zizmor: "), line
    assert found == [("pr-comment.yml", "workflow_run: # zizmor: ignore[dangerous-triggers]")]
    assert not [*REPOSITORY.glob("zizmor.y*ml"), *REPOSITORY.glob(".github/zizmor.y*ml")]


def test_shellcheck_is_clean() -> None:
    ran = run(["shellcheck", REPOSITORY / "action" / "run.sh"], env=os.environ, cwd=REPOSITORY)
    assert (ran.exit_code, ran.text) == (0, "")


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock", "requirements-dev.lock"])
def test_locks_have_hashes_and_name_no_host(name: str) -> None:
    text = (REPOSITORY / name).read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", text)[1:]
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9.-]+==\S+ ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


def test_the_lock_covers_the_dependencies_of_the_project() -> None:
    import tomllib

    needed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    locked = set(re.findall(r"^([a-z0-9.-]+)==", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE))
    assert {re.split(r"[<>=~! \[]", one)[0].lower().replace("_", "-") for one in needed} <= locked
