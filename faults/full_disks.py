"""No room on the host's disk, in the report folder, for the baseline; no inodes. Never on the machine's own disk."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faults.disks import MIB, SmallDisk, small_disk
from faults.fault import Evidence, Fault
from faults.ground import BASE, Ground
from faults.holds import wait_for_line, wait_for_process
from faults.outcomes import reason, refused, traced
from tests.engine.projects import COMMAND, Project, Result
from tests.engine.quiet_host import quiet_host

FAMILY = "No room on the host"
_HELD = f"FROM {BASE}\nRUN echo waiting && sleep 3\n"
_SLOW = "for i in $(seq 100); do dd if=/dev/zero of=/x$i bs=1M count=10 2>/dev/null; usleep 90000; done"


def state_too_small(ground: Ground) -> Evidence:
    with small_disk(ground.fresh("disk"), 256 * MIB) as disk:
        project = ground.project(_HELD, disk={"reserve": "10MB"})
        done = project.check(env=_state_on(disk.mount))
        return refused(done, f"the state directory's filesystem has {disk.available:,} bytes, the budget is 300 MB", 3)


@contextlib.contextmanager
def _filled_while(ground: Ground, tool: str) -> Iterator[tuple[SmallDisk, str, Result]]:
    """The state directory's small disk, filled while `tool` was held: the disk, the proof, and how the check ended."""
    with small_disk(ground.fresh("disk"), 900 * MIB) as disk, ground.hold(tool) as held:
        project = ground.project(_HELD, disk={"reserve": "10MB"})
        with ground.running(project, env={**held.env, **_state_on(disk.mount)}) as check:
            held.wait(check)
            proof = disk.fill()
            held.release()
            done = check.finish()
        yield disk, proof, done


def state_fills_first(ground: Ground) -> Evidence:
    with _filled_while(ground, "mkfs.ext4") as (disk, proof, done):
        return Evidence(
            fired=f"filled while `mkfs.ext4` was held, which makes the sandbox's filesystem: {proof}",
            outcome=f"not measured: {reason(done)}",
            exit_code=done.exit_code,
            expected=(3,),
            problems=_left_in(disk.mount) + traced(done),
        )


def state_fills_later(ground: Ground) -> Evidence:
    with small_disk(ground.fresh("disk"), 900 * MIB) as disk:
        project = ground.project(
            f"FROM {BASE}\nRUN echo waiting && sleep 3 && dd if=/dev/zero of=/x bs=1M count=200\n",
            disk={"reserve": "10MB", "seeds_limit": 0},
        )
        with ground.running(project, env=_state_on(disk.mount)) as check:
            wait_for_process(check, "sleep", "3")
            proof = disk.fill()
            done = check.finish()
        peak = done.metric("peak_disk")["value"] if done.report else None
        return Evidence(
            fired=f"filled while the step slept, before it wrote 210 MB: {proof}",
            outcome=f"passes: the sandbox was reserved, the build got all its 210 MB (peak {peak or 0:,} bytes)",
            exit_code=done.exit_code,
            expected=(0,),
            problems=_left_in(disk.mount) + (() if peak and peak > 200 * MIB else (f"peak {peak}",)),
        )


def state_fills_at_seed(ground: Ground) -> Evidence:
    with _filled_while(ground, "e2image") as (disk, proof, done):
        notes = " ".join(done.image["notes"]) if done.report else done.stderr
        told = "no seed was kept" in notes
        return Evidence(
            fired=f"filled while `e2image` was held, which copies the seed: {proof}",
            outcome="passes, and notes that no seed was kept",
            exit_code=done.exit_code,
            expected=(0,),
            problems=_left_in(disk.mount) + (() if told else (f"no word of the seed: {notes}",)),
        )


def state_without_inodes(ground: Ground) -> Evidence:
    with small_disk(ground.fresh("disk"), 700 * MIB, inodes=64) as disk:
        project = ground.project(_HELD, disk={"reserve": "10MB"})
        env = _state_on(disk.mount)
        proof = disk.take_inodes()
        done = project.check(env=env)
        return refused(done, f"the state directory's filesystem had {proof}", 3, problems=_left_in(disk.mount))


