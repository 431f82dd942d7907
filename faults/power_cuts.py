"""The power goes: every process of a run dies at once, and what the kernel held is lost with a reboot."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path

from ci_budget.edges.sandbox.loop_filesystem import loop_devices, mounts_below
from faults.fault import Evidence, Fault, NotFiredError
from faults.ground import BASE, SLEEP, Ground
from faults.holds import wait_for_process
from tests.engine.background import RunningCheck

FAMILY = "Power cut"


def _kill_all(ground: Ground, check: RunningCheck) -> str:
    """SIGKILL to the tool, both daemons, the step and every client of them, stopped first so that none sees another
    die; a sentence that proves it."""
    ident = ground.sandbox_id().encode()
    found = [check.process.pid]
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            text = (entry / "cmdline").read_bytes() + (entry / "cgroup").read_bytes() + (entry / "environ").read_bytes()
            if ident in text and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
    if len(set(found)) < 4:
        raise NotFiredError(f"only {len(found)} processes were found")
    return f"{len(set(found))} processes (the tool, its daemons, clients and step) stopped, then killed"


def everything_killed(reboot: bool, ground: Ground) -> Evidence:
    with ground.running(ground.project(f"FROM {BASE}\nRUN sleep {SLEEP}\n")) as check:
        wait_for_process(check, "sleep", SLEEP)
        proof = _kill_all(ground, check)
        done = check.finish()
    ident = ground.sandbox_id()
    if reboot:
        _reboot(ground, ident)
        proof += "; then its mounts, loop device, rules, bridge and /run were taken away, as a reboot does"
    again = ground.next_run()
    problems = () if f"removed what the killed run {ident}" in again.stderr else (again.stderr,)
    return Evidence(
        fired=proof,
        outcome="the next run removed what was left, and passed",
        exit_code=done.exit_code,
        expected=(-signal.SIGKILL,),
        problems=problems,
    )


def _reboot(ground: Ground, ident: str) -> None:
    """What does not outlive a reboot goes; files on the disk stay."""
    folder = ground.state / "sandboxes" / ident
    for point in mounts_below(folder):
        subprocess.run(["umount", "--lazy", point], check=True)
    for device in loop_devices(folder / "disk.ext4"):
        subprocess.run(["losetup", "--detach", device], capture_output=True)
    for table in ("nat", "filter"):
        shown = subprocess.run(["iptables", "-w", "-t", table, "-S"], check=True, capture_output=True, text=True)
        for line in shown.stdout.splitlines():
            if f"ci-budget:{ident}" in line:
                words = [word.strip('"') for word in line.split()]
                subprocess.run(["iptables", "-w", "-t", table, "-D", *words[1:]], check=True)
    subprocess.run(["ip", "link", "delete", "dev", f"cib{ident}"], check=True)
    shutil.rmtree(Path("/run/ci-budget") / ident, ignore_errors=True)


def half_a_seed(ground: Ground) -> Evidence:
    """The power goes while the seed is written: its file is there, and not whole."""
    ground.without_seeds()
    project = ground.project(f"FROM {BASE}\nRUN true\n")
    ground.with_seed(project)
    (disk,) = (ground.state / "seeds").glob("*.ext4")
    size = disk.stat().st_size
    partial_file = disk.with_suffix(".partial")
    disk.rename(partial_file)
    os.truncate(partial_file, size // 3)
    facts = disk.with_suffix(".json")
    facts.write_bytes(b"\0" * facts.stat().st_size)  # as a journal without data leaves a file that was never flushed
    done = project.check()
    rest = list((ground.state / "seeds").glob("*.partial"))
    whole = "bringing in" not in ground.next_run(project).stderr
    return Evidence(
        fired=f"a third of the unfinished copy ({size // 3:,} bytes) and facts of zeros lay among the seeds",
        outcome="passes: both are removed, and a whole seed is kept",
        exit_code=done.exit_code,
        expected=(0,),
        problems=tuple(f"left behind: {path}" for path in rest) + (() if whole else ("no seed was kept",)),
    )


FAULTS = [
    Fault(family=FAMILY, name="power-cut", text="every process of a run is killed at once",
          inject=partial(everything_killed, False), mended_by_next=True),
    Fault(family=FAMILY, name="power-cut-reboot", text="the power goes while a stage is built, and the machine boots",
          inject=partial(everything_killed, True), mended_by_next=True),
    Fault(family=FAMILY, name="power-cut-seed", text="the power went while a seed was written", inject=half_a_seed),
]  # fmt: skip
