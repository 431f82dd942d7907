"""Inputs that look like shell text, switches that are neither true nor false: run by act, through the real action."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.action.conftest import UNRELEASED, Act, Job, Project

pytestmark = [pytest.mark.engine, pytest.mark.beside]  # refused before anything is built

CONFIG = "version: 1\nimages:\n  app: {context: app}\n"


def run_gates(project: Project, act: Act, inputs: list[dict[str, str]]) -> Job:
    """One step of the action for each set of inputs; the last step prints the outputs of all of them."""
    gates = [
        {
            "name": f"gate {number}",
            "id": f"gate{number}",
            "continue-on-error": True,
            "uses": f"ci-budget/ci-budget@{UNRELEASED}",
            "with": given,
        }
        for number, given in enumerate(inputs)
    ]
    names = ("exit-code", "verdict", "report", "metrics-json")
    env = {
        f"GATE{number}": " ".join(f"${{{{ steps.gate{number}.outputs.{name} }}}}" for name in names)
        for number in range(len(inputs))
    }
    told = {"name": "outputs", "env": env, "run": "\n".join(f'echo "{name}=${name}"' for name in env)}
    workflow = {
        "on": "pull_request",
        "permissions": {},
        "jobs": {"gate": {"runs-on": ["self-hosted", "gpu"], "steps": [*gates, told]}},
    }
    project.commit(
        {
            ".github/workflows/w.yml": yaml.safe_dump(workflow),
            "ci-budget.yml": CONFIG,
            "app/Dockerfile": "FROM scratch\nCOPY . /\n",
        },
        "start",
    )
    project.propose({"app/x": "x\n"})
    job = act(project)
    assert job.exit_code == 0, job.text
    return job


def test_an_input_is_never_run(project: Project, act: Act, tmp_path: Path) -> None:
    pwned = tmp_path / "pwned"
    inputs = [
        {"config": f"$(touch {pwned})"},
        {"config": f"`touch {pwned}`; touch {pwned} #"},
        {"config": f"x\ntouch {pwned}\n"},
        {"image": f"app'; touch {pwned}; '\n$(touch {pwned})"},
        {"image": f'"; touch {pwned}; "'},
        {"image": "--config=/etc/passwd"},
        {"report-dir": f"app/$(touch {pwned})"},
        {"disk-mode": f"$(touch {pwned})"},
    ]
    job = run_gates(project, act, inputs)
    for number in range(len(inputs)):
        assert f"GATE{number}=2 not-measured  {{}}" in job.text, job.text
    assert not pwned.exists()
    assert not list(project.folder.rglob("*pwned*"))


def test_a_switch_is_true_or_false(project: Project, act: Act) -> None:
    job = run_gates(project, act, [{"warm": "ture", "summary": "false"}, {"annotations": "yes please"}])
    assert "GATE0=2 not-measured  {}" in job.text
    assert "GATE1=2 not-measured  {}" in job.text
    assert "'ture' is not a valid boolean" in job.text
    assert "the input 'annotations' is 'yes please'" in job.text
