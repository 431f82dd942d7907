"""The state directory and the report folder are not what they were, or lead to files of the user's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from faults.disks import MIB, small_disk
from faults.fault import Evidence, Fault, NotFiredError
from faults.ground import BASE, SLEEP, Ground
from faults.holds import wait_for_process
from faults.outcomes import passes, reason, refused, traced
from tests.engine.projects import Result

FAMILY = "Damaged folders"
_PLAIN = f"FROM {BASE}\nRUN true\n"
_DEAD = "deadfa17"
"""The id of a sandbox that nobody owns."""


def state_is_file(ground: Ground) -> Evidence:
    state = ground.fresh("state") / "ci-budget"
    state.mkdir(parents=True)
    (state / "sandboxes").write_text("no folder\n")
    done = ground.project(_PLAIN).check(env={"CI_BUDGET_STATE": str(state)})
    kept = (state / "sandboxes").read_text() == "no folder\n"
    problems = () if kept else ("the file was removed",)
    return refused(done, "`sandboxes` in the state directory was a file", 3, problems=problems)


def state_read_only(ground: Ground) -> Evidence:
    with small_disk(ground.fresh("disk"), 700 * MIB) as disk:
        (disk.mount / "ci-budget").mkdir()
        disk.make_read_only()
        done = ground.project(_PLAIN).check(env={"CI_BUDGET_STATE": str(disk.mount / "ci-budget")})
    return refused(done, "the state directory's filesystem was mounted read-only", 3)


def _abandoned(ground: Ground) -> Path:
    folder = ground.state / "sandboxes" / _DEAD
    folder.mkdir(parents=True)
    (folder / "owner").write_text("4194304\n")
    return folder


def _precious(ground: Ground) -> Path:
    folder = ground.fresh("precious")
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work\n")
    ground.keepsakes.keep_files(folder)
    return folder


def _mended(ground: Ground, fired: str, said: str = f"removed what the killed run {_DEAD}") -> Evidence:
    done = ground.project(_PLAIN).check()
    problems: tuple[str, ...] = () if said in done.stderr else (f"no word of it: {done.stderr}",)
    if (ground.state / "sandboxes" / _DEAD).exists():
        problems += ("the folder is still there",)
    return passes(done, fired, "the folder is removed, what it led to is untouched", problems)


def state_garbage(ground: Ground) -> Evidence:
    folder = _abandoned(ground)
    (folder / "owner").write_bytes(os.urandom(4096))
    (folder / "disk.ext4").write_bytes(os.urandom(65536))
    (folder / "mnt").write_text("a file, no folder\n")
    return _mended(ground, "a sandbox's folder held noise for its owner, its disk and its mount point")


def state_links(ground: Ground) -> Evidence:
    precious, folder = _precious(ground), _abandoned(ground)
    (folder / "mnt").symlink_to(precious)
    (folder / "tmp").symlink_to(precious)
    return _mended(ground, "links in an abandoned sandbox's folder led to files of the user's")


def state_is_link(ground: Ground) -> Evidence:
    precious = _precious(ground)
    (ground.state / "sandboxes").mkdir(exist_ok=True)
    link = ground.state / "sandboxes" / _DEAD
    link.symlink_to(precious)
    done = ground.project(_PLAIN).check()
    link.unlink()
    return passes(done, "a link of a sandbox's name led to files of the user's", "the link is not followed")


def state_foreign_mount(ground: Ground) -> Evidence:
    precious, folder = _precious(ground), _abandoned(ground)
    point = folder / "tmp"
    point.mkdir()
    subprocess.run(["mount", "--bind", precious, point], check=True)
    try:
        if not (point / "thesis.txt").exists():
            raise NotFiredError("the bind mount shows nothing")
        return _mended(ground, "files of the user's were bind-mounted inside an abandoned sandbox's folder")
    finally:
        subprocess.run(["umount", "--lazy", point], capture_output=True)


def state_removed(ground: Ground) -> Evidence:
    """Somebody cleans up the state directory under a run."""
    with ground.running(ground.project(f"FROM {BASE}\nRUN sleep 4\n")) as check:
        wait_for_process(check, "sleep", "4")
        folder = ground.state / "sandboxes" / ground.sandbox_id()
        (folder / "owner").unlink()
        (folder / "disk.ext4").unlink()
        done = check.finish()
    return passes(done, "owner and disk file were unlinked while the step slept", "the kernel keeps both until the end")


def report_read_only(ground: Ground) -> Evidence:
    """A report folder that an earlier run wrote into, on a filesystem that is read-only now."""
    with small_disk(ground.fresh("disk"), 16 * MIB) as disk:
        project = ground.project(_PLAIN)
        folder = disk.mount / "report"
        ground.next_run(project, "--report", str(folder))
        disk.make_read_only()
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        done = project.check("--report", str(folder))
        after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    problems = () if before == after else ("the old report changed",)
    return refused(done, "the report's filesystem was mounted read-only", 2, problems=problems)


def report_foreign(ground: Ground) -> Evidence:
    project = ground.project(_PLAIN)
    (project.report_folder / "report.json").write_text('{"mine": true}\n')
    ground.keep(project)
    with ground.running(project) as check:
        code = check.process.wait()
        done = Result(exit_code=code, stdout="", stderr=check.said, report={}, folder=project.report_folder)
    fired = "the report folder held a report.json that no run of the tool wrote"
    return Evidence(
        fired=fired,
        outcome=f"nothing is built: {done.stderr.strip().removeprefix('ci-budget: ')}",
        exit_code=done.exit_code,
        expected=(2,),
    )


def report_removed(ground: Ground) -> Evidence:
    """Somebody removes the report folder under a run."""
    with ground.running(ground.project(f"FROM {BASE}\nRUN sleep {SLEEP[:1]}\n")) as check:
        wait_for_process(check, "sleep", SLEEP[:1])
        folder = check.project.report_folder
        for path in [one for one in ground.keepsakes.files if one.is_relative_to(folder)]:
            del ground.keepsakes.files[path]
        shutil.rmtree(folder)
        done = check.finish()
    return Evidence(
        fired="the report folder was removed while the step slept",
        outcome=f"no report: {reason(done)}",
        exit_code=done.exit_code,
        expected=(3,),
        problems=traced(done),
    )


FAULTS = [
    Fault(family=FAMILY, name=name, text=text, inject=inject)
    for name, text, inject in (
        ("state-file", "the state directory's folder is a file", state_is_file),
        ("state-read-only", "the state directory is read-only", state_read_only),
        ("state-noise", "a killed run's state files are noise", state_garbage),
        ("state-links", "a killed run's folder holds links to the user's files", state_links),
        ("state-link", "a sandbox's folder is a link to the user's files", state_is_link),
        ("state-mount", "the user's files are mounted inside a killed run's folder", state_foreign_mount),
        ("state-removed", "somebody removes a living run's state files", state_removed),
        ("report-read-only", "the report folder is read-only", report_read_only),
        ("report-foreign", "the report folder holds a foreign report.json", report_foreign),
        ("report-removed", "somebody removes the report folder while a stage is built", report_removed),
    )
]
