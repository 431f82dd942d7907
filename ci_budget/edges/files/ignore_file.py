"""The ignore file of a context as a file that is written: whole or not at all, with the mode it had."""

from __future__ import annotations

import os
from pathlib import Path

from ci_budget.core.context.ignore import LARGEST_FILE
from ci_budget.edges.files.config_file import read_bounded
from ci_budget.edges.files.context_files import find_ignore_file
from ci_budget.edges.files.whole_file import replace_file
from ci_budget.errors import ConfigError


def ignore_file_of(context: Path, dockerfile: Path) -> Path:
    """The ignore file that counts, its links resolved; where there is none, the `.dockerignore` to be made.

    Raises UnmeasuredError when a folder cannot be looked into, ConfigError where in its place lies a link that the
    engine does not follow: a file would take its place, or be written elsewhere.
    """
    found = find_ignore_file(context, dockerfile)
    if found is not None:
        return found
    file = context / ".dockerignore"
    if file.is_symlink():
        raise ConfigError(
            f"this is a link to {file.readlink()}, which leads to no file in the context: the engine does not follow "
            "it and ignores nothing",
            mend="Put a file in its place, or a link to one inside the context.",
            file=os.path.relpath(file),
        )
    return file


def read_ignore_file(path: Path) -> bytes:
    """Its bytes, none where it does not exist. Raises ConfigError when it cannot be read."""
    return read_bounded(path, LARGEST_FILE) if os.path.lexists(path) else b""


def write_ignore_file(path: Path, data: bytes) -> None:
    """Put a new text in its place. Raises ConfigError when that is not possible; then the old one stays."""
    try:
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
        replace_file(path, data, draft=f"{path.name}.", mode=mode)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", file=path) from None
