"""A snapshot of the logical volume below Docker's data, before a build that must not go wrong."""

from __future__ import annotations

from dataclasses import dataclass

from ci_budget.core.text.units import format_size
from ci_budget.core.volume.groups import LogicalVolume
from ci_budget.core.volume.steps import Command

_MIB = 2**20
_SHARE = 5  # a fifth of the volume where no size is asked for


@dataclass(frozen=True, kw_only=True)
class SnapshotPlan:
    """The command that takes the snapshot, and what to type to give it up or to go back to it."""

    name: str
    command: Command
    drop: tuple[str, ...]
    go_back: tuple[str, ...]


def find_snapshot_obstacle(volume: LogicalVolume, size: int | None) -> str | None:
    """Why no snapshot can be taken; None when it can."""
    if volume.pool:
        return None
    wanted = _size(volume, size)
    if volume.free < wanted:
        return (
            f"the volume group {volume.group} has {format_size(volume.free)} free; the snapshot needs "
            f"{format_size(wanted)}"
        )
    return None


def plan_snapshot(volume: LogicalVolume, data_root: str, size: int | None, stamp: str) -> SnapshotPlan:
    """`size` in bytes: how much may change before the snapshot is full and void; None for a fifth of the volume.

    A volume in a thin pool takes its blocks from the pool, and no size. `stamp` is the moment, for its name.
    """
    name = f"{volume.name}-before-{stamp}"
    words = ["lvcreate", "--yes", "--snapshot", "--name", name]
    words += ["--setactivationskip", "n"] if volume.pool else ["--size", f"{-(-_size(volume, size) // _MIB)}m"]
    taken = f"{volume.group}/{name}"
    return SnapshotPlan(
        name=taken,
        command=Command(words=(*words, volume.path), undo=("lvremove", "--yes", taken)),
        drop=(f"lvremove --yes {taken}",),
        go_back=(
            "systemctl stop docker.socket docker.service",
            f"umount {data_root}",
            f"lvconvert --merge {taken}",
            f"mount {data_root}",
            "systemctl start docker.service",
        ),
    )


def _size(volume: LogicalVolume, size: int | None) -> int:
    return size if size is not None else volume.size // _SHARE
