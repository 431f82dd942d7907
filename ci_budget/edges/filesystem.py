"""Levels and kinds of the filesystems of this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Usage:
    """A filesystem's levels: bytes and inodes, in total and free."""

    total: int
    free: int
    available: int
    total_inodes: int
    free_inodes: int

    @property
    def used(self) -> int:
        """`f_blocks - f_bfree`, in bytes."""
        return self.total - self.free


def read_usage(path: Path | int) -> Usage:
    """The levels of the filesystem that holds `path` (or an open descriptor)."""
    levels = os.statvfs(path)
    return Usage(
        total=levels.f_blocks * levels.f_frsize,
        free=levels.f_bfree * levels.f_frsize,
        available=levels.f_bavail * levels.f_frsize,
        total_inodes=levels.f_files,
        free_inodes=levels.f_ffree,
    )


def block_size(path: Path) -> int:
    """Bytes of a block of the filesystem that holds `path`."""
    return os.statvfs(path).f_frsize


def filesystem_type(path: Path) -> str:
    """The type of the filesystem that holds `path`, as mount names it."""
    longest, kind = -1, "unknown"
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
        _, point, name, *_ = line.split(" ")
        inside = str(path) == point or f"{path}/".startswith(point.rstrip("/") + "/")
        if inside and len(point) >= longest:
            longest, kind = len(point), name
    return kind
