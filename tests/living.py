"""Whether a process goes on, as the kernel tells it."""

from __future__ import annotations

from pathlib import Path


def lives(pid: int) -> bool:
    """Whether there is such a process, and it is more than an exit status that nobody has asked for."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
