"""How far beyond its limit a build gets at the machine's full write rate: in host mode, and out of the sandbox."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from faults.disks import small_disk
from faults.ground import BASE, Ground
from faults.holds import wait_for_line
from tests.engine.projects import MB
from tests.engine.quiet_host import quiet_host

_HOST_SIZE = 6_000 * MB
BUDGETS = (1_500 * MB, 150 * MB)
"""Bytes: more, and less, than the disk takes while a build is cancelled."""
_WRITER = "dd if=/dev/zero of=/x bs=16M"
ROUNDS = 2


@dataclass(frozen=True, kw_only=True)
class Overshoot:
    """One run: bytes beyond the budget, the writer's rate in bytes a second, and how the run ended."""

    budget: int
    bytes: int
    rate: float
    exit_code: int


@dataclass(kw_only=True)
class _Watch:
    """The levels of a filesystem, looked at every millisecond: time and bytes in use."""

    folder: Path
    levels: list[tuple[float, int]] = field(default_factory=list)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        stop = threading.Event()

        device = self.folder.stat().st_dev

        def look() -> None:
            while not stop.wait(0.001):
                try:
                    found, now = os.statvfs(self.folder), self.folder.stat().st_dev
                except OSError:
                    return
                if now != device:  # unmounted: another filesystem shows
                    return
                self.levels.append((time.monotonic(), (found.f_blocks - found.f_bfree) * found.f_frsize))

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def growth(self) -> int:
        """From the first level to the highest."""
        return max(level for _, level in self.levels) - self.levels[0][1]

    def rate(self) -> float:
        """Bytes a second over the middle of the rise, from a tenth to nine tenths of it."""
        first, high = self.levels[0][1], self.growth()
        times = [next(at for at, level in self.levels if level - first >= high * part) for part in (0.1, 0.9)]
        return 0.8 * high / max(times[1] - times[0], 0.001)


def measure_host(ground: Ground, budget: int) -> Overshoot:
    """Host mode: an engine alone on a filesystem of 6 GB, a writer without a brake."""
    with quiet_host(ground.fresh("runner") / "ci-budget", _HOST_SIZE) as host:
        disk = {"mode": "host", "reserve": "100MB"}
        project = ground.project(f"FROM {BASE}\nRUN {_WRITER}\n", budget=str(budget), disk=disk)
        watch = _Watch(folder=host.mount)
        with watch.watching(), ground.running(project, env=host.env) as check:
            done = check.finish()
        base = done.image["bases"][0]["size"]
    beyond = max(0, base + watch.growth() - budget)
    return Overshoot(budget=budget, bytes=beyond, rate=watch.rate(), exit_code=done.exit_code)


def measure_sandbox(ground: Ground, budget: int) -> Overshoot:
    """The sandbox: its file lies alone on a filesystem of its own, whose growth during the build is the overshoot."""
    with small_disk(ground.fresh("disk"), 4_000 * MB) as outer:
        state = outer.mount / "ci-budget"
        state.mkdir()
        disk = {"mode": "sandbox", "reserve": "100MB", "seeds_limit": 0}
        project = ground.project(f"FROM {BASE}\nRUN sleep 1 && {_WRITER}\n", budget=str(budget), disk=disk)
        watch = _Watch(folder=outer.mount)
        with ground.running(project, env={"CI_BUDGET_STATE": str(state)}) as check:
            wait_for_line(check, "RUN sleep")
            (mount,) = state.glob("sandboxes/*/mnt")
            inner = _Watch(folder=mount)
            with watch.watching(), inner.watching():
                done = check.finish()
    return Overshoot(budget=budget, bytes=watch.growth(), rate=inner.rate(), exit_code=done.exit_code)
