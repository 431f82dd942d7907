"""The place where an image is built: the sandbox, or the runner's own engine under a watchdog."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ci_budget.core.text.units import format_size
from ci_budget.edges.base_images import BaseImage, context_overrides
from ci_budget.edges.buildx import Cancel
from ci_budget.edges.disk_mode import DiskMode
from ci_budget.edges.docker_engine import DockerEngine
from ci_budget.edges.filesystem import Usage, read_usage
from ci_budget.edges.host_daemon import inherited_settings
from ci_budget.edges.sandbox import sandbox
from ci_budget.edges.seeds import SeedStore
from ci_budget.edges.state import try_lock
from ci_budget.errors import UnmeasuredError

_CANCEL_DELAY = 1.0  # seconds until a cancelled build stops writing, measured on a 600 MB/s writer
_RATE_WINDOW = 0.5  # seconds


@dataclass(frozen=True, kw_only=True)
class BuildSite:
    """Where to build and what to watch. Levels are bytes of the watched filesystem; `zero` counts as nothing."""

    docker_host: str
    watched: Path | None
    enforced: bool
    zero: int
    zero_inodes: int
    ceiling: int | None
    overrides: Mapping[str, str] = field(default_factory=dict)
    ballast: Path | None = None
    watch: Callable[[float, Usage], None] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DiskNeeds:
    """What a build needs of the host's disk, in bytes: `budget` for itself, `reserve` left beside it, and
    `free_first` free before it starts (a factor of the expected image size; None where no size is expected)."""

    budget: int | None
    reserve: int
    seeds_limit: int
    free_first: int | None

    def require_free(self, folder: Path) -> None:
        """Raises UnmeasuredError unless the filesystem of `folder` has what must be free before a build."""
        available = read_usage(folder).available
        if self.free_first is not None and available < self.free_first:
            raise UnmeasuredError(
                f"the disk of {folder} has {format_size(available)} available; {format_size(self.free_first)} must be "
                "free before this build (disk.free_factor times the expected image size)",
                mend="Free space (`ci-budget prune --dry-run` shows what it could free), or lower disk.free_factor.",
            )


@contextlib.contextmanager
def build_site(
    mode: DiskMode,
    root: Path,
    *,
    needs: DiskNeeds,
    bases: Sequence[BaseImage],
    bases_size: Callable[[DockerEngine], int],
    cancel: Cancel,
    say: Callable[[str], None],
) -> Iterator[BuildSite]:
    """The site for one image. Raises UnmeasuredError when it cannot be had."""
    if mode.mode == "sandbox":
        if needs.budget is None:
            raise UnmeasuredError("a sandbox needs a size", mend="Set disk.budget in the config.")
        needs.require_free(root)
        say("making the sandbox")
        with sandbox(
            root,
            budget=needs.budget,
            reserve=needs.reserve,
            bases=bases,
            settings=inherited_settings(),
            seeds=SeedStore(root, limit=needs.seeds_limit, reserve=needs.reserve),
            say=say,
        ) as box:
            yield BuildSite(
                docker_host=box.docker_host,
                watched=box.mount,
                enforced=True,
                zero=box.zero,
                zero_inodes=box.zero_inodes,
                ceiling=box.ceiling,
                overrides=context_overrides(bases),
                ballast=box.ballast,
                notes=box.notes,
            )
        return
    with _host_site(mode, root, needs, bases_size, cancel, say) as site:
        yield site


@contextlib.contextmanager
def _host_site(
    mode: DiskMode,
    root: Path,
    needs: DiskNeeds,
    bases_size: Callable[[DockerEngine], int],
    cancel: Cancel,
    say: Callable[[str], None],
) -> Iterator[BuildSite]:
    from ci_budget.edges.buildx import current_docker_host

    address = current_docker_host()
    if mode.mode == "remote":
        yield BuildSite(docker_host=address, watched=None, enforced=False, zero=0, zero_inodes=0, ceiling=None)
        return
    with _turn(root, say):
        engine = DockerEngine(address)
        try:
            folder = Path(engine.facts().data_root)
            base_level = bases_size(engine)
        finally:
            engine.close()
        if not folder.is_dir():
            raise UnmeasuredError(
                f"the engine keeps its data in {folder}, which this user cannot see",
                mend="Run as root for a sandbox, or give this user search permission on that path.",
            )
        needs.require_free(folder)
        usage = read_usage(folder)
        if usage.available <= needs.reserve:
            raise UnmeasuredError(
                f"the engine's disk ({folder}) has {format_size(usage.available)} available, no more than the "
                f"reserve of {format_size(needs.reserve)}",
                mend="Free space (`ci-budget prune --dry-run` shows what it could free), or lower disk.reserve.",
            )
        zero = usage.used - base_level
        watchdog = Watchdog(zero=zero, budget=needs.budget, reserve=needs.reserve, cancel=cancel)
        yield BuildSite(
            docker_host=address,
            watched=folder,
            enforced=False,
            zero=zero,
            zero_inodes=usage.total_inodes - usage.free_inodes,
            ceiling=None,
            watch=watchdog,
            notes=(
                "the disk budget was watched, not enforced, and other processes' writes to the same disk count as "
                "the build's",
            ),
        )


class Watchdog:
    """Cancels a build before it crosses the budget or the host's reserve: looks ahead by write rate x cancel delay.

    The rate is the rise within the last half second: a step that writes its files at once is no endless writer.
    """

    def __init__(self, *, zero: int, budget: int | None, reserve: int, cancel: Cancel) -> None:
        self._zero, self._budget, self._reserve, self._cancel = zero, budget, reserve, cancel
        self._levels: deque[tuple[float, int]] = deque()

    def __call__(self, now: float, usage: Usage) -> None:
        """Look at one sample, taken at `now` seconds."""
        self._levels.append((now, usage.used))
        while self._levels[0][0] < now - _RATE_WINDOW:
            self._levels.popleft()
        rate = (usage.used - min(used for _, used in self._levels)) / _RATE_WINDOW
        ahead = int(rate * _CANCEL_DELAY)
        used = usage.used - self._zero
        if self._budget is not None and used + ahead > self._budget:
            self._cancel(
                f"the build used {format_size(used)}, growing by {format_size(int(rate))} a second, and was "
                f"cancelled before it crossed the disk budget of {format_size(self._budget)}"
            )
        elif usage.available - ahead < self._reserve:
            self._cancel(
                f"the host has {format_size(usage.available)} available; the build was cancelled before it took the "
                f"reserve of {format_size(self._reserve)}"
            )
        elif usage.total_inodes and usage.free_inodes < 1000:
            self._cancel(f"the host has {usage.free_inodes:,} inodes left; the build was cancelled")


@contextlib.contextmanager
def _turn(root: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Host-mode measurements take turns: each would count the other's writes."""
    import os

    path = root / "host-measurement.lock"
    told = False
    while (handle := try_lock(path)) is None:
        if not told:
            holder = path.read_text(encoding="ascii", errors="replace").strip()[:20]
            say(f"waiting: another ci-budget (process {holder}) is measuring on this host's engine")
            told = True
        time.sleep(0.5)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def open_host_engine() -> tuple[DockerEngine | None, str]:
    """The runner's own engine where one answers, else None and the problem."""
    from ci_budget.edges.buildx import current_docker_host

    try:
        return DockerEngine(current_docker_host()), ""
    except UnmeasuredError as error:
        return None, error.what
