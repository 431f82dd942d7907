"""Reads an image as it is stored: `local:// registry:// oci-dir:// archive://`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from ci_budget.commands.image_evidence import read_evidence
from ci_budget.commands.stored_findings import add_stored_findings
from ci_budget.core.inventory.model import Inventory
from ci_budget.core.inventory.packages import is_package_record
from ci_budget.core.records.report import ImageReport, Verdict
from ci_budget.core.text.suggestion import suggest
from ci_budget.edges.layers.image_archives import ImageContents, Through, read_archive, read_oci_folder
from ci_budget.edges.layers.reading_ahead import ReadingAhead
from ci_budget.edges.reading_progress import ReadingProgress
from ci_budget.errors import ConfigError, UnmeasuredError

Watching = Callable[..., AbstractContextManager[Through]]
"""Opened around the reading of a stream; `whole`: its bytes, where they are known."""


def find_stored(
    text: str, platform: str | None, ahead: ReadingAhead | None, progress: ReadingProgress
) -> tuple[Inventory, ImageReport]:
    """The image that `text` names (SCHEME://NAME), and a report with what the rules find of its layers alone.

    `ahead`: the local images that are being read already. `progress` shows what has to be read from a stream.

    Raises ConfigError for a name that means nothing, UnmeasuredError for an image that is not there or cannot be read.
    """
    scheme, _, rest = text.partition("://")
    if scheme not in _SCHEMES:
        raise ConfigError(f"'{text}' is no image to explain; {suggest(scheme, _SCHEMES, kind='schemes')}")
    if not rest:
        raise ConfigError(f"'{text}' names nothing behind {scheme}://")
    contents = ahead.contents(rest) if ahead is not None and scheme == "local" else None
    evidence = read_evidence(contents or _SCHEMES[scheme](rest, platform, partial(progress.watching, text)))
    report = ImageReport(name=text, verdict=Verdict.NOT_MEASURED, exit_code=3, dockerfile="")
    return evidence.inventory, add_stored_findings(report, evidence)


def _local(name: str, _platform: str | None, watching: Watching) -> ImageContents:
    from ci_budget.edges.engine.docker_engine import START_ENGINE
    from ci_budget.edges.engine.host_engine import open_host_engine
    from ci_budget.edges.layers.engine_layers import EngineLayers

    engine, problem = open_host_engine()
    if engine is None:
        raise UnmeasuredError(f"local://{name} needs an engine: {problem}", mend=START_ENGINE)
    try:
        facts = engine.image(name)
        if facts is None:
            raise UnmeasuredError(f"the engine has no image {name}", mend="`docker images` lists what it has.")
        return EngineLayers(engine).read(facts, is_package_record, watch=watching)
    finally:
        engine.close()


def _archive(path: str, platform: str | None, watching: Watching) -> ImageContents:
    file = Path(path)
    with watching(whole=file.stat().st_size if file.is_file() else None) as through:
        return read_archive(file, is_package_record, platform=platform, through=through)


def _oci_folder(path: str, platform: str | None, watching: Watching) -> ImageContents:
    with watching() as through:
        return read_oci_folder(Path(path), is_package_record, platform=platform, through=through)


def _registry(name: str, platform: str | None, watching: Watching) -> ImageContents:
    from ci_budget.edges.sites.disk_mode import own_platform
    from ci_budget.edges.web.registry_images import find_images, parse_registry_reference, read_registry_image

    reference = parse_registry_reference(name)
    (image,) = find_images(reference, platform or own_platform()).images
    with watching(whole=image.manifest.compressed_size) as through:
        return read_registry_image(reference, image, is_package_record, through=through)


_SCHEMES: dict[str, Callable[[str, str | None, Watching], ImageContents]] = {
    "local": _local,
    "oci-dir": _oci_folder,
    "archive": _archive,
    "registry": _registry,
}
