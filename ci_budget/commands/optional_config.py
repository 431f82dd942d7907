"""The config for commands that work without one as well."""

from __future__ import annotations

import os
from pathlib import Path

from ci_budget.core.config.text import ParsedConfig
from ci_budget.edges.files.config_file import CONFIG_NAMES, find_config, load_config, repository_root


def optional_config(start: Path, explicit: Path | None) -> tuple[ParsedConfig, Path] | None:
    """The config and the folder that its paths are relative to; None where there is none and none was named.

    Raises ConfigError for one that is wrong: what it protects or asks for must not be overlooked.
    """
    if explicit is None and not any(
        os.path.lexists(folder / name) for folder in _folders(start) for name in CONFIG_NAMES
    ):
        return None
    path = find_config(start, explicit)
    return load_config(path), path.absolute().parent


def _folders(start: Path) -> list[Path]:
    """`start` and the folders above it up to the repository's root, where `find_config` looks."""
    top, folder = repository_root(start), start.resolve()
    above = [folder, *folder.parents]
    return above[: above.index(top) + 1]
