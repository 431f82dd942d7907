"""Several at once: sandboxes side by side, one of them killed, host-mode measurements in turn, prune beside a run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator

from faults.fault import Evidence, Fault
from faults.ground import BASE, Ground
from faults.holds import wait_for_line, wait_for_process
from tests.engine.background import RunningCheck
from tests.engine.projects import COMMAND, MIB, Result
from tests.engine.quiet_host import quiet_host

FAMILY = "Several at once"
_WRITTEN = 40 * MIB


def _writer(size: int, seconds: str) -> str:
    """A step that writes, and then sleeps until somebody ends its sleep."""
    return f"FROM {BASE}\nRUN dd if=/dev/zero of=/x bs=1M count={size // MIB} && (sleep {seconds} || true)\n"


def _wake(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _peak(done: Result) -> int:
    return int(done.metric("peak_disk")["value"] or 0) if done.report else 0


def _codes(*runs: Result) -> int:
    return max(run.exit_code for run in runs)


@contextlib.contextmanager
def _two(ground: Ground) -> Iterator[tuple[RunningCheck, RunningCheck]]:
    """Two runs that write 42 MB and 126 MB, both in the middle of their step."""
    with (
        ground.running(ground.project(_writer(_WRITTEN, "71"))) as first,
        ground.running(ground.project(_writer(3 * _WRITTEN, "72"))) as second,
    ):
        wait_for_process(first, "sleep", "71")
        wait_for_process(second, "sleep", "72")
        yield first, second


def side_by_side(ground: Ground) -> Evidence:
    sizes = (_WRITTEN, 3 * _WRITTEN)
    alone = [_peak(ground.next_run(ground.project(_writer(size, "0")))) for size in sizes]
    with (
        ground.running(ground.project(_writer(sizes[0], "75"))) as first,
        ground.running(ground.project(_writer(sizes[1], "76"))) as second,
    ):
        for pid in (wait_for_process(first, "sleep", "75"), wait_for_process(second, "sleep", "76")):
            _wake(pid)
        done = first.finish(), second.finish()
    peaks = [_peak(run) for run in done]
    off = [abs(now - before) for now, before in zip(peaks, alone, strict=True)]
    return Evidence(
        fired="the processes of both steps ran in their sandboxes' cgroups at the same time",
        outcome=f"both pass; their peaks are {off[0]:,} and {off[1]:,} bytes from those of the same builds alone",
        exit_code=_codes(*done),
        expected=(0,),
        problems=tuple(f"a peak is {one:,} bytes off" for one in off if one > 300_000),
    )


def one_killed(ground: Ground) -> Evidence:
    project = ground.project(f"FROM {BASE}\nRUN sleep 73 || true\n")
    with ground.running(project) as killed, ground.running(ground.project(_writer(_WRITTEN, "78"))) as other:
        wait_for_process(killed, "sleep", "73")
        sleeper = wait_for_process(other, "sleep", "78")
        killed.kill()
        again = ground.next_run()
        mended = "removed what the killed run" in again.stderr
        alive = other.process.poll() is None
        _wake(sleeper)
        done = other.finish()
    return Evidence(
        fired="one of two building runs got SIGKILL, and a third run began while the other still built",
        outcome="the third removes what is the killed one's; the other one passes undisturbed",
        exit_code=done.exit_code,
        expected=(0,),
        problems=(() if mended else ("the killed run's things were not removed",))
        + (() if alive else ("the other run had ended before the third did: it shows nothing",)),
    )


def both_killed(ground: Ground) -> Evidence:
    with _two(ground) as (first, second):
        first.kill()
        done = second.kill()
    again = ground.next_run()
    count = again.stderr.count("removed what the killed run")
    return Evidence(
        fired="both were in their step when SIGKILL came",
        outcome=f"the next run removed what {count} killed runs left, and passed",
        exit_code=done.exit_code,
        expected=(-signal.SIGKILL,),
        problems=() if count == 2 else (f"it removed {count}",),
    )


def pruned(ground: Ground) -> Evidence:
    with ground.running(ground.project(_writer(_WRITTEN, "79"))) as check:
        sleeper = wait_for_process(check, "sleep", "79")
        words = [*COMMAND, "prune", "--dry-run"]
        shown = subprocess.run(words, cwd=check.project.folder, capture_output=True, text=True)
        ident = ground.sandbox_id()
        _wake(sleeper)
        done = check.finish()
    return Evidence(
        fired="`ci-budget prune --dry-run` ran while the step's process ran",
        outcome="prune does not name the living sandbox; the run passes",
        exit_code=max(done.exit_code, shown.returncode),
        expected=(0,),
        problems=(f"prune names it: {shown.stdout}",) if ident in shown.stdout else (),
    )


def host_turns(ground: Ground) -> Evidence:
    with quiet_host(ground.fresh("runner") / "ci-budget") as host:
        disk = {"mode": "host", "reserve": "50MB"}
        slow = ground.project(f"FROM {BASE}\nRUN sleep 74\n", disk=disk)
        quick = ground.project(f"FROM {BASE}\nRUN true\n", disk=disk)
        with ground.running(slow, env=host.env) as first:
            wait_for_line(first, "RUN sleep")
            with ground.running(quick, env=host.env) as second:
                wait_for_line(second, "waiting: another ci-budget")
                built = "building stage" in second.said
                pid = str(first.process.pid) in second.said
                first.kill()
                done = second.finish()
    return Evidence(
        fired="the second said that it waits, and then the first, which held the lock, got SIGKILL",
        outcome="the second names the first's process, waits, and passes once the kernel has dropped the lock",
        exit_code=done.exit_code,
        expected=(0,),
        problems=(("it built while the other measured",) if built else ())
        + (() if pid else ("it does not say who holds the lock",)),
    )


def same_report(ground: Ground) -> Evidence:
    """Two runs into one report folder: whatever lies there in the end is one run's whole report."""
    first, second = ground.project(_writer(_WRITTEN, "75")), ground.project(_writer(3 * _WRITTEN, "76"))
    folder = str(second.report_folder)
    with ground.running(first, "--report", folder) as one, ground.running(second) as other:
        for pid in (wait_for_process(one, "sleep", "75"), wait_for_process(other, "sleep", "76")):
            _wake(pid)
        done = one.finish(), other.finish()
    codes = sorted(run.exit_code for run in done)
    whole = bool(done[1].report)
    return Evidence(
        fired="both built at the same time, with the same --report",
        outcome="both pass; the folder holds one whole report" if codes == [0, 0] else f"exit codes {codes}",
        exit_code=codes[-1],
        expected=(0,),
        problems=() if whole else ("there is no report",),
    )


FAULTS = [
    Fault(family=FAMILY, name=name, text=text, inject=inject)
    for name, text, inject in (
        ("two-sandboxes", "two sandboxes at once", side_by_side),
        ("killed-beside", "one of two runs is killed, a third begins", one_killed),
        ("both-killed", "two runs are killed at once", both_killed),
        ("prune-beside", "`prune` while a run builds", pruned),
        ("host-turns", "host mode: two runs at once, the first is killed", host_turns),
        ("same-report", "two runs into one report folder", same_report),
    )
]
