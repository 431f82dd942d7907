"""Several checks on one machine: their reserves add up, whichever state folder each of them has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_budget.edges.host.filesystem import read_usage
from ci_budget.edges.sandbox import loop_filesystem as loops
from ci_budget.edges.sandbox.private_sandbox import Sandbox, sandbox
from ci_budget.edges.sandbox.seeds import SeedStore
from ci_budget.edges.sites.disk_room import NoRoomError
from tests.engine.leftovers import LeftoverWatch

MB = 1_000_000
BUDGET = 100 * MB


@pytest.fixture
def disk(tmp_path: Path, leftovers: LeftoverWatch) -> Iterator[Path]:
    """A filesystem of its own, on which nobody else keeps anything free."""
    file = tmp_path / "disk.ext4"
    loops.reserve_file(file, 900 * MB)
    loops.make_filesystem(file, 100 * MB)
    with loops.mounted(file, tmp_path / "disk", kept=False):
        yield tmp_path / "disk"


@contextlib.contextmanager
def check(disk: Path, name: str, reserve: int) -> Iterator[Sandbox]:
    """A sandbox as a check makes one, with a state folder of its own."""
    root = disk / f"ci-budget-{name}"
    seeds = SeedStore(root, limit=0, reserve=reserve)
    with sandbox(root, budget=BUDGET, reserve=reserve, bases=[], settings={}, seeds=seeds, say=lambda _: None) as box:
        yield box


def test_reserves_add_up(disk: Path) -> None:
    size = loops.file_size_for(BUDGET)
    spare = read_usage(disk).available - 2 * size  # what two sandboxes leave
    reserve = spare // 2 + 20 * MB
    with check(disk, "first", reserve):
        with pytest.raises(NoRoomError) as refused, check(disk, "second", reserve):
            pass
        assert f"{reserve / MB:.0f} MB that 1 other check must leave free" in refused.value.what
        with check(disk, "second", reserve - 60 * MB):
            assert read_usage(disk).available >= 2 * reserve - 60 * MB
    with check(disk, "second", reserve):
        pass
