"""Builds the stages of one image inside the window, one at a time, and records what happened."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from ci_budget.core.measurement.events import BuildEvents, LogLine, Vertex, VertexChange
from ci_budget.core.measurement.provenance import Lines, step_lines
from ci_budget.core.measurement.recording import FailedStep, Recording, StageRecord, StepRecord
from ci_budget.core.stages.step_places import StepPlace
from ci_budget.edges.build_log import BuildLog
from ci_budget.edges.engine.buildx import BuildEnd, BuildRequest, Buildx, Cancel
from ci_budget.edges.progress import Progress
from ci_budget.edges.sites.sampler import Sampler
from ci_budget.edges.sites.step_traces import StepTraces
from ci_budget.errors import UnmeasuredError

_ARCHIVE: tuple[str, ...] = ("--output", "type=oci,dest=-", "--provenance=false")
_LAST_LINES = 12
_LONGEST_LINE = 400
_LATEST_NEWS = 5.0  # seconds from an event to its coming here; a fraction of one where the machine is not overloaded


@dataclass(frozen=True, kw_only=True)
class Target:
    """A stage to build: its name and index, what buildx is asked for (None: the last stage), and from what Dockerfile.

    A stage without a name of its own cannot be asked for: it is built from a copy that ends with it. Where that
    leaves a single stage, the engine leaves the stage out of its step names (`alone`). `alias` is the name that such
    a copy gives the stage, where it must have one.
    """

    name: str
    index: int
    target: str | None
    dockerfile: Path
    alone: bool = False
    alias: str | None = None

    def shown(self, vertex: Vertex) -> str:
        """A step's name as it is in a build of the whole Dockerfile."""
        if self.alone and vertex.is_step:
            return f"[{self.name} {vertex.name[1:]}"
        if self.alias is not None and vertex.is_step:
            head, bracket, rest = vertex.name.partition("]")
            return head.replace(f"{self.alias} ", f"{self.name} ", 1) + bracket + rest
        return vertex.name


