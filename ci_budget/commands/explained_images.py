"""Finds the image that a person means: a config's name, a report, or `local:// registry:// oci-dir:// archive://`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ci_budget.core.inventory.model import Inventory
from ci_budget.core.records.report import ImageReport
from ci_budget.edges.layers.reading_ahead import ReadingAhead


@dataclass(frozen=True, kw_only=True)
class ExplainedImage:
    """An image that was found: what a person calls it, what it is made of, and what is said of it."""

    name: str
    inventory: Inventory
    report: ImageReport


def find_image(
    text: str, *, config: Path | None, platform: str | None, ahead: ReadingAhead | None = None
) -> ExplainedImage:
    """The image that `text` names. Nothing is built. `ahead`: the local images that are being read already.

    Raises ConfigError for a name that means nothing or a damaged report, UnmeasuredError for an image that is not
    there or cannot be read.
    """
    # what only the other kind needs would take as long to load as the layers to read
    if "://" in text:
        from ci_budget.commands.stored_images import find_stored

        inventory, report = find_stored(text, platform, ahead)
    else:
        from ci_budget.commands.reported_images import find_reported

        inventory, report = find_reported(text, config)
    return ExplainedImage(name=report.name, inventory=inventory, report=report)