def report_full(ground: Ground) -> Evidence:
    with small_disk(ground.fresh("disk"), 16 * MIB) as disk:
        (disk.mount / "report").mkdir()
        proof = disk.fill()
        done = ground.project(_HELD).check("--report", str(disk.mount / "report"))
        return refused(done, f"the report's filesystem had {proof}", 2, 3)


def report_fills(ground: Ground) -> Evidence:
    with small_disk(ground.fresh("disk"), 16 * MIB) as disk:
        steps = "".join(f"RUN echo {word} && sleep 2 && head -c 300000 /dev/zero | od -v\n" for word in ("a", "b"))
        project = ground.project(f"FROM {BASE}\n{steps}")
        with ground.running(project, "--report", str(disk.mount / "report")) as check:
            wait_for_process(check, "sleep", "2")
            proof = disk.fill()
            done = check.finish()
        return Evidence(
            fired=f"filled while a step slept, before it printed 1.4 MB for the log: {proof}",
            outcome=f"not measured: {reason(done)}",
            exit_code=done.exit_code,
            expected=(2, 3),
            problems=traced(done),
        )


def report_fills_at_end(ground: Ground) -> Evidence:
    dockerfile = f"FROM {BASE} AS a\nRUN echo 1 > /a\nFROM {BASE}\nCOPY --from=a /a /a\n"
    with small_disk(ground.fresh("disk"), 16 * MIB) as disk, ground.hold("buildx", "image-stage:") as held:
        project = ground.project(dockerfile)
        with ground.running(project, "--report", str(disk.mount / "report"), env=held.env) as check:
            held.wait(check)
            proof = disk.fill()
            held.release()
            done = check.finish()
        half = list((disk.mount / "report").glob(".draft-*"))
        return Evidence(
            fired=f"filled while the sizes were read, before the report was written: {proof}",
            outcome=f"no report, and no half of one: {reason(done)}",
            exit_code=done.exit_code,
            expected=(2, 3),
            problems=traced(done) + tuple(f"half a file: {path}" for path in half),
        )


def temporary_full(ground: Ground) -> Evidence:
    with small_disk(ground.fresh("disk"), 16 * MIB) as disk, ground.hold("buildx", "--call=targets") as held:
        with ground.running(ground.project(_HELD), env={"TMPDIR": str(disk.mount), **held.env}) as check:
            held.wait(check)
            proof = f"{disk.fill()}, and {disk.take_inodes()}"
            held.release()
            done = check.finish()
        return Evidence(
            fired=f"TMPDIR's filesystem was filled before the build began: {proof}",
            outcome=f"not measured: {reason(done)}",
            exit_code=done.exit_code,
            expected=(3,),
            problems=traced(done),
        )


def baseline_full(ground: Ground) -> Evidence:
    """`baseline update` where nothing more can be written: the old baseline stays whole."""
    with small_disk(ground.fresh("disk"), 16 * MIB) as disk:
        project = Project(folder=disk.mount / "project", budget="300MB")
        project.write(f"FROM {BASE}\nRUN true\n")
        report = ground.fresh("report")
        update = [*COMMAND, "baseline", "update", "--report", str(report)]
        assert project.check("--report", str(report)).exit_code == 0
        subprocess.run(update, cwd=project.folder, check=True, capture_output=True)
        project.write(f"FROM {BASE}\nRUN true\nRUN dd if=/dev/zero of=/x bs=1M count=3\n")
        assert project.check("--report", str(report), "--exit-zero").exit_code == 0
        kept = project.folder / ".ci-budget"
        before = _contents(kept)
        proof = disk.fill()
        done = subprocess.run(
            [*update, "--raise", "layers", "--raise", "image_size", "--raise", "peak_disk", "--raise", "context_size"],
            cwd=project.folder, capture_output=True, text=True,
        )  # fmt: skip
        after = _contents(kept)
        strangers = sorted(after.keys() - before.keys())
        changed = [name for name, data in before.items() if after.get(name) != data]
        return Evidence(
            fired=f"the baseline's filesystem had {proof}",
            outcome=f"refused, the old baseline is whole: {done.stderr.strip()}".replace(str(disk.mount), ""),
            exit_code=done.returncode,
            expected=(2,),
            problems=tuple(f"it changed: {one}" for one in changed) + tuple(f"half a file: {one}" for one in strangers),
        )


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def host_budget(ground: Ground) -> Evidence:
    """Host mode: the runner's engine is alone on a filesystem of 1 GB."""
    with quiet_host(ground.state) as host:
        disk = {"mode": "host", "reserve": "50MB"}
        project = ground.project(f"FROM {BASE}\nRUN {_SLOW}\n", budget="400MB", disk=disk)
        cache, used = host.cache(), host.used()
        done = project.check(env=host.env)
        peak = done.metric("peak_disk")["value"] if done.report else 0
        rest = host.used() - used
        return Evidence(
            fired="a writer of 100 MB/s would have crossed the budget of 400 MB after 4 s; the watchdog's words",
            outcome=f"cancelled at {peak / 1e6:.0f} MB: {reason(done)}",
            exit_code=done.exit_code,
            expected=(1,),
            problems=_host_problems(host.cache() != cache, rest) + (() if peak <= 400e6 else (f"peak {peak:,}",)),
        )