class StageBuilder:
    """Builds targets of one request one after the other, feeding a recording and a listener."""

    def __init__(
        self,
        *,
        buildx: Buildx,
        request: BuildRequest,
        sampler: Sampler,
        recording: Recording,
        locate: Callable[[str, int, Sequence[Lines]], StepPlace],
        log: BuildLog,
        progress: Progress,
        cancel: Cancel,
        timeout: float,
        redact: Callable[[str], str],
        traces: StepTraces | None = None,
    ) -> None:
        """`traces` hears of all that the engine begins."""
        self._buildx = buildx
        self._request = request
        self._sampler = sampler
        self._recording = recording
        self._locate = locate
        self._log = log
        self._progress = progress
        self._cancel = cancel
        self._deadline = time.monotonic() + timeout
        self._redact = redact
        self._traces = traces or StepTraces()
        self._seen: set[str] = set()
        self._moments: dict[tuple[str, str], float] = {}
        self._last_lines: dict[str, deque[str]] = {}

    def build(
        self,
        targets: Sequence[Target],
        *,
        image: str,
        fresh: bool,
        whole: bool,
        read_archive: Callable[[IO[bytes]], None] | None = None,
    ) -> bool:
        """Build the targets in order; only the last is exported, under the name `image`. False when one failed.

        `fresh`: take nothing from an older cache; `whole`: the last target brings its dependencies with it.
        `read_archive`: given the last one as an OCI archive instead, where no engine can take it in.
        """
        recording = self._recording
        self._sampler.sample()
        recording.start = time.monotonic()
        recording.base_level = recording.series.used[-1]
        for target in targets:
            last = target is targets[-1]
            output: tuple[str, ...] = ("--output", "type=cacheonly")
            if last:
                output = ("--load", "--tag", image) if read_archive is None else _ARCHIVE
            extra = _refreshing(target, whole) if fresh else ()
            if not self._build_one(target, output, extra, read_archive if last else None):
                break
        self._sampler.sample()
        recording.end = time.monotonic()
        return recording.failed is None and recording.cancelled is None

    def _build_one(
        self,
        target: Target,
        output: tuple[str, ...],
        extra: tuple[str, ...],
        read_output: Callable[[IO[bytes]], None] | None,
    ) -> bool:
        self._log.stage_started(target.name)
        self._progress.doing(f"building stage {target.name}")
        self._sampler.sample()
        self._moments.clear()
        start = time.monotonic()
        end = self._buildx.build(
            replace(self._request, dockerfile=target.dockerfile),
            target=target.target,
            output=output,
            on_event=lambda change, events: self._heard(target, change, events),
            cancel=self._cancel,
            timeout=max(0.1, self._deadline - start),
            extra=extra,
            read_output=read_output,
        )
        self._sampler.sample()
        self._recording.stages.append(StageRecord(index=target.index, start=start, end=time.monotonic()))
        self._record_steps(target, end)
        self._recording.said_no_space |= end.events.says_no_space(None)
        if not end.succeeded:
            self._record_failure(target, end, start)
        self._log.stage_ended(target.name)
        return end.succeeded

    def _heard(self, target: Target, change: VertexChange | LogLine, events: BuildEvents) -> None:
        if isinstance(change, LogLine):
            vertex = events.vertexes.get(change.vertex)
            stage = self._place(target, vertex).stage if vertex else None
            text = self._redact(change.text)
            self._log.line(stage or target.name, text)
            self._last_lines.setdefault(change.vertex, deque(maxlen=_LAST_LINES)).append(text[:_LONGEST_LINE])
            return
        self._sampler.sample()
        vertex = change.vertex
        wall = vertex.started if change.kind == "started" else vertex.completed
        self._moments[vertex.digest, change.kind] = _on_our_clock(wall or 0.0)
        self._traces.hear(vertex)
        if change.kind == "started" and vertex.is_step and not vertex.cached and vertex.digest not in self._seen:
            self._progress.doing(self._redact(target.shown(vertex)))
        elif change.kind == "started" and vertex.name.startswith("exporting to image"):
            self._progress.doing("exporting the image")

    def _place(self, target: Target, vertex: Vertex, lines: Sequence[Lines] = ()) -> StepPlace:
        return self._locate(target.shown(vertex), target.index, lines)

    def _record_steps(self, target: Target, end: BuildEnd) -> None:
        """Steps that ran; one that came from the cache counts only where it was not seen to run before."""
        lines = step_lines(end.metadata)
        for vertex in end.events.vertexes.values():
            start, stop = (self._moments.get((vertex.digest, kind)) for kind in ("started", "completed"))
            if start is None or stop is None or vertex.digest in self._seen:
                continue
            if vertex.is_step:
                self._seen.add(vertex.digest)
            place = self._place(target, vertex, lines.get(vertex.digest, ()) if vertex.is_step else ())
            self._recording.steps.append(
                StepRecord(
                    name=self._redact(target.shown(vertex)),
                    stage=place.stage,
                    line=place.line,
                    located_by=place.by,
                    start=start,
                    end=max(start, stop),
                    cached=vertex.cached,
                    loads_context=vertex.loads_context,
                    internal=not vertex.is_step and not vertex.name.startswith("exporting to"),
                    says_no_space=end.events.says_no_space(vertex),
                )
            )

    def _record_failure(self, target: Target, end: BuildEnd, start: float) -> None:
        recording, now = self._recording, time.monotonic()
        recording.cancelled = end.cancelled
        if end.cancelled is None and end.events.failed() is None and not end.events.plain:
            raise UnmeasuredError(
                f"buildx ended with exit code {end.exit_code} in the middle of the build and gave no reason",
                mend="Something killed it; the kernel's log (`dmesg`) says whether the memory killer did.",
            )
        vertex = end.events.failed() or _latest_running(end.events)
        if vertex is None:
            text = "\n".join(end.events.plain[-12:]) or f"buildx ended with exit code {end.exit_code}"
            says = end.events.says_no_space(None)
            recording.failed = FailedStep(
                name=f"building {target.name}", stage=target.name, line=None, start=start, end=now,
                error=self._redact(text), says_no_space=says,
            )  # fmt: skip
            return
        place = self._place(target, vertex)
        recording.failed = FailedStep(
            name=self._redact(target.shown(vertex)),
            stage=place.stage or target.name,
            line=place.line,
            start=max(start, self._moments.get((vertex.digest, "started"), start)),
            end=min(now, self._moments.get((vertex.digest, "completed"), now) + 0.05),
            error=self._redact(vertex.error or "\n".join(end.events.plain[-12:])),
            last_lines=tuple(self._last_lines.get(vertex.digest, ())),
            says_no_space=end.events.says_no_space(vertex),
        )


def _on_our_clock(wall: float) -> float:
    """The moment of an event that came just now, by the monotonic clock that the samples go by.

    The engine gives wall time, and somebody may set the clock during a build: an event that seems to come from long
    ago, or from the future, is taken to have happened when it came.
    """
    now = time.monotonic()
    moment = wall - (time.time() - now)
    return moment if now - _LATEST_NEWS <= moment <= now else now


def _refreshing(target: Target, whole: bool) -> tuple[str, ...]:
    """The options that keep buildx from reusing an older cache for this target, but not for the stages before it."""
    return ("--no-cache",) if whole else ("--no-cache-filter", target.alias or target.name)


def _latest_running(events: BuildEvents) -> Vertex | None:
    """The step that was running when a build was cancelled, or died without an error of its own."""
    running = [vertex for vertex in events.vertexes.values() if vertex.started is not None and vertex.completed is None]
    steps = [vertex for vertex in running if vertex.is_step] or running
    return max(steps, key=lambda vertex: vertex.started or 0, default=None)
