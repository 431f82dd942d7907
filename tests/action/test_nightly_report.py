"""workflows/nightly-report.yml, run whole by act: measured, kept in the history, shown, and told in one issue."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.action.conftest import REPOSITORY, UNRELEASED, UPLOAD, Job, Project, Runner, run
from tests.engine_access import Engine
from tests.github_api.server import TOKEN, StandIn, serving

pytestmark = [pytest.mark.engine, pytest.mark.beside]

CONFIG = """\
version: 1
disk: {{budget: 200MB, reserve: 100MB}}
history: {{url: "sqlite:///{history}"}}
images:
  app: {{context: app, budgets: {{image_size: 1MB}}}}
"""


def test_a_night_that_fails_is_told_and_kept(
    project: Project, runner: Runner, engine: Engine, action_folder: Path, busybox_base: str, tmp_path: Path
) -> None:
    history = tmp_path / "history.sqlite"
    project.commit(
        {
            ".github/workflows/nightly-report.yml": (REPOSITORY / "workflows" / "nightly-report.yml").read_text(),
            "ci-budget.yml": CONFIG.format(history=history),
            "app/Dockerfile": f"FROM {busybox_base}\n",
        },
        "start",
    )
    event = tmp_path / "event.json"
    event.write_text("{}")
    state = StandIn()
    with serving(state) as address:
        state.base = address
        env = {name: engine.env[name] for name in ("PATH", "DOCKER_HOST", "DOCKER_CONFIG") if name in engine.env}
        env |= {"CI_BUDGET_STATE": os.environ["CI_BUDGET_STATE"], "UPLOADED_TO": str(tmp_path / "artifacts")}
        env |= {"CI_BUDGET_ISSUE_API_URL": address}
        command = [
            Path(sys.executable).parent / "act",
            "schedule",
            *("--json", "--no-cache-server", "--eventpath", event, "--secret", f"GITHUB_TOKEN={TOKEN}"),
            *("-P", "self-hosted=-self-hosted", "-P", "gpu=-self-hosted"),
            *("--local-repository", f"ci-budget/ci-budget@{UNRELEASED}={action_folder}"),
            *("--local-repository", f"{UPLOAD}={REPOSITORY / 'tests' / 'action' / 'upload-artifact'}"),
            *(word for name, value in env.items() for word in ("--env", f"{name}={value}")),
        ]
        ran = run(command, env={**engine.env, **runner.env}, cwd=project.folder)
    lines = [json.loads(line) for line in ran.text.splitlines() if line.startswith("{")]
    job = Job(exit_code=ran.exit_code, lines=lines, artifacts=tmp_path / "artifacts")
    assert job.exit_code == 1, job.text
    assert job.steps == {
        "Check out": "success",
        "Build, measure, compare every image": "failure",  # carried on from
        "Report and issue": "success",
        "Keep the reports and the build logs": "success",
        "What the gate said": "failure",
    }, job.text
    assert "acme/widgets#1: issue opened" in job.text
    assert [issue["title"] for issue in state.issues] == ["ci-budget: 1 image over the threshold"]
    assert "`app` (linux/" in state.issues[0]["body"]
    assert "verdict is fail" in state.issues[0]["body"]
    kept = tmp_path / "artifacts" / "ci-budget-nightly"
    assert "<html" in (kept / "nightly.html").read_text()
    assert json.loads((kept / "report.json").read_text())["verdict"] == "fail"
    assert history.stat().st_size > 0
    assert "image_size" in job.summaries()
