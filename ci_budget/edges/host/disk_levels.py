"""Which filesystem a path lies on, and how full it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ci_budget.core.health.facts import DiskFacts
from ci_budget.edges.host.filesystem import read_usage
from ci_budget.edges.host.mount_table import innermost_mount, read_mounts


def read_disk(path: Path, holds: str) -> DiskFacts:
    """The filesystem that holds `path`. Raises OSError where this user cannot see the path."""
    usage = read_usage(path)
    source, point, kind = _mount_of(path.resolve())
    root_source, _, _ = _mount_of(Path("/"))
    same_device = path.stat().st_dev == Path("/").stat().st_dev
    return DiskFacts(
        holds=holds,
        path=str(path),
        mount_point="/" if same_device else point,
        kind=kind,
        # A btrfs subvolume has a device number of its own and yet the root's disk under it.
        is_root=same_device or (source.startswith("/dev/") and source == root_source),
        total=usage.total,
        free=usage.free,
        available=usage.available,
        inodes=usage.total_inodes,
        free_inodes=usage.free_inodes,
    )


def distinct_disks(disks: Sequence[DiskFacts]) -> tuple[DiskFacts, ...]:
    """One entry a mount point, in the order given; `holds` of those that share one are joined."""
    found: dict[str, DiskFacts] = {}
    for disk in disks:
        first = found.get(disk.mount_point)
        if first is None:
            found[disk.mount_point] = disk
        elif disk.holds not in first.holds:
            joined = {**vars(first), "holds": f"{first.holds}, {disk.holds}"}
            found[disk.mount_point] = DiskFacts(**joined)
    return tuple(found.values())


def _mount_of(path: Path) -> tuple[str, str, str]:
    """Source, mount point and type of the filesystem that holds `path`.

    dockerd binds its data-root onto itself: such a bind is no partition, the filesystem's own mount above it counts.
    """
    mounts = read_mounts()
    found = innermost_mount(path, mounts)
    if found is None:
        return "unknown", "/", "unknown"
    whole = innermost_mount(path, [mount for mount in mounts if mount.device == found.device and mount.root == "/"])
    chosen = whole or found
    return chosen.source, chosen.point, chosen.kind
