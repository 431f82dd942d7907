"""A Dockerfile cut off after a stage, for stages that `--target` cannot have.

`--target` takes names only: no index and no `stage-N`, and of several stages with one name it takes the last.
"""

from __future__ import annotations

from ci_budget.core.stages.plan import PlannedStage


def cut_after(text: bytes, stage: PlannedStage) -> bytes:
    """The Dockerfile `text` up to the last instruction of `stage`, which so becomes the one that is built by default.

    Its steps and their cache keys stay the same. So do their names, but for a copy with a single stage: that one's
    steps are named without the stage.
    """
    return b"".join(line + b"\n" for line in text.split(b"\n")[: stage.end_line])
