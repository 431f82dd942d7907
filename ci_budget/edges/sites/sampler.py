"""Samples a filesystem's level every few milliseconds in a thread of its own."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ci_budget.core.measurement.samples import SampleSeries
from ci_budget.edges.host.filesystem import Usage, read_usage

INTERVAL = 0.0096
"""Seconds slept between two samples; with waking up and reading it makes less than 10 ms."""
_AGAIN = 0.0001
"""Seconds after which a new highest level is looked at once more: while ext4 gives a written extent its blocks, it
counts it twice for some microseconds (fs/ext4/inode.c, ext4_da_update_reserve_space), eight MiB at a time."""
_URGENT = -10
_BLOCKS, _FREE, _FREE_INODES = 2, 3, 6  # of os.statvfs_result, which is quicker by index than by name


class Sampler:
    """Collects samples between `start` and `stop`; `watch` sees each one (for a watchdog) and must be quick."""

    def __init__(self, folder: Path, *, watch: Callable[[float, Usage], None] | None = None) -> None:
        self.series = SampleSeries()
        self._watch = watch
        # O_PATH: a user without root may pass the engine's folder, not read it.
        self._handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stopped = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._highest, self._looked_at = 0, 0
        self.sample = self._sampling()

    @property
    def highest(self) -> int:
        """The highest level of the samples so far, in bytes in use."""
        fresh = self.series.used[self._looked_at :]
        self._looked_at += len(fresh)
        self._highest = max(self._highest, max(fresh, default=0))
        return self._highest

    def start(self) -> None:
        """Take the first sample and go on in the background."""
        self.sample()
        self._thread.start()

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

    def _sampling(self) -> Callable[[], None]:
        """What takes one sample now: by the thread, and at step events. It runs beside a build a hundred times a
        second on cold caches, where each look-up counts: all that can be looked up beforehand is."""
        series, lock, handle, watch = self.series, self._lock, self._handle, self._watch
        read, clock, block = os.fstatvfs, time.monotonic, os.fstatvfs(self._handle).f_frsize
        times, used = series.times.append, series.used.append
        free, inodes = series.free.append, series.free_inodes.append
        pause, least = time.sleep, sys.maxsize

        def sample() -> None:
            nonlocal least
            with lock:
                if self._handle < 0:
                    return
                try:
                    levels = read(handle)
                    if levels[_FREE] < least:
                        pause(_AGAIN)
                        again = read(handle)
                        levels = again if again[_FREE] > levels[_FREE] else levels
                        least = min(least, levels[_FREE])
                except OSError:  # the gap that this leaves tells
                    return
                now, left = clock(), levels[_FREE]
                times(now)
                used((levels[_BLOCKS] - left) * block)
                free(left * block)
                inodes(levels[_FREE_INODES])
            if watch is not None:
                watch(now, read_usage(handle))

        return sample

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # not root: ordinary priority
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _URGENT)
        sleep, sample = time.sleep, self.sample
        while not self._stopped:
            sleep(INTERVAL)
            sample()


@contextlib.contextmanager
def sampling(folder: Path, *, watch: Callable[[float, Usage], None] | None = None) -> Iterator[Sampler]:
    """A sampler that runs for the block."""
    sampler = Sampler(folder, watch=watch)
    try:
        sampler.start()
        yield sampler
    finally:
        sampler.stop()
