"""What killed runs left behind: sandboxes, seeds, work trees, old crash reports, containers on the runner's engine."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.files.crash_reports import old_crash_reports
from ci_budget.edges.sandbox.private_sandbox import mend
from ci_budget.edges.sandbox.privileged_container import OWNER, orphaned_containers
from ci_budget.edges.sites.host_traces import LABEL, OWN_IMAGE
from ci_budget.edges.sites.host_turns import host_turns_halted
from ci_budget.edges.sites.state import abandoned, mending, try_lock
from ci_budget.edges.work_tree import abandoned_trees, remove_abandoned


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


def find_leftovers(root: Path, engine: DockerEngine | None) -> list[Leftover]:
    """Everything of ours that no living run owns. Raises OSError where this user may not look."""
    found = []
    if (root / "sandboxes").is_dir():
        with mending(root):
            found += [Leftover(kind="sandbox", key=one.id, size=_size(one.disk)) for one in abandoned(root)]
    with _unfinished_seeds(root) as seeds:
        found += [Leftover(kind="unfinished seed", key=seed.stem, size=_size(seed)) for seed in seeds]
    found += [
        Leftover(kind="work tree", key=tree.name, size=sum(_size(path) for path in tree.rglob("*")))
        for tree in abandoned_trees(root)
    ]
    reports = old_crash_reports(root, time.time())
    found += [
        Leftover(kind="crash report", key=report.stem.removeprefix("crash-"), size=_size(report)) for report in reports
    ]
    if engine is not None:
        with _stray_containers(engine) as containers:
            found += [Leftover(kind="container", key=ident, size=0) for ident in containers]
    return found


def remove_leftovers(root: Path, engine: DockerEngine | None) -> None:
    """Take away all that `find_leftovers` finds. Raises CiBudgetError when something will not go."""
    if engine is not None:  # first: a container keeps its sandbox
        with _stray_containers(engine) as containers:
            for ident in containers:
                engine.remove_container(ident)
    mend(root)
    with _unfinished_seeds(root) as seeds:
        for seed in seeds:
            seed.unlink(missing_ok=True)
    remove_abandoned(root)
    for report in old_crash_reports(root, time.time()):
        report.unlink(missing_ok=True)


@contextlib.contextmanager
def _stray_containers(engine: DockerEngine) -> Iterator[list[str]]:
    """Containers of sandboxes whose owner is gone, and smoke tests' where nobody measures on the host's engine."""
    owned = {ident for ident, _ in engine.container_labels(OWNER)}
    with host_turns_halted(engine) as halted:
        labelled = engine.container_labels(LABEL) if halted else []
        smoke = [ident for ident, value in labelled if ident not in owned and value != OWN_IMAGE]
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
