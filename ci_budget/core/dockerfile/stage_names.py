"""What a stage is called to which the Dockerfile gives no name."""

from __future__ import annotations

import re

_UNNAMED = re.compile(r"stage-\d+")


def default_name(index: int) -> str:
    """The name of such a stage; `index` counts from 0."""
    return f"stage-{index}"


def is_unnamed(stage: str) -> bool:
    """Whether a stage's name is one of these."""
    return _UNNAMED.fullmatch(stage) is not None
