"""A reserved filesystem for Docker's data-root: a logical volume where a group has room, else a file on a loop device.

The file is reserved as a whole, and nothing may give its blocks back to the host: no discards at mkfs and mount, none
by fstrim's timer, and no inode tables that the kernel zeroes later, which on a loop device punches holes. With systemd
the engine never starts while the filesystem is not mounted, which would let it write below the mount point, on the very
disk that is to be spared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ci_budget.core.text.units import format_size
from ci_budget.core.volume.groups import VolumeGroup
from ci_budget.core.volume.steps import Command, DirectLoop, Step, WriteFile

LABEL = "ci-budget-docker"
LEAST_SIZE = 10**9
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._@+/-]+")
_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.+-]{0,100}")
_MIB = 2**20
_OPTIONS = "noatime,nofail"
_FILE_OPTIONS = "loop,noatime,nodiscard,noinit_itable,nofail,X-fstrim.notrim"
DROP_IN = "/etc/systemd/system/docker.service.d/ci-budget-volume.conf"


@dataclass(frozen=True, kw_only=True)
class VolumeWish:
    """What is wanted: `size` bytes for `data_root`. `group`: this volume group; `file`: a loop file, here, whatever
    groups there are. `reserve`: bytes that must stay free where the file lies."""

    data_root: str
    size: int
    name: str
    group: str | None
    file: str | None
    reserve: int
    fstab: str


@dataclass(frozen=True, kw_only=True)
class VolumeFacts:
    """The host as it is. `entries`: how many things lie in the data-root. `file_*`: of where the loop file would lie.

    `taken`: names of logical volumes that are there, as `GROUP/NAME`.
    """

    engine_runs: bool
    entries: int
    mounted: bool
    in_fstab: bool
    groups: Sequence[VolumeGroup]
    taken: Sequence[str]
    file: str
    file_exists: bool
    file_available: int
    systemd: bool


@dataclass(frozen=True, kw_only=True)
class VolumePlan:
    """`device`: what fstab names; `title`: one sentence for a person; `file` is set for a loop file."""

    title: str
    device: str
    fstab_line: str
    steps: tuple[Step, ...]
    file: str | None


def choose_group(wish: VolumeWish, facts: VolumeFacts) -> VolumeGroup | None:
    """The volume group to take; None for a loop file."""
    if wish.file is not None:
        return None
    fit = [group for group in facts.groups if group.free >= wish.size and wish.group in (None, group.name)]
    return max(fit, key=lambda group: group.free, default=None)


def find_obstacles(wish: VolumeWish, facts: VolumeFacts) -> list[str]:
    """Everything that stands in the way, one sentence each; nothing is ever overwritten."""
    root, group = wish.data_root, choose_group(wish, facts)
    found = [
        f"'{path}' is no plain absolute path (letters, digits and ._@+/-)"
        for path in (root, facts.file, wish.fstab)
        if not _PLAIN_PATH.fullmatch(path)
    ]
    if not _NAME.fullmatch(wish.name):
        found.append(f"'{wish.name}' is no name for a volume")
    if wish.size < LEAST_SIZE:
        found.append(
            f"{format_size(wish.size)} is too little for an engine's data; {format_size(LEAST_SIZE)} is the least"
        )
    if facts.mounted:
        found.append(f"{root} is a mount point already")
    if facts.in_fstab:
        found.append(f"{wish.fstab} has a line for {root} already")
    if facts.engine_runs:
        found.append(f"the engine is running on {root}")
    if facts.entries and not facts.mounted:
        found.append(f"{root} is not empty: {facts.entries} {'entry' if facts.entries == 1 else 'entries'}")
    if wish.group is not None and group is None:
        found.append(_lacking(wish.group, wish.size, facts.groups))
    if group is not None and f"{group.name}/{wish.name}" in facts.taken:
        found.append(f"the logical volume {group.name}/{wish.name} is there already")
    if group is None and wish.group is None:
        if facts.file_exists:
            found.append(f"{facts.file} is there already")
        if facts.file_available < wish.size + wish.reserve:
            found.append(
                f"the disk of {facts.file} has {format_size(facts.file_available)} available; {format_size(wish.size)} "
                f"for the file and {format_size(wish.reserve)} that must stay free are needed"
            )
    return found


def plan_volume(wish: VolumeWish, facts: VolumeFacts) -> VolumePlan:
    """The steps, in order."""
    group = choose_group(wish, facts)
    if group is not None:
        device, file, options, check = f"/dev/{group.name}/{wish.name}", None, _OPTIONS, 2
        title = f"a logical volume of {format_size(wish.size)} in the group {group.name}"
        steps = _logical_volume(group.name, wish, device)
    else:
        device = file = facts.file
        options, check = _FILE_OPTIONS, 0  # fsck at boot takes devices only
        title = f"a reserved file of {format_size(wish.size)}, {file}, on a loop device"
        steps = _loop_file(file, wish.size)
    line = f"{device} {wish.data_root} ext4 {options} 0 {check}"
    steps = [Command(words=("mkdir", "--parents", wish.data_root)), *steps]
    steps.append(WriteFile(path=wish.fstab, text=f"{line}\n", append=True))
    if facts.systemd:
        steps.append(WriteFile(path=DROP_IN, text=_drop_in(wish.data_root, file)))
        steps.append(Command(words=("systemctl", "daemon-reload"), undo=("systemctl", "daemon-reload")))
    table = () if wish.fstab == "/etc/fstab" else ("--fstab", wish.fstab)
    steps.append(Command(words=("mount", *table, wish.data_root), undo=("umount", wish.data_root)))
    if file is not None:
        steps.append(DirectLoop(file=file))
    steps.append(Command(words=("chmod", "710", wish.data_root)))
    return VolumePlan(title=title, device=device, fstab_line=line, steps=tuple(steps), file=file)


def moving_advice(data_root: str, command: str) -> str:
    """How to put the volume under an engine that has data already."""
    stop = "systemctl stop docker.socket docker.service"
    return (
        f"To keep what is there: {stop}; mv {data_root} {data_root}.before; {command}; "
        f"cp --archive {data_root}.before/. {data_root}/; systemctl start docker.service"
    )


def _logical_volume(group: str, wish: VolumeWish, device: str) -> list[Step]:
    size = f"{-(-wish.size // _MIB)}m"
    create = ("lvcreate", "--yes", "--wipesignatures", "y", "--name", wish.name, "--size", size, group)
    return [
        Command(words=create, undo=("lvremove", "--yes", f"{group}/{wish.name}")),
        Command(words=("mkfs.ext4", "-q", "-m", "0", "-i", "8192", "-L", LABEL, device)),
    ]


def _loop_file(file: str, size: int) -> list[Step]:
    length = -(-size // _MIB) * _MIB
    return [
        Command(words=("fallocate", "--length", str(length), file), undo=("rm", "--force", file)),
        Command(words=("chmod", "600", file)),
        Command(
            words=(
                "mkfs.ext4",
                "-q",
                "-F",
                "-m",
                "0",
                "-i",
                "8192",
                "-E",
                "nodiscard,lazy_itable_init=0",
                "-L",
                LABEL,
                file,
            )
        ),
    ]


def _drop_in(data_root: str, file: str | None) -> str:
    text = f"[Unit]\nRequiresMountsFor={data_root}\n"
    if file is None:
        return text
    find = f"losetup --noheadings --output NAME --associated {file}"
    return f"{text}\n[Service]\nExecStartPre=-/bin/sh -c 'losetup --direct-io=on \"$$({find})\"'\n"


def _lacking(name: str, size: int, groups: Sequence[VolumeGroup]) -> str:
    for group in groups:
        if group.name == name:
            return f"the volume group {name} has {format_size(group.free)} free, less than {format_size(size)}"
    known = ", ".join(group.name for group in groups) or "there is none"
    return f"there is no volume group {name} (known: {known})"
