"""The file that a command's output is written to instead of the terminal: whole, or as it was."""

from __future__ import annotations

import stat
from pathlib import Path

from ci_budget.edges.files.whole_file import replace_file
from ci_budget.errors import UnmeasuredError


def write_output_file(path: Path, text: str) -> None:
    """Write the text to `path`, whose folder is made; links are followed, a device or a pipe gets it as it is.

    Raises UnmeasuredError when that is not possible; then a file that was there is still whole.
    """
    data = text.encode("utf-8", "replace")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode if path.exists() else stat.S_IFREG | 0o644
        if stat.S_ISREG(mode) and not path.absolute().is_relative_to("/dev"):  # /dev/stdout may be a file that is open
            target = path.resolve()
            replace_file(target, data, draft=f".{target.name[:80]}-", mode=stat.S_IMODE(mode))
        else:
            path.write_bytes(data)
    except OSError as error:
        raise UnmeasuredError(f"cannot write {path}: {error.strerror}") from error
