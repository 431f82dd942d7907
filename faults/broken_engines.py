"""What the tool builds on ends under it: daemons, clients, steps, the loop device, the network, the runner's engine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ci_budget.edges.sandbox.loop_filesystem import loop_devices
from faults.fault import Evidence, Fault, NotFiredError
from faults.ground import BASE, SLEEP, Ground
from faults.holds import wait_for_line, wait_for_process, wait_until
from faults.outcomes import reason, traced
from tests.engine.background import RunningCheck
from tests.engine.projects import Project, Result
from tests.engine.quiet_host import quiet_host

FAMILY = "Broken under it"
_SLEEPING = f"FROM {BASE}\nRUN sleep {SLEEP}\n"
_TWO_STAGES = f"FROM {BASE} AS first\nRUN echo 1 > /a\nFROM {BASE} AS second\nCOPY --from=first /a /a\n"


def _end(done: Result, fired: str, *expected: int, problems: tuple[str, ...] = ()) -> Evidence:
    outcome = "passes" if done.exit_code == 0 else reason(done)
    return Evidence(
        fired=fired, outcome=outcome, exit_code=done.exit_code, expected=expected, problems=problems + traced(done)
    )


def _kill_process(pid: int) -> str:
    """SIGKILL, and wait until the process is gone or dead; a sentence that proves it."""
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _lives(pid):
        if time.monotonic() > deadline:
            raise NotFiredError(f"process {pid} outlived SIGKILL")
        time.sleep(0.01)
    return f"{name} got SIGKILL and was gone"


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def killed_while_building(names: tuple[str, ...], expected: int, ground: Ground) -> Evidence:
    """The sandbox's own daemons, in the middle of a step."""
    dockerfile = f"FROM {BASE}\nRUN sleep 4 && echo done\n" if expected == 0 else _SLEEPING
    with ground.running(ground.project(dockerfile)) as check:
        wait_for_process(check, "sleep", "4" if expected == 0 else SLEEP)
        proof = "; ".join(_kill_process(ground.daemon(name)) for name in names)
        done = check.finish()
    return _end(done, f"{proof} while the step's process ran", expected)


def killed_while_held(program: str, words: str, seeded: bool, ground: Ground) -> Evidence:
    """The sandbox's dockerd, while the tool has called a program that speaks to it."""
    project = ground.project(_TWO_STAGES)
    if seeded:
        ground.with_seed(project)
    else:
        ground.without_seeds()
    with ground.hold(program, words) as held, ground.running(project, env=held.env) as check:
        held.wait(check)
        proof = _kill_process(ground.daemon("dockerd"))
        held.release()
        done = check.finish()
    return _end(done, f"{proof} while `{program} {words.strip()}` was held", 3)


def killed_while_exporting(ground: Ground) -> Evidence:
    project = ground.project(f"FROM {BASE}\nRUN dd if=/dev/zero of=/x bs=1M count=700\n", budget="900MB")
    with ground.running(project) as check:
        wait_for_line(check, "exporting the image")
        proof = _kill_process(ground.daemon("dockerd"))
        done = check.finish()
    if "reading sizes" in done.stderr:
        raise NotFiredError("the export was over before dockerd was killed")
    return _end(done, f"{proof} after `exporting the image` and before `reading sizes`", 3)


def killed_in_smoke_test(ground: Ground) -> Evidence:
    project = ground.project(f"FROM {BASE}\nRUN true\n", smoke={"command": ["sleep", SLEEP], "timeout": "5m"})
    with ground.running(project) as check:
        wait_for_process(check, "sleep", SLEEP)
        proof = _kill_process(ground.daemon("dockerd"))
        done = check.finish()
    return _end(done, f"{proof} while the smoke test's process ran", 3)


def hung(ground: Ground) -> Evidence:
    """An engine that neither works nor ends: the image's own timeout ends the build."""
    with ground.running(ground.project(_SLEEPING, timeout="8s")) as check:
        wait_for_process(check, "sleep", SLEEP)
        pid = ground.daemon("dockerd")
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: "State:\tT" in Path(f"/proc/{pid}/status").read_text(), check, "dockerd was not stopped")
        done = check.finish()
    return _end(done, "dockerd got SIGSTOP; the kernel showed it stopped", 3)


def client_killed(ground: Ground) -> Evidence:
    with ground.running(ground.project(_SLEEPING)) as check:
        wait_for_process(check, "sleep", SLEEP)
        clients = _children(check.process.pid, b"--progress=rawjson")
        if not clients:
            raise NotFiredError("there is no buildx to kill")
        proof = _kill_process(clients[-1])
        done = check.finish()
    return _end(done, f"buildx: {proof} while the step's process ran", 3)


def _children(parent: int, word: bytes) -> list[int]:
    """Descendants of a process with a word on their command line, the parent's children first."""
    found, generation = [], [parent]
    while generation:
        children = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) in generation:
                    children.append(int(entry.name))
                    if word in (entry / "cmdline").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        generation = children
    return found


def step_killed(ground: Ground) -> Evidence:
    with ground.running(ground.project(_SLEEPING)) as check:
        proof = _kill_process(wait_for_process(check, "sleep", SLEEP))
        done = check.finish()
    return _end(done, f"the step's own process: {proof}", 4)


def device_gone(ground: Ground) -> Evidence:
    """The file is cut to nothing and the device told so: every further access fails, as on a disk that was pulled."""
    dockerfile = f"FROM {BASE}\nRUN sleep 4 && dd if=/dev/zero of=/x bs=1M count=50 && sync\nRUN true\n"
    with ground.running(ground.project(dockerfile)) as check:
        wait_for_process(check, "sleep", "4")
        disk = ground.state / "sandboxes" / ground.sandbox_id() / "disk.ext4"
        (device,) = loop_devices(disk)
        os.truncate(disk, 0)
        subprocess.run(["losetup", "--set-capacity", device], check=True)
        size = Path(f"/sys/block/{Path(device).name}/size").read_text().strip()
        done = check.finish()
    return _end(done, f"the kernel showed the loop device with {size} sectors while the step slept", 3)


