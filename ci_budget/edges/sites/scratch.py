"""Folders for what is needed only for a moment; their names say whose they are, so that none outlives a killed run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"ci-budget-(\d+)-(\d+)-(\d+)-\w+")


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder of this process's own below the system's folder for temporary files; gone afterwards."""
    prefix = f"ci-budget-{_namespace()}-{os.getpid()}-{_start_time(os.getpid())}-"
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        yield Path(name)


def sweep_scratch() -> None:
    """Remove this user's folders whose process is gone. Those of other process namespaces are left: who knows."""
    for folder in Path(tempfile.gettempdir()).glob("ci-budget-*"):
        found = _NAME.fullmatch(folder.name)
        if found is None or int(found[1]) != _namespace() or found[3] == _start_time(int(found[2])):
            continue
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.geteuid() and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)


def _namespace() -> int:
    """Process ids mean something only within it."""
    return Path("/proc/self/ns/pid").stat().st_ino


def _start_time(pid: int) -> str:
    """In clock ticks since the machine started: with the id, no other process has both; empty where it is gone."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    return ""
