"""What an image is made of: layers, waste, packages, inventory."""

from __future__ import annotations

from dataclasses import dataclass

from ci_budget.core.inventory.building import BuildFacts, build_inventory
from ci_budget.core.inventory.model import Inventory
from ci_budget.core.inventory.packages import survey_packages
from ci_budget.core.inventory.same_content import find_same_content
from ci_budget.core.layers.model import ImageLayers
from ci_budget.core.layers.waste import Waste, survey
from ci_budget.core.text.units import format_size
from ci_budget.edges.layers.image_archives import ImageContents


@dataclass(frozen=True, kw_only=True)
class ImageEvidence:
    """One image, read. `notes`: what of it could not be."""

    image: ImageLayers
    waste: Waste
    inventory: Inventory
    notes: tuple[str, ...] = ()


def read_evidence(contents: ImageContents, facts: BuildFacts | None = None) -> ImageEvidence:
    """Waste, packages and inventory of an image. `facts` None: it was not built here.

    Raises UnmeasuredError when a file of it cannot be read.
    """
    image, facts = contents.layers, facts or BuildFacts(platform=contents.platform or None)
    visible, waste = survey(image)
    packages, owned, owners = survey_packages(image, visible, contents.read)
    same = find_same_content(visible, contents.content_hash, owned) if contents.content_hash is not None else None
    del visible  # a hundred thousand pairs, which nobody needs any more
    inventory = build_inventory(
        image,
        packages,
        waste=waste,
        facts=facts,
        owned=owned,
        owners=owners,
        same_content=list(same.groups) if same else None,
    )
    notes = []
    if contents.dropped:
        notes.append(f"{len(contents.dropped)} package lists were too large to read, such as {contents.dropped[0]}")
    if same is not None and same.unread:
        notes.append(f"{format_size(same.unread)} of files that look the same were too much to read: not compared")
    return ImageEvidence(image=image, waste=waste, inventory=inventory, notes=tuple(notes))