def filesystem_shut(ground: Ground) -> Evidence:
    """The kernel's own emulation of a disk that fails: ext4 is shut down under the engine."""
    dockerfile = f"FROM {BASE}\nRUN sleep 4 && echo 1 > /x\nRUN true\n"
    with ground.running(ground.project(dockerfile)) as check:
        wait_for_process(check, "sleep", "4")
        mount = ground.state / "sandboxes" / ground.sandbox_id() / "mnt"
        _shut_down(mount)
        try:
            (mount / "probe").touch()
        except OSError as error:
            proof = f"writing to it then failed: {error.strerror}"
        else:
            raise NotFiredError("the filesystem still takes writes")
        done = check.finish()
    return _end(done, f"EXT4_IOC_SHUTDOWN while the step slept; {proof}", 3)


def _shut_down(mount: Path) -> None:
    import fcntl
    import struct

    handle = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(handle, 0x8004587D, struct.pack("I", 2))  # EXT4_IOC_SHUTDOWN, without flushing
    finally:
        os.close(handle)


def network_gone(ground: Ground) -> Evidence:
    """A firewall reload and somebody's clean-up take the sandbox's rules and bridge away in the middle."""
    with ground.running(ground.project(f"FROM {BASE}\nRUN sleep 4\n")) as check:
        wait_for_process(check, "sleep", "4")
        ident = ground.sandbox_id()
        removed = 0
        for table in ("nat", "filter"):
            shown = subprocess.run(["iptables", "-w", "-t", table, "-S"], check=True, capture_output=True, text=True)
            for line in shown.stdout.splitlines():
                if f"ci-budget:{ident}" in line:
                    words = [word.strip('"') for word in line.split()]
                    subprocess.run(["iptables", "-w", "-t", table, "-D", *words[1:]], check=True)
                    removed += 1
        subprocess.run(["ip", "link", "delete", "dev", f"cib{ident}"], check=True)
        if not removed:
            raise NotFiredError("there were no rules to remove")
        done = check.finish()
    return _end(done, f"{removed} rules and the bridge were removed while the step slept", 0)


@contextlib.contextmanager
def _own_runner(
    ground: Ground, project: Project, env: dict[str, str]
) -> Iterator[tuple[RunningCheck, Callable[[], str]]]:
    """A run whose runner's engine is one of ours, and what kills that engine."""
    with quiet_host(ground.fresh("runner") / "ci-budget") as host:
        pid = int(Path(host.docker_host.removeprefix("unix://")).with_name("dockerd.pid").read_text())
        with ground.running(project, env={**env, **host.env}) as check:
            yield check, lambda: _kill_process(pid)


def runner_gone_while_importing(ground: Ground) -> Evidence:
    ground.without_seeds()
    project = ground.project(_TWO_STAGES)
    with ground.hold("docker", " save ") as held, _own_runner(ground, project, held.env) as (check, kill):
        held.wait(check)
        proof = kill()
        held.release()
        done = check.finish()
    return _end(done, f"the runner's {proof} while `docker save` was held", 3)


def runner_gone_in_host_mode(ground: Ground) -> Evidence:
    project = ground.project(_SLEEPING, disk={"mode": "host", "reserve": "50MB"})
    with _own_runner(ground, project, {}) as (check, kill):
        wait_for_line(check, "RUN sleep")
        proof = kill()
        done = check.finish()
    return _end(done, f"the runner's {proof} while it built", 3)


FAULTS = [
    Fault(family=FAMILY, name=name, text=text, inject=inject)
    for name, text, inject in (
        ("dockerd-import", "the sandbox's dockerd is killed while a base is imported",
         partial(killed_while_held, "docker", " load ", False)),
        ("dockerd-targets", "the sandbox's dockerd is killed when the stages are asked for",
         partial(killed_while_held, "buildx", "--call=targets", True)),
        ("dockerd-build", "the sandbox's dockerd is killed while a stage is built",
         partial(killed_while_building, ("dockerd",), 3)),
        ("containerd-build", "the sandbox's containerd is killed while a stage is built",
         partial(killed_while_building, ("containerd",), 0)),
        ("both-build", "the sandbox's dockerd and containerd are killed while a stage is built",
         partial(killed_while_building, ("containerd", "dockerd"), 3)),
        ("dockerd-export", "the sandbox's dockerd is killed during the export", killed_while_exporting),
        ("dockerd-reading", "the sandbox's dockerd is killed while sizes are read",
         partial(killed_while_held, "buildx", "image-stage:", True)),
        ("dockerd-smoke", "the sandbox's dockerd is killed during the smoke test", killed_in_smoke_test),
        ("dockerd-hung", "the sandbox's dockerd hangs (SIGSTOP); the image has a timeout of 8 s", hung),
        ("buildx-killed", "buildx is killed while a stage is built", client_killed),
        ("step-killed", "the memory killer takes a step's process", step_killed),
        ("loop-gone", "the loop device is gone while a stage is built", device_gone),
        ("filesystem-shut", "the sandbox's filesystem fails while a stage is built", filesystem_shut),
        ("network-gone", "the sandbox's bridge and firewall rules are removed while a stage is built", network_gone),
        ("runner-import", "the runner's engine is killed while a base is read from it", runner_gone_while_importing),
        ("runner-host-mode", "host mode: the runner's engine is killed while it builds", runner_gone_in_host_mode),
    )
]  # fmt: skip