def host_reserve(ground: Ground) -> Evidence:
    """Host mode: a neighbour fills the disk while the build only sleeps."""
    with quiet_host(ground.state) as host:
        disk = {"mode": "host", "reserve": "300MB"}
        project = ground.project(f"FROM {BASE}\nRUN sleep 86420\n", budget="5GB", disk=disk)
        neighbour = host.mount / "neighbour"
        with ground.running(project, env=host.env) as check:
            wait_for_line(check, "RUN sleep")
            subprocess.run(["fallocate", "--length", "800MiB", neighbour], check=False, capture_output=True)
            size = neighbour.stat().st_size
            done = check.finish()
        neighbour.unlink()
        return Evidence(
            fired=f"another process took {size / 1e6:.0f} MB of the engine's disk while the step slept",
            outcome=f"cancelled: {reason(done)}",
            exit_code=done.exit_code,
            expected=(1,),
            problems=() if "reserve" in reason(done) else (reason(done),),
        )


def _host_problems(changed: bool, rest: int) -> tuple[str, ...]:
    problems = ["the engine's build cache is not what it was"] if changed else []
    if rest > 4e6:
        problems.append(f"{rest:,} bytes of the build stay on the engine's disk")
    return tuple(problems)


def _state_on(mount: Path) -> dict[str, str]:
    (mount / "ci-budget").mkdir(exist_ok=True)
    return {"CI_BUDGET_STATE": str(mount / "ci-budget")}


def _left_in(mount: Path) -> tuple[str, ...]:
    folder = mount / "ci-budget"
    found: list[Any] = [path for path in folder.glob("sandboxes/*") if path.name != ".lock"]
    found += folder.glob("seeds/*.partial")
    return tuple(f"left behind: {path}" for path in found)


FAULTS = [
    Fault(family=FAMILY, name=name, text=text, inject=inject)
    for name, text, inject in (
        ("host-too-small", "the host's disk has no room for the sandbox", state_too_small),
        ("host-fills-before", "the host's disk fills while the sandbox is prepared", state_fills_first),
        ("host-fills-during", "the host's disk fills while a stage is built", state_fills_later),
        ("host-fills-at-seed", "the host's disk fills while the seed is kept", state_fills_at_seed),
        ("host-inodes", "the host's disk has no inodes left", state_without_inodes),
        ("report-full", "the report folder's disk is full from the start", report_full),
        ("report-fills", "the report folder's disk fills while a stage is built", report_fills),
        ("report-fills-at-end", "the report folder's disk fills before the report is written", report_fills_at_end),
        ("tmp-full", "the disk of TMPDIR is full", temporary_full),
        ("baseline-full", "the baseline's disk is full at `baseline update`", baseline_full),
        ("host-mode-budget", "host mode: a step would cross the budget", host_budget),
        ("host-mode-reserve", "host mode: a neighbour takes the host's reserve", host_reserve),
    )
]
