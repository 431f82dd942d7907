"""Builds the stages of one image inside the window, one at a time, and records what happened."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ci_budget.core.measurement.events import BuildEvents, LogLine, Vertex, VertexChange
from ci_budget.core.measurement.recording import FailedStep, Recording, StageRecord, StepRecord
from ci_budget.edges.build_log import BuildLog
from ci_budget.edges.buildx import BuildEnd, BuildRequest, Buildx, Cancel
from ci_budget.edges.progress import Progress
from ci_budget.edges.sampler import Sampler

_LAST_LINES = 12
_LONGEST_LINE = 400


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


@dataclass(frozen=True, kw_only=True)
class Location:
    """The stage and the Dockerfile line of a step; None where unknown."""

    stage: str | None
    line: int | None


class StageBuilder:
    """Builds targets of one request one after the other, feeding a recording and a listener."""

    def __init__(
        self,
        *,
        buildx: Buildx,
        request: BuildRequest,
        sampler: Sampler,
        recording: Recording,
        locate: Callable[[str, int], Location],
        log: BuildLog,
        progress: Progress,
        cancel: Cancel,
        timeout: float,
        redact: Callable[[str], str],
    ) -> None:
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
        self._seen: set[str] = set()
        self._last_lines: dict[str, deque[str]] = {}

    def build(self, targets: Sequence[Target], *, image: str, fresh: bool, whole: bool) -> bool:
        """Build the targets in order; only the last is exported, under the name `image`. False when one failed.

        `fresh`: take nothing from an older cache; `whole`: the last target brings its dependencies with it.
        """
        recording = self._recording
        self._sampler.sample()
        recording.start = time.monotonic()
        recording.base_level = recording.series.used[-1]
        for target in targets:
            last = target is targets[-1]
            output = ("--load", "--tag", image) if last else ("--output", "type=cacheonly")
            if not self._build_one(target, output, _refreshing(target, whole) if fresh else ()):
                break
        self._sampler.sample()
        recording.end = time.monotonic()
        return recording.failed is None and recording.cancelled is None

    def _build_one(self, target: Target, output: tuple[str, ...], extra: tuple[str, ...]) -> bool:
        self._log.stage_started(target.name)
        self._progress.doing(f"building stage {target.name}")
        self._sampler.sample()
        start = time.monotonic()
        end = self._buildx.build(
            replace(self._request, dockerfile=target.dockerfile),
            target=target.target,
            output=output,
            on_event=lambda change, events: self._heard(target, change, events),
            cancel=self._cancel,
            timeout=max(0.1, self._deadline - start),
            extra=extra,
        )
        self._sampler.sample()
        self._recording.stages.append(StageRecord(index=target.index, start=start, end=time.monotonic()))
        self._record_steps(target, end.events)
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
        if change.kind == "started" and vertex.is_step and not vertex.cached and vertex.digest not in self._seen:
            self._progress.doing(self._redact(target.shown(vertex)))

    def _place(self, target: Target, vertex: Vertex) -> Location:
        return self._locate(target.shown(vertex), target.index)

    def _record_steps(self, target: Target, events: BuildEvents) -> None:
        """Steps that ran; one that came from the cache counts only where it was not seen to run before."""
        offset = time.time() - time.monotonic()
        for vertex in events.vertexes.values():
            if vertex.started is None or vertex.completed is None or vertex.digest in self._seen:
                continue
            if vertex.is_step:
                self._seen.add(vertex.digest)
            place = self._place(target, vertex)
            self._recording.steps.append(
                StepRecord(
                    name=self._redact(target.shown(vertex)),
                    stage=place.stage,
                    line=place.line,
                    start=vertex.started - offset,
                    end=vertex.completed - offset,
                    cached=vertex.cached,
                    loads_context=vertex.loads_context,
                    internal=not vertex.is_step and not vertex.name.startswith("exporting to"),
                )
            )

    def _record_failure(self, target: Target, end: BuildEnd, start: float) -> None:
        recording, now = self._recording, time.monotonic()
        recording.cancelled = end.cancelled
        vertex = end.events.failed() or _latest_running(end.events)
        offset = time.time() - now
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
            start=max(start, (vertex.started or 0) - offset),
            end=min(now, vertex.completed - offset + 0.05 if vertex.completed else now),
            error=self._redact(vertex.error or "\n".join(end.events.plain[-12:])),
            last_lines=tuple(self._last_lines.get(vertex.digest, ())),
            says_no_space=end.events.says_no_space(vertex),
        )


def _refreshing(target: Target, whole: bool) -> tuple[str, ...]:
    """The options that keep buildx from reusing an older cache for this target, but not for the stages before it."""
    return ("--no-cache",) if whole else ("--no-cache-filter", target.alias or target.name)


def _latest_running(events: BuildEvents) -> Vertex | None:
    """The step that was running when a build was cancelled, or died without an error of its own."""
    running = [vertex for vertex in events.vertexes.values() if vertex.started is not None and vertex.completed is None]
    steps = [vertex for vertex in running if vertex.is_step] or running
    return max(steps, key=lambda vertex: vertex.started or 0, default=None)
