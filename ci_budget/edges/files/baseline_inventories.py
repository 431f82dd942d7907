"""The inventories that lie beside a baseline, one for each of its entries: `inventory/NAME/SETUP.zst`, in the working
tree or at a revision."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ci_budget.core.gate.fingerprint import describe
from ci_budget.core.inventory.model import Inventory
from ci_budget.core.inventory.storage import LARGEST_COMPRESSED, parse_inventory
from ci_budget.core.records.report import Fingerprint
from ci_budget.edges import git
from ci_budget.edges.files.config_file import read_bounded
from ci_budget.edges.files.whole_file import replace_file
from ci_budget.errors import ConfigError, UnmeasuredError

FOLDER = "inventory"
_NO_WORD = re.compile(r"[^A-Za-z0-9]+")
_LONGEST_NAME = 80
_MEND = "`ci-budget baseline update` stores it beside the baseline; commit both."


@dataclass(frozen=True, kw_only=True)
class InventoryPlace:
    """A baseline file that inventories lie beside: `baseline` is relative to `folder`, or absolute; `revision` None
    for the working tree. `names`: the images that have another name there."""

    folder: Path
    baseline: str
    revision: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def read(self, image: str, setup: Fingerprint) -> bytes | None:
        """The stored inventory of an image's entry; None where there is none.

        Raises ConfigError or UnmeasuredError where that cannot be told.
        """
        path = self.path(image, setup)
        if self.revision is not None:
            return git.read_file_at(self.folder, self.revision, path)
        file = self.folder / path
        return read_bounded(file, LARGEST_COMPRESSED) if os.path.lexists(file) else None

    def path(self, image: str, setup: Fingerprint) -> str:
        """Where it lies, as `baseline` is written. Raises ConfigError for a name that leaves the folder."""
        name = self.names.get(image, image)
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise ConfigError(f"'{name}' is no name of an image")
        words = _NO_WORD.sub("-", f"{setup.platform}-{setup.disk_mode}").strip("-")[:_LONGEST_NAME]
        file = f"{words}-{hashlib.sha256(describe(setup).encode()).hexdigest()[:8]}.zst"
        return str(PurePosixPath(self.baseline).parent / FOLDER / name / file)

    def shown(self, image: str, setup: Fingerprint) -> str:
        """The place, for messages."""
        path = self.path(image, setup)
        return path if self.revision is None else f"{path} at {self.revision[:12]}"


def read_baseline_inventory(places: Sequence[InventoryPlace], image: str, setup: Fingerprint, sha256: str) -> Inventory:
    """The inventory whose hash a baseline's entry for this setup records, from the first place that has it.

    The hash comes from the baseline that counts, so where the bytes lie is no matter of trust. Raises ConfigError,
    with what to do, when no place has it.
    """
    wanted = sha256.removeprefix("sha256:")
    problems: list[str] = []
    for place in places:
        try:
            data = place.read(image, setup)
        except (ConfigError, UnmeasuredError) as error:
            problems.append(f"{place.shown(image, setup)} {error.what}")
            continue
        if data is None:
            problems.append(f"there is no {place.shown(image, setup)}")
        elif hashlib.sha256(data).hexdigest() != wanted:
            problems.append(f"{place.shown(image, setup)} is not the one that the baseline names (its hash is another)")
        else:
            return parse_inventory(data, place.shown(image, setup))
    raise ConfigError("; ".join(problems) or "no place is known where it could lie", mend=_MEND)


def write_baseline_inventory(baseline: Path, image: str, setup: Fingerprint, data: bytes) -> Path:
    """Put the inventory of an image's entry beside the baseline file, whole or not at all.

    Raises ConfigError when it cannot be.
    """
    file = baseline.parent / InventoryPlace(folder=baseline.parent, baseline=baseline.name).path(image, setup)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, data, draft=".inventory-")
    except OSError as error:
        raise ConfigError(f"the inventory cannot be written: {error.strerror}", file=file) from error
    return file
