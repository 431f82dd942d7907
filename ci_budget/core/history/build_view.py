"""The last build of an image as a page draws it: the disk's level over time with its steps, and the treemap.

Kept compressed in the history, one for each image, so that the nightly page needs no report folder.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field

from ci_budget.core.history.treemap import Box, image_treemap
from ci_budget.core.inventory.model import Inventory
from ci_budget.core.records.report import ImageReport, Stored, TimelinePoint
from ci_budget.core.text.plain_text import one_line, shorten

MOST_POINTS: Final = 400
MOST_STEPS: Final = 300
LARGEST: Final = 2_000_000
_LONGEST: Final = 200

_Number = Annotated[int, Field(ge=-(2**53), le=2**53)]
_Text = Annotated[str, Field(max_length=400)]


class ViewedStep(Stored):
    """A build step: milliseconds since the window opened, bytes."""

    name: _Text
    stage: _Text | None
    line: _Number | None
    start: _Number
    end: _Number
    added: _Number | None
    peak: _Number | None
    cached: bool


class BuildView(Stored):
    """What is drawn of one build. `timeline`: (milliseconds, bytes in use); `ceiling`: the disk budget, in bytes.

    `treemap` None: no inventory was kept of this build.
    """

    image: _Text
    commit: _Text
    started: _Text
    ceiling: _Number | None
    timeline: Annotated[list[tuple[_Number, _Number]], Field(max_length=MOST_POINTS + 2)]
    steps: Annotated[list[ViewedStep], Field(max_length=MOST_STEPS)]
    steps_left_out: _Number = 0
    treemap: Box | None = None


def view_build(
    image: ImageReport, *, commit: str | None, started: str, inventory: Inventory | None = None
) -> BuildView:
    """The view of one measured image; the peak is never thinned away. Steps beyond MOST_STEPS: the longest stay."""
    kept = image.steps
    if len(kept) > MOST_STEPS:
        longest = sorted(range(len(kept)), key=lambda index: kept[index].start_ms - kept[index].end_ms)[:MOST_STEPS]
        kept = [kept[index] for index in sorted(longest)]
    return BuildView(
        image=_text(image.name),
        commit=_text(commit or ""),
        started=_text(started),
        ceiling=image.disk.budget if image.disk is not None else None,
        timeline=thin_timeline(image.timeline),
        steps=[
            ViewedStep(
                name=_text(step.name),
                stage=_text(step.stage) if step.stage else None,
                line=step.line,
                start=step.start_ms,
                end=step.end_ms,
                added=step.added,
                peak=step.peak,
                cached=step.cached,
            )
            for step in kept
        ],
        steps_left_out=len(image.steps) - len(kept),
        treemap=image_treemap(inventory) if inventory is not None else None,
    )


def thin_timeline(points: Sequence[TimelinePoint], most: int = MOST_POINTS) -> list[tuple[int, int]]:
    """At most `most` points: of each stretch the lowest and the highest, so that no spike is lost."""
    if len(points) <= most:
        return [(point.t_ms, point.used) for point in points]
    stretches = most // 2
    kept: list[tuple[int, int]] = []
    for index in range(stretches):
        stretch = points[index * len(points) // stretches : (index + 1) * len(points) // stretches]
        ends = {min(stretch, key=lambda point: point.used).t_ms, max(stretch, key=lambda point: point.used).t_ms}
        kept += [(point.t_ms, point.used) for point in stretch if point.t_ms in ends][:2]
    return kept


def pack_view(view: BuildView) -> bytes:
    """The view as it is stored: zlib-compressed JSON."""
    return zlib.compress(view.model_dump_json(exclude_defaults=True).encode(), 6)


def unpack_view(data: bytes) -> BuildView | None:
    """The stored view; None where the data is none, or would be larger than LARGEST bytes."""
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(data, LARGEST)
        return BuildView.model_validate_json(text) if reader.eof else None
    except (zlib.error, ValueError):
        return None


def _text(text: str) -> str:
    return shorten(one_line(text), _LONGEST)
