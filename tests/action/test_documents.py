"""What the documents tell a reader to copy: workflows that linters accept, options that exist, an approvals file."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import click
import pytest
import yaml

from ci_budget.cli import cli
from ci_budget.core.gate.approvals import parse_approvals
from tests.action.conftest import REPOSITORY, run

pytestmark = pytest.mark.beside

DOCUMENTS = [REPOSITORY / "docs" / name for name in ("pull-requests.md", "elsewhere.md")]
TOOLS = Path(sys.executable).parent


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)


def test_the_workflow_for_many_images_is_clean(tmp_path: Path) -> None:
    (workflow,) = [block for block in blocks(DOCUMENTS[0], "yaml") if "jobs:" in block]
    file = tmp_path / "matrix.yml"
    file.write_text(workflow)
    for command in (["actionlint", file], ["zizmor", "--offline", "--no-config", "--color=never", file]):
        ran = run([TOOLS / str(command[0]), *command[1:]], env=os.environ, cwd=tmp_path)
        assert ran.exit_code == 0, ran.text
    jobs = yaml.safe_load(workflow)["jobs"]
    assert jobs["verdict"]["if"] == "always()"
    assert jobs["verdict"]["needs"] == ["plan", "gate"]


def test_the_approvals_file_is_one() -> None:
    (text,) = [block for block in blocks(DOCUMENTS[0], "yaml") if block.startswith("version: 1\napprovals:")]
    assert [given.image for given in parse_approvals(text.encode(), "x").approvals] == ["audio-voice"]


def test_the_gitlab_file_is_yaml_and_keeps_its_report() -> None:
    (text,) = blocks(DOCUMENTS[1], "yaml")
    job = yaml.safe_load(text)["build-budget"]
    assert job["artifacts"]["when"] == "always"
    assert job["artifacts"]["reports"]["junit"] == "ci-budget-report/junit.xml"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_has_the_options_that_are_written(path: Path) -> None:
    found = re.findall(r"ci-budget ((?:check|comment|merge|plan) [^`'\n]*--[^`'\n]*)", path.read_text())
    assert found
    for words in map(shlex.split, found):
        context = click.Context(cli)
        command = cli.get_command(context, words[0])
        assert command is not None
        known = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, words
