"""Files that are not what they were: config, baseline, seeds, the checkout."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from faults.fault import Evidence, Fault, NotFiredError
from faults.ground import BASE, Ground
from faults.outcomes import passes, reason, refused, traced
from tests.engine.projects import COMMAND, Project

FAMILY = "Damaged files"
_PLAIN = f"FROM {BASE}\nRUN true\n"


def config(content: bytes | int, ground: Ground) -> Evidence:
    """A config with this content, or cut off after so many bytes."""
    project = ground.project(_PLAIN)
    file = project.folder / "ci-budget.yml"
    file.write_bytes(file.read_bytes()[:content] if isinstance(content, int) else content)
    ground.keepsakes.files.clear()
    ground.keep(project)
    return refused(project.check(), f"the config held {file.stat().st_size:,} bytes: {file.read_bytes()[:24]!r}", 2)


def _with_baseline(ground: Ground) -> tuple[Project, Path]:
    project = ground.project(_PLAIN)
    (project.folder / ".dockerignore").write_text(".ci-budget\n")
    assert project.check().exit_code == 0
    update = [*COMMAND, "baseline", "update", "--report", str(project.report_folder)]
    subprocess.run(update, cwd=project.folder, check=True, capture_output=True)
    return project, project.folder / ".ci-budget" / "baseline.json"


def baseline(damage: Callable[[bytes], bytes], ground: Ground) -> Evidence:
    """A recorded baseline after this damage."""
    project, file = _with_baseline(ground)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    ground.keepsakes.keep_files(project.folder)
    fired = (
        f"the baseline had {file.stat().st_size:,} of {len(whole):,} bytes, beginning with {file.read_bytes()[:20]!r}"
    )
    return refused(project.check(), fired, 2)


def _newer(whole: bytes) -> bytes:
    found = json.loads(whole)
    return json.dumps({**found, "schema_version": found["schema_version"] + 1}).encode()


def seed(damage: Callable[[Path], str], ground: Ground) -> Evidence:
    """A kept seed after this damage, which returns the proof; the next run makes a sound one."""
    ground.without_seeds()
    project = ground.project(_PLAIN)
    ground.with_seed(project)
    (disk,) = (ground.state / "seeds").glob("*.ext4")
    proof = damage(disk)
    done = project.check()
    notes = " ".join(done.image["notes"]) if done.report else done.stderr
    told = "a damaged seed was removed" in notes
    again = ground.next_run(project)
    used = "bringing in" not in again.stderr
    return passes(
        done,
        proof,
        "the seed is removed, the bases are brought in anew, and a note says so",
        (() if told else (f"no word of it: {notes}",)) + (() if used else ("the run after it had no seed",)),
    )


def _cut(disk: Path) -> str:
    size = disk.stat().st_size
    os.truncate(disk, size // 2)
    return f"the seed had {size // 2:,} of its {size:,} bytes"


def _cut_facts(disk: Path) -> str:
    os.truncate(disk.with_suffix(".json"), 30)
    return "the seed's facts ended after 30 bytes"


def _flip(disk: Path) -> str:
    """As a failing disk: the content changes and no time stamp does."""
    before = disk.stat()
    with disk.open("r+b") as stream:
        stream.seek(4096)  # the group descriptors
        stream.write(b"\xff" * 4096)
    os.utime(disk, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = subprocess.run(["e2fsck", "-n", "-f", disk], capture_output=True)
    return f"4,096 bytes of the seed were overwritten behind its time stamp; e2fsck exits {found.returncode}"


def dockerfile_removed(ground: Ground) -> Evidence:
    """The checkout changes under a run, before the engine reads it."""
    project = ground.project(_PLAIN)
    ground.with_seed(project)
    file = project.folder / "Dockerfile"
    with ground.hold("buildx", "--call=targets") as held, ground.running(project, env=held.env) as check:
        held.wait(check)
        del ground.keepsakes.files[file]
        file.unlink()
        held.release()
        done = check.finish()
    return Evidence(
        fired="the Dockerfile was removed after the tool had read it and before the engine did",
        outcome=f"not measured: {reason(done)}",
        exit_code=done.exit_code,
        expected=(3,),
        problems=traced(done),
    )


def base_revision(ground: Ground) -> Evidence:
    """A pull request in a clone that lacks the base revision."""
    origin, project = ground.project(_PLAIN), ground.fresh("clone")

    def git(*words: str) -> str:
        name = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        done = subprocess.run(["git", *name, *words], cwd=origin.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "--quiet", "--initial-branch=main")
    git("add", ".")
    git("commit", "--quiet", "--message=base")
    base = git("rev-parse", "HEAD")
    git("commit", "--quiet", "--allow-empty", "--message=head")
    subprocess.run(["git", "clone", "--quiet", "--depth=1", origin.folder.as_uri(), project], check=True)
    event = ground.fresh("event")
    event.write_text(json.dumps({"pull_request": {"base": {"sha": base, "ref": "main"}, "number": 1}}))
    lacks = subprocess.run(["git", "cat-file", "-e", base], cwd=project, capture_output=True).returncode
    if not lacks:
        raise NotFiredError("the clone has the base revision")
    clone = Project(folder=project)
    env = {
        "CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(event),
        "GITHUB_BASE_REF": "main", "GITHUB_SHA": base, "GITHUB_REPOSITORY": "o/r", "GITHUB_WORKSPACE": str(project),
    }  # fmt: skip
    return refused(clone.check(env=env), f"`git cat-file -e {base[:7]}…` exits {lacks} in the clone", 3)


FAULTS = [
    Fault(family=FAMILY, name=name, text=text, inject=inject)
    for name, text, inject in (
        ("config-noise", "the config is noise", partial(config, bytes(range(256)))),
        ("config-cut", "the config is cut off", partial(config, 20)),
        ("baseline-cut", "the baseline is cut off", partial(baseline, lambda whole: whole[: len(whole) // 2])),
        ("baseline-empty", "the baseline is empty", partial(baseline, lambda whole: whole[:0])),
        ("baseline-newer", "the baseline is of a newer format", partial(baseline, _newer)),
        ("seed-cut", "a seed is cut off", partial(seed, _cut)),
        ("seed-facts", "a seed's facts are cut off", partial(seed, _cut_facts)),
        ("seed-rot", "a seed's content rots", partial(seed, _flip)),
        ("dockerfile-removed", "the Dockerfile is removed in the middle", dockerfile_removed),
        ("base-revision", "a pull request's base revision is missing", base_revision),
    )
]
