"""Finds the image that a person means: a config's name, a report, or `local:// registry:// oci-dir:// archive://`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ci_budget.commands.image_evidence import read_evidence
from ci_budget.commands.optional_config import optional_config
from ci_budget.commands.report_place import default_report_folder
from ci_budget.core.inventory.model import Inventory
from ci_budget.core.inventory.packages import is_package_record
from ci_budget.core.inventory.storage import LARGEST_COMPRESSED, parse_inventories
from ci_budget.core.records.report import ImageReport
from ci_budget.core.text.suggestion import suggest
from ci_budget.edges.engine.docker_engine import START_ENGINE
from ci_budget.edges.files.config_file import read_bounded
from ci_budget.edges.files.report_files import INVENTORY_NAME, REPORT_NAME, read_report
from ci_budget.edges.github import read_context
from ci_budget.edges.layers.engine_layers import EngineLayers
from ci_budget.edges.layers.image_archives import read_archive, read_oci_folder
from ci_budget.edges.sites.build_site import open_host_engine
from ci_budget.edges.sites.disk_mode import own_platform
from ci_budget.edges.web.registry_images import find_images, parse_registry_reference, read_registry_image
from ci_budget.errors import ConfigError, UnmeasuredError

_CHECK = "Run `ci-budget check` with --report FOLDER, and name the FOLDER."


@dataclass(frozen=True, kw_only=True)
class ExplainedImage:
    """An image that was found: what a person calls it, what it is made of, and its report where one measured it."""

    name: str
    inventory: Inventory
    report: ImageReport | None = None


def find_image(text: str, *, config: Path | None, platform: str | None) -> ExplainedImage:
    """The image that `text` names. Nothing is built.

    Raises ConfigError for a name that means nothing or a damaged report, UnmeasuredError for an image that is not
    there or cannot be read.
    """
    scheme, separator, rest = text.partition("://")
    if separator:
        if scheme not in _SCHEMES:
            raise ConfigError(f"'{text}' is no image to explain; {suggest(scheme, _SCHEMES, kind='schemes')}")
        if not rest:
            raise ConfigError(f"'{text}' names nothing behind {scheme}://")
        return ExplainedImage(name=text, inventory=_SCHEMES[scheme](rest, platform))
    folder, _, name = text.partition("#")
    if name or os.sep in folder or (Path(folder) / REPORT_NAME).exists():
        return _reported(Path(folder), name or None)
    found = optional_config(Path.cwd(), config)
    names = list(found[0].config.images) if found is not None else []
    if names and text not in names:
        raise ConfigError(f"there is no image '{text}' in this config; {suggest(text, names, kind='images')}")
    last = default_report_folder(read_context(os.environ))
    if not (last / REPORT_NAME).exists():
        raise ConfigError(f"there is no report of '{text}' yet: {last} holds none", mend=_CHECK)
    return _reported(last, text)


def _reported(folder: Path, name: str | None) -> ExplainedImage:
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
    image = next(image for image in report.images if image.name == name)
    return ExplainedImage(name=name, inventory=inventories.images[name], report=image)


def _local(name: str, _platform: str | None) -> Inventory:
    engine, problem = open_host_engine()
    if engine is None:
        raise UnmeasuredError(f"local://{name} needs an engine: {problem}", mend=START_ENGINE)
    try:
        facts = engine.image(name)
        if facts is None:
            raise UnmeasuredError(f"the engine has no image {name}", mend="`docker images` lists what it has.")
        contents = EngineLayers(engine).read(facts, is_package_record)
        return read_evidence(contents, None, []).inventory
    finally:
        engine.close()


def _archive(path: str, platform: str | None) -> Inventory:
    contents = read_archive(Path(path), is_package_record, platform=platform)
    return read_evidence(contents, None, []).inventory


def _oci_folder(path: str, platform: str | None) -> Inventory:
    contents = read_oci_folder(Path(path), is_package_record, platform=platform)
    return read_evidence(contents, None, []).inventory


def _registry(name: str, platform: str | None) -> Inventory:
    reference = parse_registry_reference(name)
    (image,) = find_images(reference, platform or own_platform()).images
    return read_evidence(read_registry_image(reference, image, is_package_record), None, []).inventory


_SCHEMES: dict[str, Callable[[str, str | None], Inventory]] = {
    "local": _local,
    "oci-dir": _oci_folder,
    "archive": _archive,
    "registry": _registry,
}
