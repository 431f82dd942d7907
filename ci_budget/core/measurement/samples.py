"""Samples of a filesystem's level, and what may honestly be said of its peak.

Times are seconds of a monotonic clock, levels bytes. Between two samples the level may have been
higher than both: the bound is the highest sample plus the widest gap times the fastest rise seen.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

INTERVAL = 0.0096  # seconds slept between two samples; with waking up and reading it makes less than 10 ms
WIDEST_GAP = 0.5  # seconds; beyond it a peak is not measured
LEAST_FREE = 64 * 2**20
LEAST_INODES = 100
LAST_STRETCH = 16 * 2**20  # bytes before the ceiling


@dataclass(kw_only=True)
class SampleSeries:
    """Levels over time, in order: bytes in use, free bytes, free inodes."""

    times: array[float] = field(default_factory=lambda: array("d"))
    used: array[int] = field(default_factory=lambda: array("q"))
    free: array[int] = field(default_factory=lambda: array("q"))
    free_inodes: array[int] = field(default_factory=lambda: array("q"))

    def append(self, time: float, used: int, free: int, free_inodes: int) -> None:
        """Add one sample; `time` must not be before the last one."""
        self.times.append(time)
        self.used.append(used)
        self.free.append(free)
        self.free_inodes.append(free_inodes)

    def __len__(self) -> int:
        return len(self.times)

    def span(self, start: float, end: float) -> tuple[int, int]:
        """Indices [first, last) of the samples within [start, end], with the neighbours just outside left out."""
        return bisect_left(self.times, start), bisect_right(self.times, end)

    def level_at(self, time: float) -> int:
        """Bytes in use at the last sample not after `time` (the first sample when there is none)."""
        return self.used[max(0, bisect_right(self.times, time) - 1)]

    def moves(self, start: float, end: float) -> tuple[int, int]:
        """Bytes by which the level rose, and by which it fell, from sample to sample between the levels at `start` and
        `end`; what came and went between two samples is in neither."""
        first, last = self.span(start, end)
        level, risen, fallen = self.level_at(start), 0, 0
        for used in (*self.used[first:last], self.level_at(end)):
            risen += max(0, used - level)
            fallen += max(0, level - used)
            level = used
        return risen, fallen

    def highest(self, start: float, end: float) -> int | None:
        """Highest level within [start, end], the levels at its borders included; None without samples."""
        if not self.times:
            return None
        first, last = self.span(start, end)
        inside = max(self.used[first:last], default=0)
        return max(inside, self.level_at(start), self.level_at(end))


@dataclass(frozen=True, kw_only=True)
class Peak:
    """What the samples of a window say of its peak, in bytes above `zero`."""

    observed: int
    upper_bound: int
    at: float
    interval: float
    widest_gap: float
    fastest_rise: float

    @property
    def measured(self) -> bool:
        """False when a gap was too wide for the observed peak to be trusted."""
        return self.widest_gap <= WIDEST_GAP


def find_peak(series: SampleSeries, start: float, end: float, *, zero: int, ceiling: int | None) -> Peak | None:
    """The peak within [start, end] above `zero`; None when fewer than two samples lie there.

    `upper_bound` = observed + widest gap x fastest rise between neighbouring samples, at most `ceiling`
    (bytes above `zero`). The borders count as gaps too. Samples closer together than 5 ms, at step events and where
    the disk is nearly full, count as one: no rate can be told from microseconds.
    """
    first, last = series.span(start, end)
    if last - first < 2:
        return None
    times, used = series.times, series.used
    widest = max(times[first] - start, end - times[last - 1], 0.0)
    fastest, highest, at = max(rises(series, first, last)), used[first], times[first]
    for index in range(first + 1, last):
        widest = max(widest, times[index] - times[index - 1])
        if used[index] > highest:
            highest, at = used[index], times[index]
    observed = highest - zero
    bound = observed + int(widest * fastest)
    if ceiling is not None:
        bound = max(observed, min(bound, ceiling))
    return Peak(
        observed=observed,
        upper_bound=bound,
        at=at,
        interval=(times[last - 1] - times[first]) / (last - first - 1),
        widest_gap=widest,
        fastest_rise=fastest,
    )


def rises(series: SampleSeries, first: int, last: int) -> Iterator[float]:
    """How fast the level rose up to each of the samples [first + 1, last), in bytes a second: from the latest sample
    that is 5 ms or more before it, 0 where it fell."""
    times, used = series.times, series.used
    before = first
    for index in range(first + 1, last):
        while before + 1 < index and times[index] - times[before + 1] >= _LEAST_STRETCH:
            before += 1
        yield max(0, used[index] - used[before]) / max(times[index] - times[before], _LEAST_STRETCH)


@dataclass(frozen=True, kw_only=True)
class CeilingContact:
    """How near the level came to the ceiling within a window, and when.

    `told`: the time of the sample that tells of a contact, else of the nearest one. `at`: of the first that came as
    near, a MiB apart; what an engine notes down afterwards is nobody's doing.

    `leapt_from`: the free bytes before a leap to the ceiling that no writer makes: a program reserved
    (fallocate) more than was left, which ext4 grants in part before it refuses. None where there was no leap.
    """

    free: int
    free_inodes: int
    at: float
    told: float
    near: bool
    surely: bool
    inodes: bool
    leapt_from: int | None


def find_contact(series: SampleSeries, start: float, end: float) -> CeilingContact | None:
    """Whether the ceiling was reached within [start, end]; None without samples.

    `near`: free bytes <= max(64 MiB, fastest rise x widest gap) or free inodes <= 100: decides for a step
    that failed. `surely`: a sample with no more than the last blocks free, or a fall right after the level had come
    so near that the rise of that moment reaches the ceiling between two samples; further off than the last 16 MiB by at
    least half of that way (who was refused gives back more than an engine that tidies up); decides where the build
    went on.
    """
    first, last = series.span(start, end)
    first, last = max(0, first - 1), min(len(series), last + 1)
    if last <= first:
        return None
    times, used, free = series.times, series.used, series.free
    widest = fastest = 0.0
    lowest = telling = first
    surely = False
    leapt_from = None
    recent = 0.0  # fastest rise of the last half second, bytes per second
    recent_at = times[first]
    for index, rise in zip(range(first + 1, last), rises(series, first, last), strict=True):
        if free[index] < free[lowest]:
            lowest = index
        gap = times[index] - times[index - 1]
        widest, fastest = max(widest, gap), max(fastest, rise)
        if times[index] - recent_at > WIDEST_GAP or rise >= recent:
            recent, recent_at = rise, times[index]
        way, given_back = free[index - 1], used[index - 1] - used[index]
        reach = recent * gap
        if recent and gap < INTERVAL:  # taken closely, for the disk was nearly full: each write shows
            close_by = index - 1 > first and times[index - 1] - times[index - 2] < _LEAST_STRETCH
            paused = close_by and used[index - 1] <= used[index - 2]
            reach = _ONE_WRITE + (0 if paused else reach)
        much = given_back > (way // 2 if way > LAST_STRETCH else 0)
        fell = much and way <= min(LEAST_FREE, int(reach))
        if not surely and (free[index] <= _LAST_BLOCKS or fell):
            leapt_from = _leap(series, first, index)
            surely, telling = True, index - 1 if fell else index
    if not surely:
        telling = lowest
    touched = next(index for index in range(first, last) if free[index] < free[telling] + _NOTES)
    inodes = min(series.free_inodes[first:last])
    starved = inodes <= LEAST_INODES
    of_inodes = starved and free[lowest] > LEAST_FREE
    if of_inodes:
        touched = telling = series.free_inodes.index(inodes, first)
    return CeilingContact(
        free=free[lowest],
        free_inodes=inodes,
        at=times[touched],
        told=times[telling],
        near=free[lowest] <= max(LEAST_FREE, int(fastest * widest)) or starved,
        surely=surely or inodes == 0,
        inodes=of_inodes,
        leapt_from=leapt_from,
    )


def _leap(series: SampleSeries, first: int, index: int) -> int | None:
    """The free bytes before a leap that ends at `index`; None where a writer can have made the rise.

    Samples may fall into the middle of a leap, many where they are taken closely: it began at the earliest from which
    the level rose faster than a writer usually makes it, and all in all faster than one can.
    """
    times, used = series.times, series.used

    def rise_from(start: int, end: int) -> float:
        return (used[end] - used[start]) / max(times[end] - times[start], 1e-9)

    began, start = None, index - 1
    while start >= first and (start >= index - 2 or times[index] - times[start] <= _LONGEST_LEAP):
        if rise_from(start, start + 1) > _FAST_WRITER and rise_from(start, index) > _NO_WRITER:
            began = start
        start -= 1
    return series.free[began] if began is not None and series.free[began] > LEAST_FREE else None


_LONGEST_LEAP = 0.025  # seconds
_FAST_WRITER = 4e9  # bytes per second; writing through the page cache reaches 2 to 4e9
_NO_WRITER = 8e9
_LAST_BLOCKS = 256 * 1024  # ext4 refuses a little before the last block
_NOTES = 2**20
_LEAST_STRETCH = 0.005
_ONE_WRITE = 2**20  # comes faster than its writer goes on


def thin_out(series: SampleSeries, start: float, end: float, *, zero: int, limit: int) -> list[tuple[float, int]]:
    """At most about `limit` points (time since `start`, bytes above `zero`) that keep the lowest and the highest level
    of each of equally long stretches, so the peak is never lost; ends with the last sample."""
    first, last = series.span(start, end)
    times, level = series.times, series.used.__getitem__
    if last - first <= limit:
        kept = list(range(first, last))
    else:
        stretches = max(1, limit // 2)
        length = (times[last - 1] - times[first]) / stretches
        inner = (bisect_left(times, times[first] + index * length, first, last) for index in range(1, stretches))
        borders = [first, *inner, last]
        kept = []
        for begin, upto in pairwise(borders):
            if begin < upto:
                within = range(begin, upto)
                kept.extend(sorted({min(within, key=level), max(within, key=level)}))
        if kept[-1] != last - 1:
            kept.append(last - 1)
    return [(times[index] - start, level(index) - zero) for index in kept]
