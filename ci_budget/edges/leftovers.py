"""What killed runs left behind: sandboxes, unfinished seeds, and what a host-mode run keeps on the runner's engine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ci_budget.edges.docker_engine import DockerEngine
from ci_budget.edges.privileged_container import OWNER, orphaned_containers
from ci_budget.edges.sandbox import mend
from ci_budget.edges.state import abandoned, mending, try_lock

LABEL = "ci-budget"
_HOST_LOCK = "host-measurement.lock"


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """One thing without an owner: `label` for people, `size` in bytes on the state directory's filesystem."""

    kind: str
    key: str
    size: int

    @property
    def label(self) -> str:
        """As it stands in messages."""
        return f"{self.kind} {self.key[:12]}"


@contextlib.contextmanager
def host_measurements_halted(root: Path) -> Iterator[bool]:
    """True, and nobody measures in host mode during the block; False where somebody does already."""
    handle = try_lock(root / _HOST_LOCK)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def find_leftovers(root: Path, engine: DockerEngine | None) -> list[Leftover]:
    """Everything of ours that no living run owns. Raises OSError where this user may not look."""
    found = []
    if (root / "sandboxes").is_dir():
        with mending(root):
            found += [Leftover(kind="sandbox", key=one.id, size=_size(one.disk)) for one in abandoned(root)]
    with _unfinished_seeds(root) as seeds:
        found += [Leftover(kind="unfinished seed", key=seed.stem, size=_size(seed)) for seed in seeds]
    if engine is not None:
        with _stray_containers(root, engine) as containers:
            found += [Leftover(kind="container", key=ident, size=0) for ident in containers]
    return found


def remove_leftovers(root: Path, engine: DockerEngine | None) -> None:
    """Take away all that `find_leftovers` finds. Raises CiBudgetError when something will not go."""
    if engine is not None:  # first: a container keeps its sandbox
        with _stray_containers(root, engine) as containers:
            for ident in containers:
                engine.remove_container(ident)
    mend(root)
    with _unfinished_seeds(root) as seeds:
        for seed in seeds:
            seed.unlink(missing_ok=True)


@contextlib.contextmanager
def _stray_containers(root: Path, engine: DockerEngine) -> Iterator[list[str]]:
    """Containers of sandboxes whose owner is gone, and smoke tests' where nobody measures on the host's engine."""
    owned = {ident for ident, _ in engine.container_labels(OWNER)}
    with host_measurements_halted(root) as halted:
        smoke = [ident for ident, _ in engine.container_labels(LABEL) if ident not in owned] if halted else []
        yield [*orphaned_containers(engine), *smoke]


@contextlib.contextmanager
def _unfinished_seeds(root: Path) -> Iterator[list[Path]]:
    """The copies that a killed run did not finish; none while a living one writes its own."""
    folder = root / "seeds"
    handle = try_lock(folder / ".lock") if folder.is_dir() else None
    try:
        yield sorted(folder.glob("*.partial")) if handle is not None else []
    finally:
        if handle is not None:
            os.close(handle)


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_blocks * 512
    return 0
