"""The mounts of this process, as the kernel tells them (proc_pid_mountinfo(5))."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_TABLE = Path("/proc/self/mountinfo")
_ESCAPES = ("040", "011", "012", "134")  # space, tab, newline; the backslash last: it may come out of no other


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One mount. `device`: major:minor; `root`: what of the filesystem is mounted (`/`: all of it)."""

    device: str
    root: str
    point: str
    kind: str
    source: str


def read_mounts(table: Path = _TABLE) -> list[Mount]:
    """All mounts, the oldest first."""
    mounts = []
    for line in table.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields, _, rest = line.partition(" - ")
        _, _, device, root, point, *_ = fields.split(" ")
        kind, source, *_ = rest.split(" ")
        mounts.append(Mount(device=device, root=_plain(root), point=_plain(point), kind=kind, source=_plain(source)))
    return mounts


def innermost_mount(path: Path, mounts: list[Mount]) -> Mount | None:
    """The mount that shows `path` (absolute, resolved); of two on one point the later one covers the other."""
    above = [mount for mount in mounts if path.is_relative_to(mount.point)]
    return max(reversed(above), key=lambda mount: len(Path(mount.point).parts), default=None)


def _plain(text: str) -> str:
    for code in _ESCAPES:
        text = text.replace(f"\\{code}", chr(int(code, 8)))
    return text
