"""Finds the image of a report: by a config's name, by the report's folder, or by an inventory's file."""

from __future__ import annotations

import os
from pathlib import Path

from ci_budget.commands.optional_config import optional_config
from ci_budget.commands.report_place import default_report_folder
from ci_budget.core.inventory.model import Inventory
from ci_budget.core.inventory.storage import LARGEST_COMPRESSED, parse_inventories, parse_inventory
from ci_budget.core.records.report import ImageReport, Report, Verdict
from ci_budget.core.text.suggestion import suggest
from ci_budget.edges.files.config_file import read_bounded
from ci_budget.edges.files.report_files import INVENTORY_NAME, REPORT_NAME, read_report
from ci_budget.edges.github import read_context
from ci_budget.errors import ConfigError, UnmeasuredError

_CHECK = "Run `ci-budget check` with --report FOLDER, and name the FOLDER."
_KINDS = (
    "An image that lies elsewhere is named local://NAME, registry://NAME, oci-dir://FOLDER or archive://FILE, one of a "
    "report FOLDER/, one of a baseline .ci-budget/inventory/NAME.zst; `check --against REF` compares revisions."
)
_INVENTORY = ".zst"

Found = tuple[Inventory, ImageReport, str | None]
"""What an image is made of, its report, and, where that report was not named but taken, which one it is."""


def find_reported(text: str, config: Path | None) -> Found:
    """The image that `text` names (a config's image, FOLDER, FOLDER#NAME, FILE.zst), from its last or from that report,
    or as a baseline keeps it.

    Raises ConfigError for a name that means nothing or a damaged report, UnmeasuredError for an image that was not
    built in that run.
    """
    folder, _, name = text.partition("#")
    if Path(folder).name == INVENTORY_NAME:
        return *_read(Path(folder).parent, name or None)[:2], None
    if folder.endswith(_INVENTORY):
        return _read_inventory(Path(text), text)
    if name or os.sep in folder or (Path(folder) / REPORT_NAME).exists():
        return *_read(Path(folder), name or None)[:2], None
    found = optional_config(Path.cwd(), config)
    names = list(found[0].config.images) if found is not None else []
    if names and text not in names:
        what = f"there is no image '{text}' in this config; {suggest(text, names, kind='images')}"
        raise ConfigError(what, mend=_KINDS)
    last = default_report_folder(read_context(os.environ))
    if not (last / REPORT_NAME).exists():
        raise ConfigError(f"there is no report of '{text}' yet: {last} holds none", mend=f"{_CHECK} {_KINDS}")
    inventory, image, report = _read(last, text)
    commit = f", commit {report.commit[:12]}" if report.commit else ""
    return inventory, image, f"the last report, {last / REPORT_NAME} ({report.started}{commit})"


def _read_inventory(file: Path, text: str) -> Found:
    """The image of an inventory that lies beside a baseline."""
    if not os.path.lexists(file):
        raise ConfigError(
            f"there is no inventory {file}",
            mend="`ci-budget baseline update` keeps one of each image beside the baseline.",
        )
    found = parse_inventory(read_bounded(file, LARGEST_COMPRESSED), str(file))
    return found, ImageReport(name=text, verdict=Verdict.NOT_MEASURED, exit_code=3, dockerfile=""), None


def _read(folder: Path, name: str | None) -> tuple[Inventory, ImageReport, Report]:
    """An image of a report, with the inventory that lies beside it."""
    if folder.is_file() and folder.suffix != ".json":
        raise ConfigError("this is no report", mend=_KINDS, file=folder)
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
        mend = "Run `ci-budget check --report FOLDER` again."
        raise ConfigError(f"this report has no {INVENTORY_NAME}", mend=mend, file=folder)
    inventories = parse_inventories(read_bounded(file, LARGEST_COMPRESSED), str(file))
    if name not in inventories.images:
        raise UnmeasuredError(f"the image '{name}' was not built in that run, so nothing is known of it", file=folder)
    return inventories.images[name], next(image for image in report.images if image.name == name), report
