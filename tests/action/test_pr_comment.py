"""workflows/pr-comment.yml, run whole by act against a GitHub on this machine: a fork's report becomes a comment."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_budget.core.render.comment import render_comment
from ci_budget.core.render.json_text import render_json
from tests.action.conftest import REPOSITORY, UNRELEASED, Job, Project, Runner, run
from tests.github_api.archives import archive
from tests.github_api.server import TOKEN, StandIn, serving, storage
from tests.unit.golden_reports import hostile_report

pytestmark = pytest.mark.beside

HEAD = "a" * 40
ADDRESS = "https://github.com/acme/widgets/actions/runs/99"


@pytest.fixture
def github() -> Iterator[tuple[StandIn, str]]:
    """acme/widgets with mallory's pull request, whose run left a report full of hostile text."""
    state = StandIn()
    with serving(state) as address, storage(state) as archives:
        state.base, state.storage = address, archives
        state.add_pull(7, HEAD)
        state.add_artifact(99, "ci-budget-report", archive({"report.json": render_json(hostile_report()).encode()}))
        yield state, address


def test_a_forks_report_becomes_a_comment(
    tmp_path: Path, action_folder: Path, runner: Runner, github: tuple[StandIn, str]
) -> None:
    state, address = github
    folder = tmp_path / "widgets"
    folder.mkdir()
    project = Project(folder=folder, env={**os.environ, "HOME": str(tmp_path)})
    project.git("init", "--quiet", "--initial-branch=main")
    project.git("remote", "add", "origin", "https://github.com/acme/widgets.git")
    workflow = (REPOSITORY / "workflows" / "pr-comment.yml").read_text()
    project.commit({".github/workflows/pr-comment.yml": workflow}, "start")
    event = tmp_path / "event.json"
    started_by = {
        "id": 99,
        "event": "pull_request",
        "conclusion": "failure",
        "head_sha": HEAD,
        "head_branch": "change",
        "head_repository": {"full_name": "mallory/widgets", "owner": {"login": "mallory"}},
        "pull_requests": [],
    }
    event.write_text(json.dumps({"workflow_run": started_by}))
    command = [
        Path(sys.executable).parent / "act",
        "workflow_run",
        *("--json", "--no-cache-server", "--eventpath", event, "-P", "ubuntu-24.04=-self-hosted"),
        *("--local-repository", f"ci-budget/ci-budget@{UNRELEASED}={action_folder}"),
        *("--env", f"CI_BUDGET_COMMENT_API_URL={address}", "--secret", f"GITHUB_TOKEN={TOKEN}"),
    ]
    ran = run(command, env={**os.environ, **runner.env}, cwd=folder)
    lines = [json.loads(line) for line in ran.text.splitlines() if line.startswith("{")]
    job = Job(exit_code=ran.exit_code, lines=lines, artifacts=tmp_path)
    assert job.exit_code == 0, job.text
    assert job.steps == {"Comment on the pull request": "success"}
    assert "acme/widgets#7: comment created" in job.text
    assert state.bodies(7) == [render_comment(hostile_report(), address=ADDRESS, folder="ci-budget-report")]
    assert state.asked("POST") == ["/repos/acme/widgets/issues/7/comments"]
    assert job.commands("error") == []
