"""The sandbox of a user who only has the Docker socket: its container, its client and its daemons killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ci_budget.edges.sandbox.privileged_container import own_image_name
from faults.fault import Evidence, Fault
from faults.ground import BASE, SLEEP, Ground
from faults.holds import wait_for_process
from tests.engine.background import RunningCheck
from tests.engine.projects import Project, Result
from tests.engine_access import CLONE

FAMILY = "In a container"
_NOBODY = 65534


@contextlib.contextmanager
def _building(ground: Ground) -> Iterator[RunningCheck]:
    """A run of `nobody`, whose only right is the group of the engine's socket, in the middle of a step."""
    if not ground.engine.docker("image", "ls", "--quiet", own_image_name()):
        _next_run(ground)  # builds the image that the sandbox runs in, which takes its time
    project, command, env = _as_nobody(ground, f"FROM {BASE}\nRUN sleep {SLEEP}\n")
    with subprocess.Popen(
        command, cwd=project.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        check = RunningCheck(project=project, process=process)
        check.follow()
        try:
            wait_for_process(check, "sleep", SLEEP)
            yield check
        finally:
            if process.poll() is None:
                process.terminate()
                check.finish()


def _as_nobody(ground: Ground, dockerfile: str) -> tuple[Project, list[str], dict[str, str]]:
    """The project, the command line and the environment of such a user."""
    folder = ground.fresh("nobody")
    home = folder / "home"
    shutil.copytree(Path(ground.engine.env["DOCKER_CONFIG"]) / "cli-plugins", home / ".docker" / "cli-plugins")
    project = Project(folder=folder / "project", budget="300MB")
    project.write(dockerfile)
    project.report_folder.mkdir()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, _NOBODY, _NOBODY)
    for path in (folder, *folder.parents):
        path.chmod(path.stat().st_mode | 0o011)
    socket = Path(ground.engine.docker_host.removeprefix("unix://"))
    site = Path(sys.modules["yaml"].__file__ or "").resolve().parent.parent
    prefix = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", f"--groups={socket.stat().st_gid}"]
    env = {
        **os.environ, "HOME": str(home), "DOCKER_CONFIG": str(home / ".docker"), "PYTHONPATH": f"{CLONE}:{site}",
        "CI_BUDGET_STATE": "",
    }  # fmt: skip
    return project, [*prefix, "/usr/bin/python3", "-P", *project.command()[1:]], env


def _next_run(ground: Ground) -> Result:
    """The next run of the same user, which must pass."""
    project, command, env = _as_nobody(ground, f"FROM {BASE}\nRUN true\n")
    done = subprocess.run(command, cwd=project.folder, env=env, capture_output=True, text=True, timeout=580)
    if done.returncode != 0:
        raise AssertionError(f"the next run exited {done.returncode}:\n{done.stdout}{done.stderr}")
    return project.result(done.returncode, done.stdout, done.stderr)


def signalled(number: signal.Signals, ground: Ground) -> Evidence:
    """A signal to `docker run`, which is what the tool has become."""
    with _building(ground) as check:
        started = time.monotonic()
        check.process.send_signal(number)
        done = check.finish()
        seconds = time.monotonic() - started
    outcome = f"everything cleaned up in {seconds:.1f} s"
    problems = []
    if number == signal.SIGKILL:
        again = _next_run(ground)
        outcome = "the container goes on; the next run removes it and what it made, and passes"
        if "removed what the killed run" not in again.stderr:
            problems.append("the next run removed nothing")
    elif seconds > 5:
        problems.append(f"cleaning up took {seconds:.1f} s, more than 5 s")
    return Evidence(
        fired="the step's process ran in the sandbox's cgroup inside the container",
        outcome=outcome,
        exit_code=done.exit_code,
        expected=({signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}[number],),
        problems=tuple(problems),
        seconds=seconds,
    )


def removed_by_force(ground: Ground) -> Evidence:
    with _building(ground) as check:
        ours = ground.engine.docker("ps", "--quiet", "--filter", "label=ci-budget.owner").split()
        for ident in ours:
            if _owner(ground, ident) == check.process.pid:
                ground.engine.docker("rm", "--force", ident)
        done = check.finish()
    again = _next_run(ground)
    mended = "removed what the killed run" in again.stderr
    return Evidence(
        fired="`docker rm --force` of the container in which the step's process ran",
        outcome="the next run removes what the container made, the loop device included, and passes",
        exit_code=done.exit_code,
        expected=(137,),
        problems=() if mended else ("the next run removed nothing",),
    )


def _owner(ground: Ground, ident: str) -> int:
    label = ground.engine.docker("inspect", "--format", '{{index .Config.Labels "ci-budget.owner"}}', ident)
    return int(label.partition("-")[0])


FAULTS = [
    *(
        Fault(
            family=FAMILY,
            name=f"container-{number.name.lower()}",
            text=f"{number.name} to the client of the sandbox's container",
            inject=partial(signalled, number),
            mended_by_next=number == signal.SIGKILL,
            signal=number,
        )
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    ),
    Fault(
        family=FAMILY,
        name="container-removed",
        text="the sandbox's container is removed by force",
        inject=removed_by_force,
        mended_by_next=True,
    ),
]
