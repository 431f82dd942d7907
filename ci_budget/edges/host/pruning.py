"""Carries a prune plan out, step by step, looking at the disk itself after each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci_budget.core.prune_plan import (
    CacheEntry,
    PruneDone,
    PruneKind,
    PruneStep,
    Stock,
    StoredImage,
    is_needed,
    own_names,
)
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.host.disk_levels import read_disk
from ci_budget.edges.host.filesystem import read_usage
from ci_budget.edges.sandbox.seeds import SeedStore
from ci_budget.edges.sites.host_turns import host_turns_halted
from ci_budget.edges.sites.leftovers import find_leftovers, remove_leftovers
from ci_budget.errors import CiBudgetError, UnmeasuredError


@dataclass(frozen=True, kw_only=True)
class Storeroom:
    """Where things lie. `folders`: a folder on each filesystem, by the filesystem's mount point."""

    root: Path
    engine: DockerEngine | None
    state_disk: str
    engine_disk: str | None
    folders: Mapping[str, Path]

    @classmethod
    def open(cls, root: Path, engine: DockerEngine | None) -> Storeroom:
        """Find the filesystems of our state and of the engine's data, as far as this user sees them."""
        state = read_disk(root, "state").mount_point
        folders = {state: root}
        engine_disk = None
        if engine is not None:
            engine_disk = f"the engine at {engine.docker_host}"
            with contextlib.suppress(OSError):
                if engine.docker_host.startswith("unix://"):
                    data = Path(engine.facts().data_root)
                    engine_disk = read_disk(data, "data").mount_point
                    folders.setdefault(engine_disk, data)
        return cls(root=root, engine=engine, state_disk=state, engine_disk=engine_disk, folders=folders)

    def available(self) -> dict[str, int]:
        """Bytes that users can take, by filesystem."""
        return {disk: read_usage(folder).available for disk, folder in self.folders.items()}

    def stock(self) -> Stock:
        """All that could go. Images of ours count only while nobody measures in host mode."""
        try:
            leftovers = tuple((one.label, one.size) for one in find_leftovers(self.root, self.engine))
        except OSError as error:
            raise UnmeasuredError(
                f"this user may not look at {error.filename or self.root}: {error.strerror}",
                mend="Run as the user that ran the checks: sudo ci-budget prune.",
            ) from error
        images: list[StoredImage] = []
        cache: list[CacheEntry] = []
        if self.engine is not None:
            images, cache = self.engine.storage()
            with host_turns_halted(self.engine) as halted:
                images = images if halted else [image for image in images if not own_names(image)]
        return Stock(
            leftovers=leftovers,
            seeds=self._seeds.sizes(),
            cache=cache,
            images=images,
            engine_disk=self.engine_disk,
            state_disk=self.state_disk,
        )

    def carry_out(self, steps: Sequence[PruneStep], target: int | None, say: Callable[[str], None]) -> list[PruneDone]:
        """Take the steps until every filesystem has the target available. What will not go is kept, with the reason."""
        done = []
        for step in steps:
            if not is_needed(step, self.available(), target):
                continue
            say(f"removing {step.label}")
            try:
                self._take(step)
            except CiBudgetError as error:
                done.append(PruneDone(step=step, kept=error.what))
            else:
                done.append(PruneDone(step=step))
        return done

    @property
    def _seeds(self) -> SeedStore:
        return SeedStore(self.root, limit=0, reserve=0)

    def _take(self, step: PruneStep) -> None:
        if step.kind is PruneKind.LEFTOVERS and not step.names:
            remove_leftovers(self.root, self.engine)
        elif step.kind is PruneKind.SEEDS:
            self._seeds.drop(step.key)
        elif self.engine is not None and step.kind is PruneKind.CACHE:
            self.engine.prune_cache(int(step.key))
        elif self.engine is not None:
            self.engine.drop_unused_image(step.key, step.names)
