"""The metrics by name, and their units. Kept apart from the report's models, which take long to load."""

from __future__ import annotations

from typing import Final, Literal

Unit = Literal["bytes", "count", "seconds"]

GATED_BY_BASELINE: Final = ("peak_disk", "image_size", "layers", "context_size")
METRIC_NAMES: Final = (*GATED_BY_BASELINE, "compressed_size", "peak_inodes", "build_seconds", "wasted_bytes")
STAGE_METRIC_NAMES: Final = ("peak_disk", "added_disk", "image_size", "layers", "build_seconds")


def metric_unit(name: str) -> Unit:
    """The unit of a metric, by name."""
    if name in ("layers", "peak_inodes"):
        return "count"
    return "seconds" if name == "build_seconds" else "bytes"
