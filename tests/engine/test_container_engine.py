"""The sandbox of a user who only has the Docker socket: in a privileged container, with root's figures and clean-up."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.sites.host_turns import host_turn
from tests.engine.lanes import disown, owned_ids
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
def socket_user(engine: Engine, open_folder: Path) -> SocketUser:
    """`nobody`, with an interpreter, a docker configuration and a project folder that it may use."""
    socket = Path(engine.docker_host.removeprefix("unix://"))
    home = open_folder / "home"
    shutil.copytree(Path(engine.env["DOCKER_CONFIG"]) / "cli-plugins", home / ".docker" / "cli-plugins")
    (open_folder / "project").mkdir()
    (open_folder / "project-report").mkdir()
    for path in (open_folder, *open_folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    site = Path(sys.modules["yaml"].__file__ or "").resolve().parent.parent
    return SocketUser(
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
    return _as_user(project, user, *_command(project))


def _run(project: Project, user: SocketUser, *words: str) -> subprocess.CompletedProcess[str]:
    return _as_user(project, user, "/usr/bin/python3", "-P", "-m", "ci_budget", *words)


def _as_user(project: Project, user: SocketUser, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*user.prefix, *command],
        cwd=project.folder,
        env={**os.environ, **user.env},
        capture_output=True,
        text=True,
        timeout=500,
    )


def test_the_figures_are_those_of_root(
    socket_user: SocketUser, open_folder: Path, busybox_base: str, leftovers: LeftoverWatch
) -> None:
    project = Project(folder=open_folder / "project")
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
    socket_user: SocketUser, open_folder: Path, busybox_base: str, leftovers: LeftoverWatch
) -> None:
    project = Project(folder=open_folder / "project")
    project.write("FROM test/busybox\nRUN dd if=/dev/zero of=/x bs=1M count=1200\n")

    done = _check(project, socket_user)

    assert done.returncode == 1, done.stdout + done.stderr
    assert project.result(1).image["failure"]["kind"] == "ceiling"


def test_a_container_removed_by_force_leaves_no_loop_device(
    socket_user: SocketUser, open_folder: Path, busybox_base: str, engine: Engine, leftovers: LeftoverWatch
) -> None:
    project = Project(folder=open_folder / "project")
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
        listed = engine.docker("ps", "--format", '{{.ID}} {{.Label "ci-budget.owner"}}').splitlines()
        (container,) = (line.split()[0] for line in listed if f" {child.pid}-" in line)
        inside = engine.docker("top", container, "-eo", "pid").split()[1:]
        (ident,) = set().union(*(owned_ids(Path("/proc", pid)) for pid in inside))
        disown(ident)
        engine.docker("rm", "--force", container)
        child.communicate(timeout=240)
    disk = f"/var/lib/ci-budget/sandboxes/{ident}/"
    deadline = time.monotonic() + 120
    while disk in _attached() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert disk not in _attached()

    project.write(DOCKERFILE)
    done = _check(project, socket_user)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "removed what the killed run" in done.stderr


def test_prune_takes_what_sandboxes_left_and_says_what_it_cannot(
    socket_user: SocketUser, open_folder: Path, busybox_base: str, engine: Engine, leftovers: LeftoverWatch
) -> None:
    project = Project(folder=open_folder / "project")
    project.write(DOCKERFILE)
    dead = Path("/var/lib/ci-budget/sandboxes/0dead1de")
    left = f"left-{os.getpid()}"
    disown(dead.name)
    disown(left)
    dead.mkdir(parents=True)
    try:
        doctor = json.loads(_run(project, socket_user, "doctor", "--format", "json").stdout)
        found = {one["check"]: one for one in doctor["checks"]}["leftovers"]
        assert found["status"] == "skipped"
        assert "in /var/lib/ci-budget only root sees whether anybody owns them" in found["message"]

        project.write(DOCKERFILE, disk={"sandbox_image": "test/no-such-image:1"})
        done = _run(project, socket_user, "prune")
        assert done.returncode == 0, done.stdout + done.stderr
        assert dead.exists()
        assert done.stderr == (
            "not looked at: /var/lib/ci-budget is root's, and the engine has no image to start a privileged container "
            "from (a check makes one)\n"
        )

        project.write(DOCKERFILE)
        engine.docker("create", "--label=ci-budget=web", f"--name={left}", busybox_base, "true")
        assert _check(project, socket_user).returncode == 0  # makes the image, mends what is dead
        dead.mkdir(parents=True)
        done = _run(project, socket_user, "prune", "--target-free", "1MB")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "sandbox 0dead1de" in done.stdout
        assert not dead.exists()
        assert left not in engine.docker("ps", "--all", "--format={{.Names}}")
    finally:
        with contextlib.suppress(FileNotFoundError):
            dead.rmdir()


def test_host_measurements_of_two_users_take_turns(
    socket_user: SocketUser, open_folder: Path, busybox_base: str, engine: Engine, leftovers: LeftoverWatch
) -> None:
    """The lock is the engine's, not the state folder's. Root holds it here; the user waits, and then measures."""
    project = Project(folder=open_folder / "project", budget="90GB")
    project.write("FROM test/busybox\nRUN true\n", disk={"mode": "host", "reserve": "1MB"})
    with contextlib.closing(DockerEngine(engine.docker_host)) as own, contextlib.ExitStack() as turn:
        turn.enter_context(host_turn(own, lambda _: None))
        with subprocess.Popen(
            [*socket_user.prefix, *_command(project)],
            cwd=project.folder,
            env={**os.environ, **socket_user.env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stderr is not None
            holder = f"another ci-budget (process {os.getpid()} of root)"
            try:
                assert f"waiting: {holder} is measuring on this host's engine\n" in child.stderr
            finally:
                turn.close()
            said = child.stderr.read()
    done = project.result(child.returncode)
    if child.returncode == 3:  # somebody else's sandbox came or went on this machine's disk meanwhile
        assert "a sandbox of another check" in done.image["failure"]["message"]
    else:
        assert child.returncode == 0, said
        assert done.image["disk"]["mode"] == "host"


def _attached() -> str:
    return subprocess.run(["losetup", "--all"], capture_output=True, text=True, check=True).stdout
