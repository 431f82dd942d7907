"""No room in the sandbox: in each stage, in a copy, in the export, in the import of a base; no inodes."""

from __future__ import annotations

from faults.disks import MIB
from faults.fault import Evidence, Fault, NotFiredError
from faults.ground import BASE, Ground
from faults.holds import listening
from faults.outcomes import reason
from tests.engine.projects import Project, Result

FAMILY = "No room in the sandbox"
_FILL = "dd if=/dev/zero of=/x bs=1M"
# Leaves 150 kB, less than what the engine writes when it makes an image of the 30,000 files.
_LEAVE_LITTLE = (
    "mkdir /many && cd /many && seq 30000 | xargs -n 4000 touch && sync && "
    "dd if=/dev/zero of=/x bs=4k count=$(( ($(df -k / | awk 'END { print $4 }') - 150) / 4 ))"
)


def _ceiling(ground: Ground, project: Project, *, blamed: str) -> Evidence:
    """A build that must end at the ceiling, in this stage or step, as the engine's own events show."""
    with listening(ground.fresh("listener")) as listener:
        done = project.check(env=listener.env)
        said = "no space left on device"
        if said not in listener.heard().lower():
            raise NotFiredError(f"'{said}' was never said:\n{done.stdout}{done.stderr}")
    failure = done.image["failure"] or {}
    place = f"{failure.get('stage')} {failure.get('step')}"
    return Evidence(
        fired=f"the engine's own events say `{said}`",
        outcome=f"fails: {failure.get('message', '')}",
        exit_code=done.exit_code,
        expected=(1,),
        problems=() if failure.get("kind") == "ceiling" and blamed in place.split() else (f"blamed: {failure}",),
    )


def _all_words(done: Result) -> str:
    logs = [path.read_text(errors="replace") for path in sorted((done.folder / "logs").rglob("*.log"))]
    return " ".join([*logs, str(done.report.get("images")), done.stdout, done.stderr])


def first_stage(ground: Ground) -> Evidence:
    project = ground.project(f"FROM {BASE} AS early\nRUN {_FILL} count=400\nFROM early AS late\nRUN true\n")
    return _ceiling(ground, project, blamed="early")


def last_stage(ground: Ground) -> Evidence:
    project = ground.project(
        f"FROM {BASE} AS early\nRUN {_FILL} count=100\nFROM early AS late\nRUN {_FILL} count=400\n"
    )
    return _ceiling(ground, project, blamed="late")


def hidden(ground: Ground) -> Evidence:
    project = ground.project(f"FROM {BASE} AS early\nRUN {_FILL} count=400 || true\n")
    return _ceiling(ground, project, blamed="early")


def copying(ground: Ground) -> Evidence:
    project = ground.project(f"FROM {BASE} AS early\nCOPY big /big\n")
    with (project.folder / "big").open("wb") as stream:
        stream.write(b"\1" * (180 * MIB))  # once as the context's copy, once in the layer: more than the budget
    return _ceiling(ground, project, blamed="early")


def exporting(ground: Ground) -> Evidence:
    project = ground.project(f"FROM {BASE} AS early\nRUN {_LEAVE_LITTLE}\n")
    return _ceiling(ground, project, blamed="exporting")


def importing(ground: Ground) -> Evidence:
    name = "faults-large-base"
    text = f"FROM {BASE}\nRUN {_FILL} count=400\n"
    ground.engine.docker("build", "--quiet", "--tag", name, "-", stdin=text.encode())
    try:
        done = ground.project(f"FROM {name}\nRUN true\n").check()
    finally:
        ground.engine.docker("image", "rm", "--force", name)
    if "bringing in" not in done.stderr or "building stage" in done.stderr:
        raise NotFiredError(f"it did not end while the base was brought in:\n{done.stderr}")
    return Evidence(
        fired="the base holds 419 MB, the sandbox 300 MB; the run ended after `bringing in` and before any build",
        outcome=f"fails: {reason(done)}",
        exit_code=done.exit_code,
        expected=(1,),
    )


def inodes(ground: Ground) -> Evidence:
    project = ground.project(f"FROM {BASE} AS early\nRUN mkdir /m && cd /m && seq 300000 | xargs -n 4000 touch\n")
    done = project.check()
    words = _all_words(done)
    if "No space left on device" not in words:
        raise NotFiredError(f"the inodes never ran out:\n{done.stdout}{done.stderr}")
    failure = done.image["failure"]
    return Evidence(
        fired="`touch` said `No space left on device` with most bytes free",
        outcome=f"fails: {failure['message']}",
        exit_code=done.exit_code,
        expected=(1,),
        problems=() if "no free inodes left" in failure["message"] else (f"blamed: {failure}",),
    )


FAULTS = [
    Fault(family=FAMILY, name=name, text=text, inject=inject)
    for name, text, inject in (
        ("enospc-first-stage", "the first of two stages fills the sandbox", first_stage),
        ("enospc-last-stage", "the last of two stages fills the sandbox", last_stage),
        ("enospc-hidden", "a step fills the sandbox and hides it (`|| true`)", hidden),
        ("enospc-copy", "a COPY of a large context fills the sandbox", copying),
        ("enospc-export", "the sandbox runs full during the export", exporting),
        ("enospc-import", "the sandbox runs full during the import of a base", importing),
        ("inodes-sandbox", "a step takes all inodes of the sandbox", inodes),
    )
]
