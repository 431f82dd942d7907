"""The sampler's own reading, of levels that a filesystem never has at the right moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_budget.edges.sites.sampler import Sampler

BLOCKS = 1000


def levels(*used: int) -> Iterator[os.statvfs_result]:
    """What the filesystem says, one answer after the other."""
    for blocks in used:
        yield os.statvfs_result((4096, 4096, BLOCKS, BLOCKS - blocks, BLOCKS - blocks, 99, 88, 88, 0, 255))


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
