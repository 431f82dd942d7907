"""The last build of each image as the pages draw it, from a report and the inventory that lies beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ci_budget.core.history.build_view import BuildView, view_build
from ci_budget.core.inventory.model import Inventory
from ci_budget.core.records.report import Report
from ci_budget.edges.files.config_file import read_bounded
from ci_budget.edges.files.report_files import INVENTORY_NAME
from ci_budget.errors import CiBudgetError


def build_views(report: Report, folder: Path) -> dict[str, BuildView]:
    """The views of a report's images, by name.

    Without an inventory, or with one that cannot be read or is of another image, a view has no treemap: the page
    says so, and everything else is drawn.
    """
    inventories = _inventories(folder)
    views = {}
    for image in report.images:
        found = inventories.get(image.name)
        if found is not None and found.image_id != image.image_id:
            found = None
        views[image.name] = view_build(image, commit=report.commit, started=report.started, inventory=found)
    return views


def _inventories(folder: Path) -> Mapping[str, Inventory]:
    file = folder / INVENTORY_NAME
    if not os.path.lexists(file):
        return {}
    from ci_budget.core.inventory.storage import LARGEST_COMPRESSED, parse_inventories  # slow to load, often not needed

    try:
        return parse_inventories(read_bounded(file, LARGEST_COMPRESSED), str(file)).images
    except CiBudgetError:
        return {}
