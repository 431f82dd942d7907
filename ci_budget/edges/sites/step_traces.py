"""What the engine began for us: the thread that hears a build writes it down, another one tells the next run of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ci_budget.core.measurement.events import Vertex
from ci_budget.core.measurement.own_records import StepTrace, loads

_ARRIVAL = 1.0  # seconds in which a transfer's record comes, which is long before its end (measured: 2 to 15 ms)
_DOCKERFILE = "[internal] load build definition"


class StepTraces:
    """The steps and transfers of all builds of one image, each at its first time: later it comes from the cache."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._traces: dict[str, StepTrace] = {}

    def hear(self, vertex: Vertex) -> None:
        """Take in a vertex that began or ended."""
        if vertex.started is None:
            return
        if vertex.is_step:
            with self._lock:
                trace = self._traces.setdefault(vertex.digest, StepTrace(name=vertex.name, started=vertex.started))
                if vertex.completed is not None:
                    completed = min(trace.completed, vertex.completed)
                    self._traces[vertex.digest] = replace(trace, completed=completed)
        elif loads(vertex.name):
            self._loaded(vertex.name, vertex.started, vertex.started + _ARRIVAL)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """For the block: the engine on this machine is asked for the stages, and loads the Dockerfile for that."""
        started = time.time()
        try:
            yield
        finally:
            self._loaded(_DOCKERFILE, started, time.time())

    def all(self) -> list[StepTrace]:
        """All so far."""
        with self._lock:
            return list(self._traces.values())

    def _loaded(self, name: str, started: float, completed: float) -> None:
        kind = _DOCKERFILE if name.startswith(_DOCKERFILE) else name  # its name ends with the file's
        with self._lock:
            self._traces.setdefault(kind, StepTrace(name=kind, started=started, completed=completed))
