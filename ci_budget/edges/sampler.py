"""Samples a filesystem's level every few milliseconds in a thread of its own."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ci_budget.core.measurement.samples import SampleSeries
from ci_budget.edges.filesystem import Usage, read_usage

INTERVAL = 0.009
_URGENT = -10


class Sampler:
    """Collects samples between `start` and `stop`; `watch` sees each one (for a watchdog) and must be quick."""

    def __init__(self, folder: Path, *, watch: Callable[[float, Usage], None] | None = None) -> None:
        self.series = SampleSeries()
        self.failure: OSError | None = None
        self.highest = 0
        self._watch = watch
        self._handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Take the first sample and go on in the background."""
        self.sample()
        self._thread.start()

    def stop(self) -> None:
        """Take the last sample and end; safe to call twice."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._handle >= 0:
            self.sample()
            os.close(self._handle)
            self._handle = -1

    def sample(self) -> None:
        """Take one sample now (at step events, besides the regular ones)."""
        with self._lock:
            if self._handle < 0:
                return
            try:
                levels = os.fstatvfs(self._handle)
            except OSError as error:
                self.failure = error
                return
            now, size = time.monotonic(), levels.f_frsize
            used = (levels.f_blocks - levels.f_bfree) * size
            self.highest = max(self.highest, used)
            self.series.append(now, used, levels.f_bfree * size, levels.f_ffree)
        if self._watch is not None:
            self._watch(now, read_usage(self._handle))

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # not root: ordinary priority
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _URGENT)
        due = time.monotonic()
        while not self._stop.is_set():
            due += INTERVAL
            pause = due - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            else:
                due = time.monotonic()
            self.sample()


@contextlib.contextmanager
def sampling(folder: Path, *, watch: Callable[[float, Usage], None] | None = None) -> Iterator[Sampler]:
    """A sampler that runs for the block."""
    sampler = Sampler(folder, watch=watch)
    try:
        sampler.start()
        yield sampler
    finally:
        sampler.stop()
