"""The file that node_exporter's textfile collector reads: replaced whole, so that it never reads half of one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ci_budget.errors import ConfigError


def write_metrics(path: Path, text: str) -> None:
    """Replace `path` atomically, readable by all. Raises ConfigError when it cannot be written."""
    try:
        # Its name must not end with .prom, or the collector would read it as well.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(handle, 0o644)
            os.fsync(handle)
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise _unwritable(path, error) from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot write {path}: {error.strerror}", mend="Name a file in a folder that you may write.")
