"""Finds the image that a person means: a config's name, a report, or `local:// registry:// oci-dir:// archive://`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ci_budget.core.inventory.model import Inventory
from ci_budget.core.records.report import ImageReport
from ci_budget.core.stages.platforms import fits, parse_platform
from ci_budget.edges.layers.reading_ahead import ReadingAhead
from ci_budget.edges.reading_progress import ReadingProgress
from ci_budget.errors import ConfigError, UnmeasuredError


@dataclass(frozen=True, kw_only=True)
class ExplainedImage:
    """An image that was found: what a person calls it, what it is made of, and what is said of it."""

    name: str
    inventory: Inventory
    report: ImageReport


def find_image(
    text: str,
    *,
    config: Path | None,
    platform: str | None,
    progress: ReadingProgress,
    ahead: ReadingAhead | None = None,
) -> ExplainedImage:
    """The image that `text` names. Nothing is built. `ahead`: the local images that are being read already. `progress`
    is told which report was taken where only the image was named, and shows what takes its time.

    Raises ConfigError for a name that means nothing or a damaged report, UnmeasuredError for an image that is not
    there, cannot be read, or is for another platform.
    """
    if platform is not None:
        try:
            parse_platform(platform)
        except ValueError as error:
            raise ConfigError(f"--platform: {error}") from error
    # what only the other kind needs would take as long to load as the layers to read
    if "://" in text:
        from ci_budget.commands.stored_images import find_stored

        inventory, report = find_stored(text, platform, ahead, progress)
    else:
        from ci_budget.commands.reported_images import find_reported

        inventory, report, taken = find_reported(text, config)
        if taken is not None:
            progress.say(f"{text} is taken from {taken}")
    if platform is not None and not fits(inventory.platform or "", platform):
        raise UnmeasuredError(
            f"{text} is for {inventory.platform}, not for {platform}", mend="Leave --platform out to look at this one."
        )
    return ExplainedImage(name=report.name, inventory=inventory, report=report)
