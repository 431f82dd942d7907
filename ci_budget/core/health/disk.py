"""Checks of disks: a partition of their own for the engine's data, its level, its inodes, room for the next build."""

from __future__ import annotations

from decimal import Decimal

from ci_budget.core.health.facts import DiskFacts, EngineHealth, Thresholds
from ci_budget.core.health.finding import Finding, Status
from ci_budget.core.text.units import format_size

_GIVE_BACK = "ci-budget prune --engine --dry-run, then without --dry-run"


def check_partition(engine: EngineHealth, thresholds: Thresholds) -> Finding:
    """The engine's data lies on a filesystem of its own that is large enough, so that it can never fill the root."""
    check, disk = "partition", engine.data
    unseen = _unseen(check, engine)
    if unseen is not None or disk is None:
        return unseen or _skipped(check, engine)
    wanted = format_size(thresholds.partition)
    size = f"{format_size(disk.total)} {disk.kind}"
    if disk.is_root:
        return Finding(
            check=check,
            status=Status.WARN,
            message=f"{engine.data_root} lies on the root filesystem ({size}): Docker can fill the system's own disk",
            mend=_volume(thresholds.partition),
        )
    if disk.mount_point != engine.data_root:
        return Finding(
            check=check,
            status=Status.WARN,
            message=f"{engine.data_root} shares the filesystem {disk.mount_point} ({size}) with other data",
            mend=_volume(thresholds.partition),
        )
    if disk.total < thresholds.partition:
        return Finding(
            check=check,
            status=Status.WARN,
            message=f"{engine.data_root} has a partition of its own, of {size}; {wanted} or more is advised",
            mend="enlarge it (`lvextend --resizefs` on LVM), or set --partition to what your builds need",
        )
    return Finding(check=check, status=Status.OK, message=f"{engine.data_root} has a partition of its own, {size}")


def _volume(size: int) -> str:
    text = f"{size // 10**9}GB" if size % 10**9 == 0 else str(size)
    return f"ci-budget volume create --size {text} --dry-run; it says how to move the data that is there"


def check_level(disk: DiskFacts, thresholds: Thresholds) -> Finding:
    """The filesystem's level, as `df` counts it: used / (used + available to users)."""
    used = disk.total - disk.free
    usable = used + disk.available
    share = Decimal(100 * used) / usable if usable else Decimal(100)
    status = _judge(share, thresholds.disk_warn, thresholds.disk_critical)
    text = (
        f"{disk.mount_point} ({disk.holds}) is {_percent(share)} full: {format_size(disk.available)} of "
        f"{format_size(usable)} available"
    )
    return Finding(check=f"disk:{disk.mount_point}", status=status, message=text, mend=_mend(status))


def check_inodes(disk: DiskFacts, thresholds: Thresholds) -> Finding:
    """The filesystem's inodes: a disk can be full of files with space left."""
    check = f"inodes:{disk.mount_point}"
    if disk.inodes == 0:
        text = f"{disk.mount_point} ({disk.kind}) has no fixed number of inodes"
        return Finding(check=check, status=Status.OK, message=text)
    share = Decimal(100 * (disk.inodes - disk.free_inodes)) / disk.inodes
    status = _judge(share, thresholds.inodes_warn, thresholds.inodes_critical)
    text = f"{disk.mount_point} ({disk.holds}) uses {_percent(share)} of its inodes: {disk.free_inodes:,} left"
    return Finding(check=check, status=status, message=text, mend=_mend(status))


def check_largest_image(engine: EngineHealth, thresholds: Thresholds) -> Finding:
    """Free space is at least `free_factor` times the largest image, the least that building it anew needs."""
    check = "largest-image"
    unseen = _unseen(check, engine)
    if unseen is not None or engine.data is None:
        return unseen or _skipped(check, engine)
    if engine.largest_image is None:
        return Finding(check=check, status=Status.SKIPPED, message="the engine has no image to compare with")
    name, size = engine.largest_image
    needed = int(size * thresholds.free_factor)
    available = engine.data.available
    text = (
        f"{format_size(available)} available; {thresholds.free_factor.normalize():f}x the largest image ({name}, "
        f"{format_size(size)}) is {format_size(needed)}"
    )
    status = Status.OK if available >= needed else Status.WARN if available >= size else Status.CRITICAL
    return Finding(check=check, status=status, message=text, mend=_mend(status))


def _judge(share: Decimal, warn: Decimal, critical: Decimal) -> Status:
    return Status.CRITICAL if share >= critical else Status.WARN if share >= warn else Status.OK


def _mend(status: Status) -> str | None:
    return _GIVE_BACK if status > Status.OK else None


def _percent(share: Decimal) -> str:
    return f"{share:.1f} %"


def _skipped(check: str, engine: EngineHealth) -> Finding:
    why = engine.problem or f"the engine at {engine.address} is on another machine"
    return Finding(check=check, status=Status.SKIPPED, message=f"not looked at: {why}")


def _unseen(check: str, engine: EngineHealth) -> Finding | None:
    """A local engine whose data nobody can see from here is no reason to be content."""
    if engine.problem is None and engine.is_local and engine.data is None:
        return Finding(
            check=check,
            status=Status.WARN,
            message=f"the engine keeps its data in {engine.data_root}, which this user cannot see",
            mend="run doctor on the host itself, as root: sudo ci-budget doctor",
        )
    return None
