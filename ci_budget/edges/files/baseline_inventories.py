"""The inventories that lie beside a baseline, in the working tree or at a revision: `inventory/NAME.zst`, and where an
image has entries of several setups, `inventory/NAME/SETUP.zst` for the others."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Mapping, Sequence
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

    def read(self, path: str) -> bytes | None:
        """What is stored at one of `paths`; None where nothing is.

        Raises ConfigError or UnmeasuredError where that cannot be told.
        """
        if self.revision is not None:
            return git.read_file_at(self.folder, self.revision, path)
        file = self.folder / path
        return read_bounded(file, LARGEST_COMPRESSED) if os.path.lexists(file) else None

    def paths(self, image: str, setup: Fingerprint) -> tuple[str, str]:
        """Where that of an image's entry may lie, as `baseline` is written: the usual place, and the one for this setup
        alone. Raises ConfigError for a name that leaves the folder."""
        name = self.names.get(image, image)
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise ConfigError(f"'{name}' is no name of an image")
        words = _NO_WORD.sub("-", f"{setup.platform}-{setup.disk_mode}").strip("-")[:_LONGEST_NAME]
        file = f"{words}-{hashlib.sha256(describe(setup).encode()).hexdigest()[:8]}.zst"
        folder = PurePosixPath(self.baseline).parent / FOLDER
        return str(folder / f"{name}.zst"), str(folder / name / file)

    def shown(self, path: str) -> str:
        """The place, for messages."""
        return path if self.revision is None else f"{path} at {self.revision[:12]}"


def read_baseline_inventory(places: Sequence[InventoryPlace], image: str, setup: Fingerprint, sha256: str) -> Inventory:
    """The inventory whose hash a baseline's entry for this setup records, from the first place that has it.

    The hash comes from the baseline that counts, so where the bytes lie is no matter of trust. Raises ConfigError,
    with what to do, when no place has it.
    """
    wanted = sha256.removeprefix("sha256:")
    problems: list[str] = []
    for place in places:
        usual, _ = paths = place.paths(image, setup)
        for path in paths:
            try:
                data = place.read(path)
            except (ConfigError, UnmeasuredError) as error:
                problems.append(f"{place.shown(path)} {error.what}")
                continue
            if data is not None and hashlib.sha256(data).hexdigest() == wanted:
                return parse_inventory(data, place.shown(path))
            if data is not None:
                problems.append(f"{place.shown(path)} is not the one that the baseline names (its hash is another)")
            elif path == usual:
                problems.append(f"there is no {place.shown(path)}")
    raise ConfigError("; ".join(problems) or "no place is known where it could lie", mend=_MEND)


def write_baseline_inventory(
    baseline: Path, image: str, setup: Fingerprint, data: bytes, *, others: Collection[str]
) -> Path:
    """Put the inventory of an image's entry beside the baseline file, whole or not at all.

    `others`: the hashes of the image's other entries; the usual place is left to one of them that lies there. Raises
    ConfigError when it cannot be written.
    """
    place = InventoryPlace(folder=baseline.parent, baseline=baseline.name)
    usual, own = place.paths(image, setup)
    there = place.read(usual)
    taken = there is not None and hashlib.sha256(there).hexdigest() in others
    file = baseline.parent / (own if taken else usual)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, data, draft=".inventory-")
    except OSError as error:
        raise ConfigError(f"the inventory cannot be written: {error.strerror}", file=file) from error
    return file
