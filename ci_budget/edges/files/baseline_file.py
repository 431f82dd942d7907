"""The baseline as a file: read bounded, replaced atomically under a lock on its folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ci_budget.core.records.baseline import DEFAULT_PATH as DEFAULT_PATH
from ci_budget.core.records.baseline import LARGEST_FILE, Baseline, parse_baseline, render_baseline
from ci_budget.edges import git
from ci_budget.edges.files.config_file import read_bounded
from ci_budget.edges.files.whole_file import replace_file
from ci_budget.errors import ConfigError

NO_BASELINES = "none"
"""Given as --baseline: compare with none, as a first run would; so values for a new setup can be recorded."""


def baseline_path(config_folder: Path, explicit: Path | None) -> Path:
    """`explicit`, else `.ci-budget/baseline.json` beside the config."""
    return explicit if explicit is not None else config_folder / DEFAULT_PATH


def read_baseline(config_folder: Path, explicit: Path | None = None) -> Baseline:
    """The baseline. `explicit` is --baseline: it must exist; `none` means none.

    Without it a missing file is an empty baseline. Raises ConfigError, with what to do, for any file that is
    not a whole baseline of this format.
    """
    if explicit is not None and str(explicit) == NO_BASELINES:
        return Baseline()
    path = baseline_path(config_folder, explicit)
    if not os.path.lexists(path):
        if explicit is not None:
            raise ConfigError(
                f"there is no baseline file {path}",
                mend=f"Leave --baseline out, write `--baseline {NO_BASELINES}`, or record one with "
                "`ci-budget baseline update`.",
            )
        return Baseline()
    return parse_baseline(read_bounded(path, LARGEST_FILE), str(path))


def read_baseline_at(config_folder: Path, revision: str, path: str = DEFAULT_PATH) -> Baseline:
    """The baseline at a revision; empty where that revision verifiably has none. `path` is relative to the folder.

    Raises UnmeasuredError when the revision is not there, ConfigError when the file is damaged there.
    """
    data = git.read_file_at(config_folder, revision, path)
    return Baseline() if data is None else parse_baseline(data, f"{path} at {revision}")


def change_baseline(path: Path, change: Callable[[Baseline], Baseline]) -> Baseline:
    """Replace the file by `change` of what it holds, atomically, while nobody else changes it.

    A missing file counts as empty. An unchanged baseline is not written. Raises ConfigError when the file
    cannot be read or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent):
            exists = os.path.lexists(path)
            before = parse_baseline(read_bounded(path, LARGEST_FILE), str(path)) if exists else Baseline()
            after = change(before)
            if after != before or not exists:
                file = path.resolve()
                mode = file.stat().st_mode & 0o777 if exists else 0o644
                replace_file(file, render_baseline(after).encode(), draft=".baseline-", mode=mode, durable=True)
    except OSError as error:
        raise ConfigError(f"cannot write the baseline: {error.strerror}", file=path) from error
    return after


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The lock is on the folder itself, so that no lock file lies in the repository."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.ENOLCK):  # a filesystem without locks
                raise
        yield
    finally:
        os.close(handle)
