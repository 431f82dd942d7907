"""Finds the image of a report: by a config's name, or by the report's folder."""

from __future__ import annotations

import os
from pathlib import Path

from ci_budget.commands.optional_config import optional_config
from ci_budget.commands.report_place import default_report_folder
from ci_budget.core.inventory.model import Inventory
from ci_budget.core.inventory.storage import LARGEST_COMPRESSED, parse_inventories
from ci_budget.core.records.report import ImageReport
from ci_budget.core.text.suggestion import suggest
from ci_budget.edges.files.config_file import read_bounded
from ci_budget.edges.files.report_files import INVENTORY_NAME, REPORT_NAME, read_report
from ci_budget.edges.github import read_context
from ci_budget.errors import ConfigError, UnmeasuredError

_CHECK = "Run `ci-budget check` with --report FOLDER, and name the FOLDER."


def find_reported(text: str, config: Path | None) -> tuple[Inventory, ImageReport]:
    """The image that `text` names (a config's image, FOLDER, FOLDER#NAME), from its last or from that report.

    Raises ConfigError for a name that means nothing or a damaged report, UnmeasuredError for an image that was not
    built in that run.
    """
    folder, _, name = text.partition("#")
    if name or os.sep in folder or (Path(folder) / REPORT_NAME).exists():
        return _read(Path(folder), name or None)
    found = optional_config(Path.cwd(), config)
    names = list(found[0].config.images) if found is not None else []
    if names and text not in names:
        raise ConfigError(f"there is no image '{text}' in this config; {suggest(text, names, kind='images')}")
    last = default_report_folder(read_context(os.environ))
    if not (last / REPORT_NAME).exists():
        raise ConfigError(f"there is no report of '{text}' yet: {last} holds none", mend=_CHECK)
    return _read(last, text)


def _read(folder: Path, name: str | None) -> tuple[Inventory, ImageReport]:
    """An image of a report, with the inventory that lies beside it."""
    report = read_report(folder)
    folder = folder if folder.is_dir() else folder.parent
    names = [image.name for image in report.images]
    if name is None and len(names) != 1:
        raise ConfigError(f"this report has {len(names)} images", mend=f"Name one: {folder}#{names[0]}", file=folder)
    name = name or names[0]
    if name not in names:
        raise ConfigError(f"this report has no image '{name}'; {suggest(name, names, kind='images')}", file=folder)
    file = folder / INVENTORY_NAME
    if not os.path.lexists(file):
        raise ConfigError(f"this report has no {INVENTORY_NAME}", mend="Run `ci-budget check` again.", file=folder)
    inventories = parse_inventories(read_bounded(file, LARGEST_COMPRESSED), str(file))
    if name not in inventories.images:
        raise UnmeasuredError(f"the image '{name}' was not built in that run, so nothing is known of it", file=folder)
    return inventories.images[name], next(image for image in report.images if image.name == name)
