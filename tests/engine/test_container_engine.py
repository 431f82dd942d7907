"""The sandbox of a user who only has the Docker socket: in a privileged container, with root's figures and clean-up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engine.leftovers import LeftoverWatch
from tests.engine.projects import MB, Project
from tests.engine_access import CLONE, Engine

NOBODY = 65534
DOCKERFILE = (
    "FROM test/busybox\n"
    "RUN dd if=/dev/zero of=/big bs=1M count=200 && sync && rm /big && dd if=/dev/zero of=/kept bs=1M count=16\n"
)


@dataclass(frozen=True, kw_only=True)
class SocketUser:
    """How to be a user without root whose only right is the group of the engine's socket."""

    prefix: tuple[str, ...]
    env: dict[str, str]


@pytest.fixture
def socket_user(engine: Engine, tmp_path: Path) -> Iterator[SocketUser]:
    """`nobody`, with an interpreter, a docker configuration and a project folder that it may use."""
    socket = Path(engine.docker_host.removeprefix("unix://"))
    home = tmp_path / "home"
    shutil.copytree(Path(engine.env["DOCKER_CONFIG"]) / "cli-plugins", home / ".docker" / "cli-plugins")
    (tmp_path / "project").mkdir()
    (tmp_path / "project-report").mkdir()
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    opened = [folder for folder in (tmp_path, *tmp_path.parents) if folder.stat().st_mode & 0o001 == 0]
    for folder in opened:
        folder.chmod(folder.stat().st_mode | 0o011)
    site = Path(sys.modules["yaml"].__file__ or "").resolve().parent.parent
    yield SocketUser(
        prefix=("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", f"--groups={socket.stat().st_gid}"),
        env={
            "HOME": str(home),
            "DOCKER_CONFIG": str(home / ".docker"),
            "PYTHONPATH": f"{CLONE}:{site}",
            "CI_BUDGET_STATE": "",
        },
    )


def _command(project: Project) -> list[str]:
    """As `Project.command`, with an interpreter that other users may run."""
    return ["/usr/bin/python3", "-P", *project.command()[1:]]


def _check(project: Project, user: SocketUser) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*user.prefix, *_command(project)],
        cwd=project.folder,
        env={**os.environ, **user.env},
        capture_output=True,
        text=True,
        timeout=280,
    )


def test_the_figures_are_those_of_root(
    socket_user: SocketUser, tmp_path: Path, busybox_base: str, leftovers: LeftoverWatch
) -> None:
    project = Project(folder=tmp_path / "project")
    project.write(DOCKERFILE)

    done = _check(project, socket_user)

    assert done.returncode == 0, done.stdout + done.stderr
    found = project.result(done.returncode, done.stdout)
    assert found.image["disk"]["mode"] == "sandbox"
    assert found.image["disk"]["enforced"] is True
    assert found.image["disk"]["reason"] == "in a privileged container by the Docker socket"
    assert (project.report_folder / "report.json").stat().st_uid == NOBODY
    leftovers.assert_none()

    shutil.rmtree(project.report_folder)
    own = project.check()
    peaks = [result.metric("peak_disk")["value"] for result in (found, own)]
    assert abs(peaks[0] - peaks[1]) <= max(MB, 0.001 * peaks[1])
    assert found.image["fingerprint"] == own.image["fingerprint"]


def test_the_ceiling_holds(
    socket_user: SocketUser, tmp_path: Path, busybox_base: str, leftovers: LeftoverWatch
) -> None:
    project = Project(folder=tmp_path / "project")
    project.write("FROM test/busybox\nRUN dd if=/dev/zero of=/x bs=1M count=1200\n")

    done = _check(project, socket_user)

    assert done.returncode == 1, done.stdout + done.stderr
    assert project.result(1).image["failure"]["kind"] == "ceiling"


def test_a_container_removed_by_force_leaves_no_loop_device(
    socket_user: SocketUser, tmp_path: Path, busybox_base: str, engine: Engine, leftovers: LeftoverWatch
) -> None:
    project = Project(folder=tmp_path / "project")
    project.write("FROM test/busybox\nRUN sleep 300\n")
    with subprocess.Popen(
        [*socket_user.prefix, *_command(project)],
        cwd=project.folder,
        env={**os.environ, **socket_user.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stderr is not None
        assert any("RUN sleep" in line for line in child.stderr)
        ours = engine.docker("ps", "--quiet", "--filter", "label=ci-budget.owner").split()
        assert len(ours) == 1
        engine.docker("rm", "--force", *ours)
        child.communicate(timeout=60)
    deadline = time.monotonic() + 20
    while "/var/lib/ci-budget/" in _attached() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "/var/lib/ci-budget/" not in _attached()

    project.write(DOCKERFILE)
    done = _check(project, socket_user)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "removed what the killed run" in done.stderr


def _attached() -> str:
    return subprocess.run(["losetup", "--all"], capture_output=True, text=True, check=True).stdout
