"""The sampler's own reading, of levels that a filesystem never has at the right moment."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_budget.edges.sites import sampler as sampler_module
from ci_budget.edges.sites.sampler import Sampler

BLOCKS = 1000


def levels(*used: int, block: int = 4096) -> Iterator[os.statvfs_result]:
    """What the filesystem says, one answer after the other."""
    for blocks in used:
        yield os.statvfs_result((block, block, BLOCKS, BLOCKS - blocks, BLOCKS - blocks, 99, 88, 88, 0, 255))


def test_what_is_counted_twice_for_a_moment_is_no_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = levels(0, 100, 100, 300, 120, 90, 300, 310, 310, 310)  # the first tells the size of a block
    monkeypatch.setattr(os, "fstatvfs", lambda _: next(said))
    sampler = Sampler(tmp_path)
    for _ in range(5):
        sampler.sample()
    # 100; 300 for a moment, 120 in truth; 90, no new peak; 300 and still rising; 310
    assert [used // 4096 for used in sampler.series.used] == [100, 120, 90, 300, 310]
    assert [free // 4096 for free in sampler.series.free] == [900, 880, 910, 700, 690]
    assert list(sampler.series.free_inodes) == [88] * 5


def rests(monkeypatch: pytest.MonkeyPatch, folder: Path, *used: int) -> list[str]:
    """How the sampler sleeps after it saw each of these levels, in MiB of 1000."""
    said = levels(used[0], *used, block=2**20)
    slept: list[str] = []
    at_the_end = threading.Event()
    names = {5.0: "long", 7.0: "short"}

    def read(_: int) -> os.statvfs_result:
        level = next(said, None)
        if level is None:
            at_the_end.set()
            raise OSError
        return level

    def sleep(seconds: float) -> None:
        if seconds in names and not at_the_end.is_set():
            slept.append(names[seconds])

    monkeypatch.setattr(os, "fstatvfs", read)
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    monkeypatch.setattr(sampler_module, "INTERVAL", 5.0)
    monkeypatch.setattr(sampler_module, "_CLOSE", 7.0)
    sampler = Sampler(folder)
    sampler.start()
    at_the_end.wait()
    sampler.stop()
    return slept


@pytest.mark.parametrize(
    ("used", "slept"),
    [
        # The first sleep is before the second level; each new highest level is looked at twice.
        ((100, 200, 200, 300, 300, 300), ["long", "long", "long", "long"]),  # never near
        ((100, 300, 300, 300), ["long", "short", "short"]),  # 700 left, which four more of these rises reach
        ((970, 985, 985, 985), ["long", "short", "short"]),  # in the last 16 MiB any rise is enough
        ((990, 990, 990), ["long", "long", "long"]),  # and without one nothing is about to happen
        ((990, 100, 100, 989), ["long", "long", "long", "short"]),  # what was there before may come again
    ],
)
def test_near_the_end_it_looks_closely(
    used: tuple[int, ...], slept: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rests(monkeypatch, tmp_path, *used) == slept
