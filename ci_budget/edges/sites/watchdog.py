"""Host mode's watchdog: cancels a build before it takes more of the engine's disk than it may."""

from __future__ import annotations

import threading
from collections import deque
from itertools import pairwise

from ci_budget.core.health.room import LEAST_INODES
from ci_budget.core.measurement.samples import WIDEST_GAP
from ci_budget.core.text.units import format_size
from ci_budget.edges.engine.buildx import Cancel
from ci_budget.edges.host.filesystem import Usage

CANCEL_DELAY = 0.4
"""Seconds that the look-ahead gives a cancelled build. Measured from the cancel to the highest level, 2 cores: 10 to 35
ms for writers of 0.2 to 1.7 GB/s and 150 ms for eight at once that ignore signals; with six busy loops beside them 12
to 225 ms and 380 ms. What came in that time was never more than 0.22 s of the rate before it. A COPY goes on for 0.4 to
0.5 s, slower than before."""
_WINDOW = 0.2  # seconds; half the delay: of what a build writes at once, twice as much more is expected, and no more


class Watchdog:
    """Cancels a build before it crosses the budget, the host's reserve or its last inodes: looks ahead by the rate x
    (cancel delay + the widest gap between two looks, for as long may pass before the next one).

    The rate is the rise within the last moments: a step that writes its files at once is no endless writer. Several
    threads may take samples: they look one at a time.
    """

    def __init__(self, *, zero: int, budget: int | None, reserve: int, cancel: Cancel) -> None:
        self._zero, self._budget, self._reserve, self._cancel = zero, budget, reserve, cancel
        self._lock = threading.Lock()
        self._looks: deque[tuple[float, int, int]] = deque()  # seconds, bytes in use, free inodes

    def __call__(self, now: float, usage: Usage) -> None:
        """Look at one sample, taken at `now` seconds."""
        with self._lock:
            self._look(now, usage)

    def _look(self, now: float, usage: Usage) -> None:
        looks = self._looks
        now = max(now, looks[-1][0]) if looks else now  # another thread's later sample may have come first
        looks.append((now, usage.used, usage.free_inodes))
        while len(looks) > 2 and looks[1][0] <= now - _WINDOW:  # one as old as the window stays, however old it is
            looks.popleft()
        span = max(_WINDOW, now - looks[0][0])
        rate = (usage.used - min(used for _, used, _ in looks)) / span
        inode_rate = (max(free for _, _, free in looks) - usage.free_inodes) / span
        times = [time for time, _, _ in looks]
        gap = max((after - before for before, after in pairwise(times)), default=0.0)
        delay = CANCEL_DELAY + min(gap, WIDEST_GAP)
        ahead, inodes_ahead = int(rate * delay), int(inode_rate * delay)
        used = usage.used - self._zero
        if self._budget is not None and used + ahead > self._budget:
            when = "before" if used <= self._budget else "after"  # a writer can be faster than the samples
            self._cancel(
                f"the build used {format_size(used)}, growing by {format_size(int(rate))} a second, and was "
                f"cancelled {when} it crossed the disk budget of {format_size(self._budget)}"
            )
        elif usage.available - ahead < self._reserve:
            self._cancel(
                f"the host has {format_size(usage.available)} available; the build was cancelled before it took the "
                f"reserve of {format_size(self._reserve)}"
            )
        elif usage.total_inodes and usage.free_inodes - inodes_ahead < LEAST_INODES:
            self._cancel(
                f"the host has {usage.free_inodes:,} inodes left, {round(inode_rate):,} fewer a second; the build was "
                f"cancelled before it took the last {LEAST_INODES:,}"
            )
