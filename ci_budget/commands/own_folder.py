"""The folder of baselines and approvals lies in the repository: an image whose context holds it changes with it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from ci_budget.edges.files.config_file import ImageFiles
from ci_budget.edges.files.context_files import find_ignore_file, read_ignore_rules
from ci_budget.errors import CiBudgetError


def suggest_ignoring(folder: Path, images: Sequence[ImageFiles]) -> list[str]:
    """One sentence for each ignore file that should leave out `folder` and does not."""
    holding: dict[tuple[str, str], list[str]] = {}
    for image in images:
        if not folder.is_relative_to(image.context):
            continue
        inside = folder.relative_to(image.context).as_posix()
        with contextlib.suppress(CiBudgetError):  # the check itself says what is wrong with the rules
            rules = read_ignore_rules(image.context, image.dockerfile)
            if not rules.ignores(f"{inside}/baseline.json"):
                file = find_ignore_file(image.context, image.dockerfile) or image.context / ".dockerignore"
                holding.setdefault((inside, _shown(file)), []).append(image.name)
    return [
        f"add `{inside}/` to {file}: it lies in the context of {', '.join(names)}, which each new baseline would change"
        for (inside, file), names in holding.items()
    ]


def _shown(file: Path) -> str:
    near = os.path.relpath(file)
    return str(file) if near.startswith("..") else near
