"""Inventories as bytes: JSON, compressed with zstd. They are read with suspicion: they come with pull requests."""

from __future__ import annotations

import zstandard
from pydantic import BaseModel
from pydantic_core import to_json

from ci_budget.core.inventory.consistency import find_contradiction
from ci_budget.core.inventory.model import SCHEMA_VERSION, Inventories, Inventory
from ci_budget.core.records.stored import StoredModel, parse_stored
from ci_budget.errors import ConfigError

LARGEST_COMPRESSED = 64_000_000
LARGEST_FILE = 256_000_000
_LEVEL = 9
_QUICK = 1
_LARGEST_WINDOW = 2**27
MEND = "Restore the file, or record it anew: `ci-budget check`, then `ci-budget baseline update`."


def render_inventory(inventory: Inventory) -> bytes:
    """The stored form of one image's inventory; equal inventories give equal bytes."""
    return _render(inventory)


def fits(inventory: Inventory, most: int) -> bool:
    """Whether the stored form has `most` bytes or fewer; where that is plain, it is not made for it."""
    data = to_json(inventory)
    return 2 * len(_compress(data, _QUICK)) <= most or len(_compress(data, _LEVEL)) <= most


def parse_inventory(data: bytes, file: str) -> Inventory:
    """Read one image's inventory. Raises ConfigError for anything but a whole file of this format that agrees with
    itself."""
    found = _parse(data, file, Inventory)
    _check(found, file, "this inventory")
    return found


def render_inventories(inventories: Inventories) -> bytes:
    """The stored form of a run's inventories."""
    return _render(inventories)


def parse_inventories(data: bytes, file: str) -> Inventories:
    """Read a run's inventories. Raises ConfigError as `parse_inventory` does."""
    found = _parse(data, file, Inventories)
    for name, inventory in found.images.items():
        _check(inventory, file, f"the inventory of '{name}'")
    return found


def _check(inventory: Inventory, file: str, what: str) -> None:
    contradiction = find_contradiction(inventory)
    if contradiction is not None:
        raise ConfigError(f"{what} contradicts itself: {contradiction}", mend=MEND, file=file)


def _render(model: BaseModel) -> bytes:
    return _compress(to_json(model), _LEVEL)


def _compress(data: bytes, level: int) -> bytes:
    return zstandard.ZstdCompressor(level=level).compress(data)


def _parse(data: bytes, file: str, model: type[StoredModel]) -> StoredModel:
    try:
        declared = zstandard.frame_content_size(data) if data else 0
        if declared > LARGEST_FILE:  # the library would make room for it
            raise ConfigError(f"this inventory would be {declared:,} bytes and is not read", mend=MEND, file=file)
        text = (
            zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).decompress(data, max_output_size=LARGEST_FILE)
            if data
            else b""
        )
    except zstandard.ZstdError as error:
        raise ConfigError(f"this inventory is no whole zstd file: {error}", mend=MEND, file=file) from error
    return parse_stored(
        text, file=file, model=model, kind="inventory", version=SCHEMA_VERSION, mend=MEND, largest=LARGEST_FILE
    )
