"""The approvals as a file: in the checkout, and at the base revision, whose approvals alone count for a proposal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ci_budget.core.config.yaml_tree import MAX_BYTES
from ci_budget.core.gate.approvals import APPROVALS_PATH, Approvals, parse_approvals
from ci_budget.edges import git
from ci_budget.edges.files.config_file import read_bounded


def read_approvals(config_folder: Path) -> Approvals:
    """Those beside the config; none where there is no such file. Raises ConfigError for a file that is wrong."""
    path = config_folder / APPROVALS_PATH
    return parse_approvals(read_bounded(path, MAX_BYTES), str(path)) if os.path.lexists(path) else Approvals()


def read_approvals_at(config_folder: Path, revision: str, places: Sequence[str]) -> Approvals:
    """Those of a revision, from the first of the places (relative to the folder) where there are any.

    Raises UnmeasuredError when that cannot be told, ConfigError for a file that is wrong there.
    """
    for place in places:
        data = git.read_file_at(config_folder, revision, place)
        if data is not None:
            return parse_approvals(data, f"{place} at {revision[:12]}")
    return Approvals()
