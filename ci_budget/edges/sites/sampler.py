"""Samples a filesystem's level every few milliseconds in a thread of its own."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ci_budget.core.measurement.samples import INTERVAL, LAST_STRETCH, SampleSeries
from ci_budget.edges.host.filesystem import Usage, read_usage

_AGAIN = 0.0001
"""Seconds after which a new highest level is looked at once more: while ext4 gives a written extent its blocks, it
counts it twice for some microseconds (fs/ext4/inode.c, ext4_da_update_reserve_space), eight MiB at a time."""
_CLOSE = 0.0001
"""Seconds slept between two samples while the disk is about to be full: a program that meets the end and removes what
it wrote has a full disk for less than a millisecond."""
_CLOSE_FOR = 0.5
_REACH = 5
"""So many times the last rise from sample to sample is near enough to the end to look closely."""
_FOLD = 64
_URGENT = -10
_BLOCKS, _FREE, _FREE_INODES = 2, 3, 6  # of os.statvfs_result, which is quicker by index than by name


class Sampler:
    """Collects samples between `start` and `stop`; `watch` sees each one (for a watchdog) and must be quick."""

    def __init__(self, folder: Path, *, watch: Callable[[float, Usage], None] | None = None) -> None:
        self.series = SampleSeries()
        """What was sampled up to the last call of `sample` or `highest`; the thread's own samples come in batches."""
        self._watch = watch
        # O_PATH: a user without root may pass the engine's folder, not read it.
        self._handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stopped = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._highest, self._looked_at = 0, 0
        levels = os.fstatvfs(self._handle)
        self._block, self._free_at_first = levels.f_frsize, levels.f_bfree
        self._fresh: list[tuple[float, os.statvfs_result]] = []
        self._look = self._looking()

    @property
    def highest(self) -> int:
        """The highest level of the samples so far, in bytes in use."""
        with self._lock:
            self._fold()
            fresh = self.series.used[self._looked_at :]
            self._looked_at += len(fresh)
            self._highest = max(self._highest, max(fresh, default=0))
            return self._highest

    def start(self) -> None:
        """Take the first sample and go on in the background."""
        self.sample()
        self._thread.start()

    def sample(self) -> None:
        """Take a sample now, at a step event; `series` holds all that were taken up to it."""
        self._look()
        with self._lock:
            self._fold()

    def stop(self) -> None:
        """Take the last sample and end; safe to call twice."""
        self._stopped = True
        if self._thread.is_alive():
            self._thread.join()
        if self._handle >= 0:
            self.sample()
            with self._lock:
                os.close(self._handle)
                self._handle = -1

    def _looking(self) -> Callable[[], float]:
        """What takes one sample and returns the seconds until the next. It runs beside a build a hundred times a second
        on cold caches, where each look-up counts: all that can be looked up beforehand is, and what was read is kept as
        it is until there is a batch of it."""
        lock, handle, watch, fold = self._lock, self._handle, self._watch, self._fold
        read, clock, keep, fresh = os.fstatvfs, time.monotonic, self._fresh.append, self._fresh
        last_stretch, pause, close_until = LAST_STRETCH // self._block, time.sleep, 0.0
        least = before = self._free_at_first

        def look() -> float:
            nonlocal least, before, close_until
            with lock:
                if self._handle < 0:
                    return INTERVAL
                try:
                    levels = read(handle)
                    left = levels[_FREE]
                    if left < least:
                        pause(_AGAIN)
                        again = read(handle)
                        levels = again if again[_FREE] > left else levels
                        left = levels[_FREE]
                except OSError:  # the gap that this leaves tells
                    return INTERVAL
                now = clock()
                keep((now, levels))
                if left < before:
                    least = min(least, left)
                    if left < max(_REACH * (before - left), last_stretch):
                        close_until = now + _CLOSE_FOR
                before = left
                if len(fresh) >= _FOLD:
                    fold()
            if watch is not None:
                watch(now, read_usage(handle))
            return _CLOSE if now < close_until else INTERVAL

        return look

    def _fold(self) -> None:
        """Move what is fresh into the series; the lock is held."""
        series, block = self.series, self._block
        for now, levels in self._fresh:
            free = levels[_FREE]
            series.append(now, (levels[_BLOCKS] - free) * block, free * block, levels[_FREE_INODES])
        self._fresh.clear()

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # not root: ordinary priority
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _URGENT)
        sleep, look, rest = time.sleep, self._look, INTERVAL
        while not self._stopped:
            sleep(rest)
            rest = look()


@contextlib.contextmanager
def sampling(folder: Path, *, watch: Callable[[float, Usage], None] | None = None) -> Iterator[Sampler]:
    """A sampler that runs for the block."""
    sampler = Sampler(folder, watch=watch)
    try:
        sampler.start()
        yield sampler
    finally:
        sampler.stop()
