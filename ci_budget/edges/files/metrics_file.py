"""The file that node_exporter's textfile collector reads: replaced whole, so that it never reads half of one."""

from __future__ import annotations

from pathlib import Path

from ci_budget.edges.files.whole_file import replace_file
from ci_budget.errors import ConfigError


def write_metrics(path: Path, text: str) -> None:
    """Replace `path` atomically, readable by all. Raises ConfigError when it cannot be written."""
    try:
        # The draft's name does not end with .prom, or the collector would read it as well.
        replace_file(path, text.encode("utf-8"), draft=f".{path.name}.", durable=True)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}", mend="Name a file in a folder that you may write."
        ) from error
