"""Killed at any moment: what is left, the next run finds and removes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.engine.background import running_check
from tests.engine.lanes import owned_ids
from tests.engine.leftovers import LeftoverWatch
from tests.engine.projects import Project


@pytest.fixture
def project(tmp_path: Path, busybox_base: str) -> Project:
    """A project whose build takes long."""
    made = Project(folder=tmp_path / "project")
    made.write("FROM test/busybox\nRUN dd if=/dev/zero of=/x bs=1M count=50 && sleep 300\n")
    return made


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_and_everything_is_cleaned_up(
    project: Project, leftovers: LeftoverWatch, number: signal.Signals, exit_code: int
) -> None:
    with running_check(project) as check:
        check.wait_for("RUN dd")
        check.process.send_signal(number)
        done = check.finish()

    assert done.exit_code == exit_code, done.stderr
    assert "everything was cleaned up" in done.stderr
    leftovers.assert_none()


def test_what_a_killed_run_leaves_is_removed_by_the_next(project: Project, leftovers: LeftoverWatch) -> None:
    with running_check(project) as check:
        check.wait_for("RUN dd")
        assert check.kill().exit_code == -signal.SIGKILL
    left = leftovers.new()
    assert any("mount" in line for line in left), "the kill left nothing, so this test shows nothing"

    project.write("FROM test/busybox\nRUN true\n")
    again = project.check()

    assert again.exit_code == 0, again.stdout + again.stderr
    assert "removed what the killed run" in again.stderr
    leftovers.assert_none()


def test_an_engine_that_ends_in_the_middle_is_no_fault_of_the_build(project: Project, leftovers: LeftoverWatch) -> None:
    with running_check(project) as check:
        check.wait_for("RUN dd")
        (ident,) = owned_ids(Path("/proc", str(check.process.pid)))
        os.kill(int(Path("/run/ci-budget", ident, "dockerd.pid").read_text()), signal.SIGKILL)
        done = check.finish()

    assert done.exit_code == 3, done.stdout + done.stderr
    assert done.image["failure"]["kind"] == "environment"
    assert "the engine ended, or answers no more, while it built" in done.image["failure"]["message"]
    leftovers.assert_none()
