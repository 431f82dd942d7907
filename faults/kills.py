"""Killed in every phase by every signal: SIGINT and SIGTERM clean up at once, SIGKILL is mended by the next run."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from faults.disks import MIB, small_disk
from faults.fault import Evidence, Fault, NotFiredError
from faults.ground import BASE, SLEEP, Ground
from faults.holds import wait_for_line, wait_for_process, wait_until
from tests.engine.background import RunningCheck
from tests.engine.quiet_host import quiet_host

FAMILY = "Killed"
LONGEST = 5.0
"""Seconds in which SIGINT and SIGTERM must have cleaned up."""
_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}
_TWO_STAGES = f"FROM {BASE} AS first\nRUN echo 1 > /a\nFROM {BASE} AS second\nCOPY --from=first /a /a\n"


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A run that is in the wanted phase: `proof` says how that is known, `go_on` lets the phase continue."""

    check: RunningCheck
    proof: str
    go_on: Callable[[], None]
    not_said: str
    """A line of the next phase: were it said, the signal came too late."""


Phase = Callable[[Ground], AbstractContextManager[Moment]]


def _held(program: str, words: str, not_said: str, *, seeded: bool, dockerfile: str = _TWO_STAGES) -> Phase:
    """The phase in which the tool has called `program` and waits for it."""

    @contextlib.contextmanager
    def phase(ground: Ground) -> Iterator[Moment]:
        project = ground.project(dockerfile)
        if seeded:
            ground.with_seed(project)
        else:
            ground.without_seeds()
        with ground.hold(program, words) as held, ground.running(project, env=held.env) as check:
            held.wait(check)
            proof = f"the tool had called `{' '.join(filter(None, (program, words)))}`, which was held until the signal"
            yield Moment(check=check, proof=proof, go_on=held.release, not_said=not_said)

    return phase


@contextlib.contextmanager
def building(ground: Ground) -> Iterator[Moment]:
    """In the middle of a stage's step."""
    project = ground.project(f"FROM {BASE}\nRUN dd if=/dev/zero of=/x bs=1M count=50 && sleep {SLEEP}\n")
    with ground.running(project) as check:
        wait_for_process(check, "sleep", SLEEP)
        proof = "the step's own process ran in the sandbox's cgroup"
        yield Moment(check=check, proof=proof, go_on=lambda: None, not_said="reading sizes")


@contextlib.contextmanager
def exporting(ground: Ground) -> Iterator[Moment]:
    """While the engine makes the image of a large layer."""
    project = ground.project(f"FROM {BASE}\nRUN dd if=/dev/zero of=/x bs=1M count=700\n", budget="900MB")
    with ground.running(project) as check:
        wait_for_line(check, "exporting the image")
        proof = "the tool had said `exporting the image`, and never said that it read it"
        yield Moment(check=check, proof=proof, go_on=lambda: None, not_said="reading sizes")


@contextlib.contextmanager
def smoke_testing(ground: Ground) -> Iterator[Moment]:
    """While the smoke test's container runs."""
    project = ground.project(f"FROM {BASE}\nRUN true\n", smoke={"command": ["sleep", SLEEP], "timeout": "5m"})
    with ground.running(project) as check:
        wait_for_process(check, "sleep", SLEEP)
        proof = "the smoke test's own process ran in the sandbox's cgroup"
        yield Moment(check=check, proof=proof, go_on=lambda: None, not_said="Report:")


@contextlib.contextmanager
def reporting(ground: Ground) -> Iterator[Moment]:
    """In the very system call that creates a report's file: the report's filesystem is frozen under it."""
    project = ground.project(_TWO_STAGES)
    with (
        small_disk(ground.fresh("disk"), 64 * MIB) as disk,
        ground.hold("buildx", "image-stage:") as held,
        ground.running(project, "--report", str(disk.mount / "report"), env=held.env) as check,
    ):
        held.wait(check)  # the last build log is written by now
        with disk.frozen():
            held.release()
            wait_until(lambda: _waits_for_disk(check.process.pid), check, "the tool never wrote its report")
            proof = "the kernel showed the tool waiting in openat() on the frozen filesystem of the report"
            yield Moment(check=check, proof=proof, go_on=disk.thaw, not_said="Report:")
        check.finish()
        _assert_report_whole(disk.mount / "report")
        if check.process.returncode == -signal.SIGKILL:
            ground.next_run(project, "--report", str(disk.mount / "report"))
        drafts = list((disk.mount / "report").glob(".draft-*"))
        assert not drafts, f"half a file is left in the report folder: {drafts[0]}"


