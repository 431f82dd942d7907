"""Which filesystem a path lies on, and how full it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ci_budget.core.health.facts import DiskFacts
from ci_budget.edges.filesystem import read_usage


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
    """Source, mount point and type of the filesystem that holds `path` (proc(5), mountinfo).

    dockerd binds its data-root onto itself: such a bind is no partition, the filesystem's own mount above it counts.
    """
    above = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields, _, rest = line.partition(" - ")
        _, _, device, root, point, *_ = fields.split(" ")
        kind, source, *_ = rest.split(" ")
        for code in ("040", "011", "012", "134"):
            point = point.replace(f"\\{code}", chr(int(code, 8)))
        if path.is_relative_to(point):
            above.append((len(Path(point).parts), device, root, source, point, kind))
    if not above:
        return "unknown", "/", "unknown"
    innermost = max(reversed(above), key=lambda mount: mount[0])  # of two on one point the later one shows
    whole = [mount for mount in above if mount[1] == innermost[1] and mount[2] == "/"]
    _, _, _, source, point, kind = max(reversed(whole), key=lambda mount: mount[0]) if whole else innermost
    return source, point, kind
