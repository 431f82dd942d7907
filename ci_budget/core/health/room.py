"""Is there room for a build? What it needs of one filesystem against what is available, with every number named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ci_budget.core.health.facts import DiskFacts
from ci_budget.core.text.units import format_size

LEAST_INODES = 1000
"""Free inodes below which no build starts, and at which the watchdog cancels one."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """Bytes that must be there, and what for: `for the sandbox (disk.budget 15.0 GB)`."""

    size: int
    purpose: str


@dataclass(frozen=True, kw_only=True)
class BuildNeeds:
    """What a build needs of one filesystem.

    `shares` are needed side by side. `free_first`: what must be free before the build whatever it is for (None where no
    size is expected). `inodes`: how many the build may take, beside the least that must stay.
    """

    shares: Sequence[Share]
    free_first: Share | None = None
    inodes: int = 0

    @property
    def bytes(self) -> int:
        """What must be available in all."""
        together = sum(share.size for share in self.shares)
        return max(together, self.free_first.size if self.free_first else 0)


def describe_room(disk: DiskFacts, needs: BuildNeeds) -> str:
    """One sentence with the filesystem, what it has, and what is needed of it for what."""
    shares = [share for share in needs.shares if share.size]
    total = format_size(sum(share.size for share in shares))
    parts = " and ".join(f"{format_size(share.size)} {share.purpose}" for share in shares)
    wants = [parts if len(shares) == 1 else f"{total} ({parts})"] if shares else []
    if needs.free_first is not None:
        wants.append(f"{format_size(needs.free_first.size)} free before it starts ({needs.free_first.purpose})")
    if disk.inodes:
        wants.append(f"{needs.inodes + LEAST_INODES:,} inodes")
    own = "the system's own disk" if disk.is_root else "no partition of its own"
    place = f"{disk.kind} on {disk.mount_point}" + ("" if disk.path == disk.mount_point else f", {own}")
    has = format_size(disk.available) + (f" and {disk.free_inodes:,} inodes" if disk.inodes else "")
    return f"{disk.path} ({place}) has {has} available; this build needs {'; '.join(wants)}"


def has_room(disk: DiskFacts, needs: BuildNeeds) -> bool:
    """Whether everything that is needed is available."""
    return disk.available >= needs.bytes and (not disk.inodes or disk.free_inodes >= needs.inodes + LEAST_INODES)