@contextlib.contextmanager
def mending(ground: Ground) -> Iterator[Moment]:
    """While a run removes what a killed one left."""
    with building(ground) as killed:
        killed.check.kill()
    project = ground.project(_TWO_STAGES)
    with ground.hold("umount") as held, ground.running(project, env=held.env) as check:
        held.wait(check)
        proof = "the tool had called `umount` for a killed run's mounts, which was held until the signal"
        yield Moment(check=check, proof=proof, go_on=held.release, not_said="making the sandbox")


def _waits_for_disk(pid: int) -> bool:
    process = Path("/proc", str(pid))
    state = next(line for line in (process / "status").read_text().splitlines() if line.startswith("State:"))
    return "D (disk sleep)" in state and (process / "syscall").read_text().split()[0] == "257"  # openat


def _assert_report_whole(folder: Path) -> None:
    """No half a report may lie there: that of a run which was killed while it wrote is missing, or complete."""
    for path in (folder / "report.json", folder / "report.md"):
        assert not path.exists() or path.read_text().rstrip().endswith(("}", ")", "`", ".")), f"{path} is cut off"


def kill(phase: Phase, number: signal.Signals, ground: Ground) -> Evidence:
    """Bring a run into the phase, send the signal, look at how it ends."""
    with phase(ground) as moment:
        process = moment.check.process
        started = time.monotonic()
        process.send_signal(number)
        moment.go_on()
        done = moment.check.finish()
        seconds = time.monotonic() - started
    if moment.not_said in done.stderr + done.stdout:
        raise NotFiredError(f"the phase was over when the signal came:\n{done.stderr}")
    problems = []
    if number == signal.SIGKILL:
        again = ground.next_run()
        removed = "removed what the killed run" in again.stderr
        outcome = "the next run removed what was left, and passed" if removed else "left nothing; the next run passed"
    else:
        outcome = f"everything cleaned up in {seconds:.1f} s"
        if "everything was cleaned up" not in done.stderr:
            problems.append(f"it does not say that it cleaned up: {done.stderr}")
        if seconds > LONGEST:
            problems.append(f"cleaning up took {seconds:.1f} s, more than {LONGEST:g} s")
    return Evidence(
        fired=moment.proof,
        outcome=outcome,
        exit_code=done.exit_code,
        expected=(_CODES[number],),
        problems=tuple(problems),
        seconds=seconds,
    )


PHASES: dict[str, tuple[str, Phase]] = {
    "filesystem": ("preparing the filesystem", _held("mkfs.ext4", "", "bringing in", seeded=False)),
    "engine": ("starting the sandbox's engine", _held("dockerd", "--config-file", "bringing in", seeded=False)),
    "import": ("importing the bases", _held("docker", " load ", "building stage", seeded=False)),
    "seed": ("keeping the seed", _held("e2image", "", "building stage", seeded=False)),
    "targets": ("asking for the stages", _held("buildx", "--call=targets", "building stage", seeded=True)),
    "build": ("building a stage", building),
    "export": ("exporting the image", exporting),
    "reading": ("reading sizes and layers", _held("buildx", "image-stage:", "Report:", seeded=True)),
    "smoke": ("in the smoke test", smoke_testing),
    "report": ("writing the report", reporting),
    "mending": ("removing what a killed run left", mending),
}


