"""Tracebacks of bugs, kept for whoever reports them: a few, and for some time."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from ci_budget.edges.sites.state import state_directory
from ci_budget.errors import CiBudgetError

_MOST = 20
_KEPT_FOR = 30 * 24 * 3600  # seconds


def keep_crash_report(text: str) -> Path | None:
    """Write the text to a file of its own, the oldest making room; None where that cannot be done."""
    try:
        folder = _folder(state_directory())
        folder.mkdir(exist_ok=True)
        handle, name = tempfile.mkstemp(prefix="crash-", suffix=".txt", dir=folder)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        for report in _oldest_first(folder)[:-_MOST]:
            report.unlink(missing_ok=True)
    except (OSError, CiBudgetError):
        return None
    return Path(name)


def old_crash_reports(root: Path, now: float) -> list[Path]:
    """Those below this state directory that nobody will report any more. Raises OSError where they cannot be seen."""
    return [report for report in _oldest_first(_folder(root)) if now - report.stat().st_mtime >= _KEPT_FOR]


def _folder(root: Path) -> Path:
    return root / "crashes"


def _oldest_first(folder: Path) -> list[Path]:
    found = []
    for report in folder.glob("crash-*.txt"):
        with contextlib.suppress(FileNotFoundError):
            found.append((report.stat().st_mtime, report))
    return [report for _, report in sorted(found)]
