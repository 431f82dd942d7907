"""Seeds: clean copies of a sandbox's filesystem with the base images in it, so the next run loads nothing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ci_budget.edges.host.filesystem import read_usage
from ci_budget.edges.sandbox.loop_filesystem import copy_used_blocks
from ci_budget.edges.sites.disk_room import promised
from ci_budget.edges.sites.state import locked, try_lock
from ci_budget.errors import UnmeasuredError

_FORMAT = 2
_FACTS_LIMIT = 1_000_000


class SeedFacts(BaseModel):
    """Beside each seed: what lies in it. `empty_used`: bytes in use with the engine running and no image.

    `written`: the disk's modification time in nanoseconds; whoever changes the disk afterwards moves it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = _FORMAT
    empty_used: int
    empty_inodes: int
    bases: dict[str, str]
    bases_used: int
    file_size: int
    written: int = 0


@dataclass(frozen=True, kw_only=True)
class Seed:
    """A usable seed: its disk image and its facts."""

    disk: Path
    facts: SeedFacts


class DamagedSeedError(UnmeasuredError):
    """A seed is not what was kept; what it says of itself cannot be believed."""


class SeedStore:
    """The seeds below one state directory, at most `limit` bytes of them; the longest unused go first."""

    def __init__(self, root: Path, *, limit: int, reserve: int) -> None:
        self._folder = root / "seeds"
        self._limit = limit
        self._reserve = reserve

    @staticmethod
    def key(*, bases: Mapping[str, str], file_size: int, inodes: int, engine: str) -> str:
        """Equal for runs that can share a seed: the same images, the same geometry, the same engine."""
        parts = {"format": _FORMAT, "bases": dict(bases), "size": file_size, "inodes": inodes, "engine": engine}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def find(self, key: str) -> Seed | None:
        """The seed of that key, marked as used now; None when there is none.

        Raises DamagedSeedError when its facts cannot be read, or somebody changed it since it was kept.
        """
        disk, facts = self._disk(key), self._facts(key)
        if not disk.exists() and not facts.exists():
            return None
        try:
            if facts.stat().st_size > _FACTS_LIMIT:
                raise DamagedSeedError("its facts are too large")
            seed = Seed(disk=disk, facts=SeedFacts.model_validate_json(facts.read_bytes()))
            levels = disk.stat()
            if seed.facts.format != _FORMAT or levels.st_size != seed.facts.file_size:
                raise DamagedSeedError("its size or format is not what it was")
            if levels.st_mtime_ns != seed.facts.written:
                raise DamagedSeedError("somebody wrote to it")
            os.utime(facts)
        except ValidationError as error:
            raise DamagedSeedError("its facts cannot be read") from error
        except OSError as error:
            raise DamagedSeedError(f"it cannot be read: {error.strerror}") from error
        return seed

    def keep(self, key: str, disk: Path, facts: SeedFacts) -> str | None:
        """Keep a copy of a clean, unmounted filesystem; returns why it was not kept, or None.

        Never takes the host below its reserve, and never keeps more than the limit. A run does not fail for it.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self._folder / ".lock"):
            self._sweep()
            partial = self._folder / f"{key}.partial"
            needed = facts.empty_used + facts.bases_used
            if needed > self._limit:
                return f"the bases take more than the {self._limit:,} bytes that seeds may take"
            self._make_room(self._limit - needed, keep=key)
            promises = promised(self._folder)[1]  # its own run's reserve is among them
            if read_usage(self._folder).available - needed < max(self._reserve, promises):
                return "the host has no room for it beside its reserve"
            try:
                copy_used_blocks(disk, partial)
                with partial.open("rb") as handle:
                    os.fsync(handle.fileno())
                    written = os.fstat(handle.fileno()).st_mtime_ns
                kept = facts.model_copy(update={"written": written})
                self._facts(key).write_text(kept.model_dump_json(), encoding="utf-8")
                partial.replace(self._disk(key))
            except (UnmeasuredError, OSError) as error:
                self.drop(key)
                return f"it could not be written ({str(error).splitlines()[0][:200]})"
            finally:
                partial.unlink(missing_ok=True)
        return None

    def drop(self, key: str) -> None:
        """Remove one seed."""
        for path in (self._disk(key), self._facts(key)):
            path.unlink(missing_ok=True)

    def sizes(self) -> dict[str, int]:
        """Bytes on disk of each seed, by key, longest unused first."""
        with contextlib.suppress(OSError):
            disks = sorted(self._folder.glob("*.ext4"), key=self._last_use)
            return {disk.stem: disk.stat().st_blocks * 512 for disk in disks}
        return {}

    def _last_use(self, disk: Path) -> float:
        """A use touches the facts; the disk itself is never touched again."""
        facts = self._facts(disk.stem)
        return (facts if facts.exists() else disk).stat().st_mtime

    def _make_room(self, allowed: int, *, keep: str) -> None:
        sizes = self.sizes()
        for key, size in list(sizes.items()):
            if sum(sizes.values()) <= allowed:
                return
            if key != keep:
                self.drop(key)
                sizes[key] -= size

    def sweep(self) -> None:
        """Remove the copies that killed runs did not finish; leaves alone what a living one writes now."""
        handle = try_lock(self._folder / ".lock") if self._folder.is_dir() else None
        if handle is not None:
            try:
                self._sweep()
            finally:
                os.close(handle)

    def _sweep(self) -> None:
        for partial in self._folder.glob("*.partial"):
            partial.unlink(missing_ok=True)

    def _disk(self, key: str) -> Path:
        return self._folder / f"{key}.ext4"

    def _facts(self, key: str) -> Path:
        return self._folder / f"{key}.json"
