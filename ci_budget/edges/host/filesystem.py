"""Levels and kinds of the filesystems of this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ci_budget.edges.host.mount_table import innermost_mount, read_mounts


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
    found = innermost_mount(path.resolve(), read_mounts())
    return "unknown" if found is None else found.kind
