"""Looks at what a volume for Docker's data would meet on this host, and makes it; undone whole where a step fails."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from ci_budget.core.volume.creation import VolumeFacts, VolumePlan
from ci_budget.core.volume.groups import (
    GROUP_FIELDS,
    VOLUME_FIELDS,
    LogicalVolume,
    VolumeGroup,
    read_groups,
    read_volumes,
)
from ci_budget.core.volume.steps import Command, DirectLoop, Step, WriteFile
from ci_budget.edges.host.filesystem import read_usage
from ci_budget.edges.host.mount_table import innermost_mount, read_mounts
from ci_budget.edges.processes import run
from ci_budget.edges.sandbox.loop_filesystem import check_reservation, loop_devices
from ci_budget.errors import CiBudgetError, UnmeasuredError

_REPORT = ("--reportformat", "json", "--units", "b", "--nosuffix", "-o")
_MKFS_TIMEOUT = 1800.0


def gather_volume_facts(data_root: Path, file: Path, fstab: Path, *, engine_root: str | None) -> VolumeFacts:
    """The host as it is. `engine_root`: the data-root of the engine that answers. Raises UnmeasuredError."""
    engine_runs = engine_root is not None and os.path.realpath(engine_root) == os.path.realpath(data_root)
    mounts = [mount for mount in read_mounts() if mount.point == os.path.realpath(data_root)]
    try:
        return VolumeFacts(
            engine_runs=engine_runs,
            entries=len(list(data_root.iterdir())) if data_root.is_dir() else 0,
            # A running dockerd binds its data-root onto itself, which is no filesystem of its own.
            mounted=any(mount.root == "/" or not engine_runs for mount in mounts),
            in_fstab=any(line.split()[1:2] == [str(data_root)] for line in _lines(fstab)),
            groups=find_groups(),
            taken=[volume.path for volume in _volumes()],
            file=str(file),
            file_exists=os.path.lexists(file),
            file_available=read_usage(_nearest(file.parent)).available,
            systemd=Path("/run/systemd/system").is_dir(),
        )
    except OSError as error:
        raise UnmeasuredError(f"{error.filename} cannot be looked at: {error.strerror}") from error


def find_groups() -> tuple[VolumeGroup, ...]:
    """The volume groups of this host; none where LVM is not installed."""
    return read_groups(_lvm("vgs", GROUP_FIELDS)) if shutil.which("vgs") else ()


def volume_below(data_root: Path) -> LogicalVolume:
    """The logical volume that is mounted at `data_root`. Raises UnmeasuredError where something else is."""
    mount = innermost_mount(Path(os.path.realpath(data_root)), read_mounts())
    source = mount.source if mount is not None else "nothing"
    if shutil.which("lvs") is None:
        raise UnmeasuredError(f"{data_root} lies on {source}, and LVM is not installed here", mend=_NO_SNAPSHOT)
    if mount is None or mount.point != os.path.realpath(data_root):
        raise UnmeasuredError(f"{data_root} is no filesystem of its own, it lies on {source}", mend=_NO_SNAPSHOT)
    try:
        (volume,) = read_volumes(_lvm("lvs", VOLUME_FIELDS, source))
    except (UnmeasuredError, ValueError) as error:
        raise UnmeasuredError(f"{data_root} lies on {source}, which is no logical volume", mend=_NO_SNAPSHOT) from error
    return volume


_NO_SNAPSHOT = "Snapshots need LVM: `ci-budget volume create` takes a logical volume where a volume group has room."


def carry_out(plan: VolumePlan, say: Callable[[str], None]) -> None:
    """Take the steps. Raises UnmeasuredError with the step that failed, after those before it were undone."""
    with contextlib.ExitStack() as undoing:
        for step in plan.steps:
            say(step.shown.splitlines()[0])
            undoing.callback(_undo, step, _before(step))
            _take(step)
            if isinstance(step, Command) and step.words[0] == "mkfs.ext4" and plan.file is not None:
                check_reservation(Path(plan.file), Path(plan.file).stat().st_size)
        undoing.pop_all()


def _take(step: Step) -> None:
    if isinstance(step, Command):
        run(step.words, timeout=_MKFS_TIMEOUT)
    elif isinstance(step, DirectLoop):
        for device in loop_devices(Path(step.file)):
            run(["losetup", "--direct-io=on", device], check=False)  # slower without it, and whole
    else:
        try:
            path = Path(step.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            before = _before(step) or b""
            if step.append and before and not before.endswith(b"\n"):
                before += b"\n"
            _replace(path, (before if step.append else b"") + step.text.encode())
        except OSError as error:
            raise UnmeasuredError(f"cannot write {step.path}: {error.strerror}") from error


def _before(step: Step) -> bytes | None:
    """What a file held before; None where there was none."""
    if isinstance(step, WriteFile):
        with contextlib.suppress(FileNotFoundError):
            return Path(step.path).read_bytes()
    return None


def _undo(step: Step, before: bytes | None) -> None:
    with contextlib.suppress(CiBudgetError, OSError):
        if isinstance(step, Command) and step.undo:
            run(step.undo, check=False)
        elif isinstance(step, WriteFile) and before is None:
            Path(step.path).unlink(missing_ok=True)
        elif isinstance(step, WriteFile) and before is not None:
            _replace(Path(step.path), before)


def _replace(path: Path, data: bytes) -> None:
    """The whole file or nothing, with the rights of the one that was there."""
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.ci-budget")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _volumes() -> Sequence[LogicalVolume]:
    return read_volumes(_lvm("lvs", VOLUME_FIELDS)) if shutil.which("lvs") else ()


def _lvm(program: str, fields: str, *names: str) -> str:
    try:
        return run([program, *_REPORT, fields, *names], env={"LC_ALL": "C"}).text
    except ValueError as error:
        raise UnmeasuredError(f"{program} gave no answer that can be read: {error}") from error


def _lines(file: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return [line for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if line[:1] != "#"]
    return []


def _nearest(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
