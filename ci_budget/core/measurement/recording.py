"""What was recorded of one image's builds, and the measurements that follow from it.

Times are seconds of the sampler's monotonic clock; levels are bytes of the engine's filesystem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ci_budget.core.layers.model import HistoryStep
from ci_budget.core.measurement.samples import (
    WIDEST_GAP,
    CeilingContact,
    Peak,
    SampleSeries,
    find_contact,
    find_peak,
    thin_out,
)
from ci_budget.core.records.report import Composition, StepReport, TimelinePoint

METHOD = 1  # raised when the same build would be measured differently
_TIMELINE_POINTS = 600


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One vertex that ran (or came from cache) while a target was built. `located_by`: who said its place;
    `says_no_space`: whether its log speaks of a full disk."""

    name: str
    stage: str | None
    line: int | None
    start: float
    end: float
    located_by: Literal["provenance", "names"] | None = None
    cached: bool = False
    loads_context: bool = False
    internal: bool = False
    says_no_space: bool = False


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """The build of one target inside the window; `index` is the stage's in the Dockerfile."""

    index: int
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class FailedStep:
    """The step at which a build ended badly."""

    name: str
    stage: str | None
    line: int | None
    start: float
    end: float
    error: str
    says_no_space: bool
    last_lines: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Recording:
    """Everything recorded of one image. `failed` or `cancelled` are set when the builds did not go through.

    `zero`: the level that counts as nothing; `ceiling`: bytes above it that a build can use (None: unknown);
    `base_level`: the level when the window opened.
    """

    series: SampleSeries
    zero: int
    zero_inodes: int
    total_inodes: int
    ceiling: int | None
    base_level: int = 0
    start: float = 0.0
    end: float = 0.0
    stages: list[StageRecord] = field(default_factory=list)
    steps: list[StepRecord] = field(default_factory=list)
    failed: FailedStep | None = None
    cancelled: str | None = None
    said_no_space: bool = False
    cache_mounts: int = 0
    context_copy: int = 0

    def peak(self) -> Peak | None:
        """The peak of the whole window."""
        return find_peak(self.series, self.start, self.end, zero=self.zero, ceiling=self.ceiling)

    def stage_peak(self, stage: StageRecord) -> Peak | None:
        """The peak while one stage was built."""
        return find_peak(self.series, stage.start, stage.end, zero=self.zero, ceiling=self.ceiling)

    def added_by(self, stage: StageRecord) -> int:
        """Bytes that a stage's build kept."""
        return self.series.level_at(stage.end) - self.series.level_at(stage.start)

    def peak_inodes(self) -> int | None:
        """Most inodes in use within the window, above the empty engine's."""
        first, last = self.series.span(self.start, self.end)
        fewest = min(self.series.free_inodes[first:last], default=None)
        return None if fewest is None else self.total_inodes - fewest - self.zero_inodes

    def contact(self) -> CeilingContact | None:
        """How near the builds came to the ceiling: within the failed step, else within the whole window."""
        if self.failed is not None:
            return find_contact(self.series, self.failed.start, self.failed.end)
        return find_contact(self.series, self.start, self.end)

    def hidden_contact(self) -> CeilingContact | None:
        """The contact with the ceiling that a step went on after; None where there was none. Where a later step failed
        it counts as well: that one may only have missed what was not written, or found the disk full."""
        if self.failed is None:
            contact = self.contact()
            return contact if contact and (contact.surely or (contact.near and self.said_no_space)) else None
        contact = find_contact(self.series, self.start, self.failed.start)
        if contact is None or not contact.surely:
            return None
        step = self.step_that_filled(contact)
        if step is None or step.start >= self.failed.start:
            return None
        # Who only left the last blocks was refused nothing; the one that failed says that it was.
        return contact if step.says_no_space or not self.failed.says_no_space else None

    def compose(self, peak: Peak) -> Composition:
        """What the peak was made of. Kept layers: what steps that had ended by then left behind; context copy and
        cache mounts: the engine's own records, at most what was there; the rest is temporary."""
        total = peak.observed
        bases = min(max(0, self.base_level - self.zero), total)
        rest = total - bases
        ended = [step for step in self.steps if not step.cached and step.end <= peak.at]
        loaded = any(step.loads_context for step in ended)
        context = min(self.context_copy if loaded else 0, rest)
        caches = min(self.cache_mounts, rest - context)
        kept_level = max((self.series.level_at(step.end) for step in ended[-1:]), default=self.base_level)
        kept = max(0, min(kept_level - self.base_level - context - caches, rest - context - caches))
        return Composition(
            bases=bases,
            kept_layers=kept,
            cache_mounts=caches,
            context_copy=context,
            temporary=rest - context - caches - kept,
        )

    def report_steps(self) -> list[StepReport]:
        """The Dockerfile's steps in the order in which they started."""
        peak = self.peak()
        return [self._report_step(step, None if peak is None else peak.at) for step in self._shown_steps()]

    def timeline(self) -> list[TimelinePoint]:
        """The level over time, thinned out without losing a peak, each point with the steps that ran then."""
        shown = self._shown_steps()
        points = thin_out(self.series, self.start, self.end, zero=self.zero, limit=_TIMELINE_POINTS)
        return [
            TimelinePoint(t_ms=round(time * 1000), used=used, steps=_running(shown, self.start + time))
            for time, used in points
        ]

    def step_that_filled(self, contact: CeilingContact) -> StepRecord | None:
        """The step that met a full disk: one that says so, else the one that wrote most in the half second before, else
        the one that had ended last.

        The sample that shows a full disk may come a little after the step's end, when the next one has begun.
        """
        ran = [step for step in self._shown_steps() if not step.cached]
        begun = [step for step in ran if step.start <= contact.at]
        since = contact.at - WIDEST_GAP
        recent = [step for step in begun if step.end >= since]
        refused = [step for step in ran if step.says_no_space and step.start <= contact.told and step.end >= since]

        def wrote(step: StepRecord) -> tuple[int, float]:
            return self.series.moves(max(step.start, since), min(step.end, contact.at))[0], step.start

        if refused:
            return refused[0]
        return max(recent, key=wrote, default=max(begun, key=lambda step: step.end, default=None))

    def _shown_steps(self) -> list[StepRecord]:
        return sorted((step for step in self.steps if not step.internal), key=lambda step: step.start)

    def _report_step(self, step: StepRecord, peak_at: float | None) -> StepReport:
        series = self.series
        wrote, gave_back = series.moves(step.start, step.end)
        highest = series.highest(step.start, step.end)
        return StepReport(
            name=step.name,
            stage=step.stage,
            line=step.line,
            start_ms=max(0, round((step.start - self.start) * 1000)),
            end_ms=max(0, round((step.end - self.start) * 1000)),
            added=0 if step.cached else wrote - gave_back,
            wrote=0 if step.cached else wrote,
            gave_back=0 if step.cached else gave_back,
            peak=None if highest is None else highest - self.zero,
            cached=step.cached,
            at_peak=peak_at is not None and step.start <= peak_at <= step.end and not step.cached,
            located_by=step.located_by,
        )


def _running(steps: Sequence[StepRecord], time: float) -> list[int]:
    return [index for index, step in enumerate(steps) if step.start <= time <= step.end and not step.cached]


@dataclass(frozen=True, kw_only=True)
class BuiltStage:
    """A stage's image as read after the window: bytes of regular files, layers, of which inherited from the base.

    `history` and the bytes of each layer are empty where they were not read."""

    image_id: str
    size: int
    layers: int
    inherited: int
    history: tuple[HistoryStep, ...] = ()
    layer_sizes: tuple[int, ...] = ()


BuiltStages = Mapping[str, BuiltStage]