def host_mode(number: signal.Signals, ground: Ground) -> Evidence:
    """In host mode, in a stage after one whose cache the runner's engine holds by then."""
    with quiet_host(ground.fresh("runner") / "ci-budget") as host:
        plain = f"FROM {BASE} AS first\nRUN dd if=/dev/zero of=/x bs=1M count=50\n"
        disk = {"mode": "host", "reserve": "50MB"}
        project = ground.project(f"{plain}FROM first\nRUN sleep {SLEEP}\n", disk=disk)
        host.build(ground.project(f"FROM {BASE}\nRUN echo kept > /kept\n").folder)
        cache, images, used = host.cache(), host.images(), host.used()
        with ground.running(project, env=host.env) as check:
            wait_for_process(check, "sleep", SLEEP)
            made = len(host.cache() - cache)
            started = time.monotonic()
            check.process.send_signal(number)
            done = check.finish()
            seconds = time.monotonic() - started
        problems = []
        outcome = f"everything cleaned up in {seconds:.1f} s"
        if number == signal.SIGKILL:
            again = ground.next_run(ground.project(f"FROM {BASE}\nRUN true\n", disk=disk), env=host.env)
            outcome = "the next run removed the cache records that the killed one had made, and no others, and passed"
            if "removed what a killed run left on the runner's engine" not in again.stderr:
                problems.append(f"no word of it: {again.stderr}")
        elif seconds > LONGEST:
            problems.append(f"cleaning up took {seconds:.1f} s, more than {LONGEST:g} s")
        rest = host.used() - used
        left = host.cache() - cache
        problems += [f"{len(left)} cache records stay"] if left else []
        problems += [f"lost from the cache: {one}" for one in cache - host.cache()]
        problems += [f"images differ: {sorted(images ^ host.images())}"] if images != host.images() else []
        problems += [f"{rest:,} bytes stay on the engine's disk"] if rest > 4 * MIB else []
    return Evidence(
        fired=f"the step's own process ran, and the engine's cache had {made} records more than before",
        outcome=outcome,
        exit_code=done.exit_code,
        expected=(_CODES[number],),
        problems=tuple(problems) if made else (*problems, "the run had made no cache record: it shows nothing"),
        seconds=seconds,
    )


def _github_cancels(ground: Ground) -> Evidence:
    """GitHub's cancellation: SIGINT, SIGTERM 7.5 s later, SIGKILL 2.5 s after that."""
    with building(ground) as moment:
        process = moment.check.process
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(Exception):
            process.wait(7.5)
        seconds = time.monotonic() - started
        late = process.poll() is None
        if late:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(Exception):
                process.wait(2.5)
        if process.poll() is None:
            process.kill()
        done = moment.check.finish()
    return Evidence(
        fired=moment.proof,
        outcome=f"everything cleaned up in {seconds:.1f} s, before the SIGTERM that comes after 7.5 s",
        exit_code=done.exit_code,
        expected=(130,),
        problems=("the SIGTERM after 7.5 s was needed",) if late else (),
        seconds=seconds,
    )


def _twice(ground: Ground) -> Evidence:
    """A second signal while the first one's clean-up runs must not cut that short."""
    project = ground.project(f"FROM {BASE}\nRUN sleep {SLEEP}\n")
    ground.next_run()  # keeps a seed: then the clean-up is the first to call umount
    with ground.hold("umount") as held, ground.running(project, env=held.env) as check:
        wait_for_process(check, "sleep", SLEEP)
        check.process.send_signal(signal.SIGINT)
        held.wait(check)
        for _ in range(2):
            check.process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        held.release()
        done = check.finish()
    return Evidence(
        fired="the clean-up that SIGINT began had called `umount`, which was held while SIGTERM was sent twice",
        outcome="the clean-up of the first signal ran to its end",
        exit_code=done.exit_code,
        expected=(130,),
        problems=() if "everything was cleaned up" in done.stderr else (done.stderr,),
    )


FAULTS = [
    Fault(
        family=FAMILY,
        name=f"{number.name.lower()}-{key}",
        text=f"{number.name} while {text}" if not text.startswith("in ") else f"{number.name} {text}",
        inject=partial(kill, phase, number),
        mended_by_next=number == signal.SIGKILL,
        signal=number,
    )
    for key, (text, phase) in PHASES.items()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
] + [
    Fault(
        family=FAMILY,
        name=f"{number.name.lower()}-host-mode",
        text=f"host mode: {number.name} while building a stage",
        inject=partial(host_mode, number),
        mended_by_next=number == signal.SIGKILL,
        signal=number,
    )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
] + [
    Fault(family=FAMILY, name="github-cancels", text="GitHub cancels the job: SIGINT, then SIGTERM after 7.5 s",
          inject=_github_cancels, signal=signal.SIGINT),
    Fault(family=FAMILY, name="second-signal", text="SIGTERM twice during the clean-up that SIGINT began",
          inject=_twice, signal=signal.SIGTERM),
]  # fmt: skip
