"""The watchdog of host mode: it looks ahead by rate x (cancel delay + widest gap), and by no more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from ci_budget.edges.engine.buildx import Cancel
from ci_budget.edges.host.filesystem import Usage
from ci_budget.edges.sites.watchdog import CANCEL_DELAY, Watchdog

MB = 1_000_000
DISK = 100_000 * MB
ZERO = 5_000 * MB  # in use before the build
AHEAD = CANCEL_DELAY + 0.01  # seconds: the delay, and what may pass until the next sample


def levels(used: int, *, available: int | None = None, free_inodes: int = 1_000_000, inodes: int = 2_000_000) -> Usage:
    """A disk of 100 GB on which the build uses `used` bytes."""
    free = DISK - ZERO - used
    return Usage(
        total=DISK,
        free=free,
        available=free if available is None else available,
        total_inodes=inodes,
        free_inodes=free_inodes,
    )


def run(
    level_at: Callable[[float], int], *, budget: int | None = 1000 * MB, reserve: int = 0
) -> tuple[int, str] | None:
    """Two minutes with a sample every 10 ms: the level at which the build was cancelled, and why."""
    cancel = Cancel()
    watchdog = Watchdog(zero=ZERO, budget=budget, reserve=reserve, cancel=cancel)
    for tick in range(12_000):
        used = level_at(tick / 100)
        watchdog(tick / 100, levels(used))
        if cancel.reason is not None:
            return used, cancel.reason
    return None


@pytest.mark.parametrize("rate", [10, 50, 200, 400])
def test_a_steady_writer_is_cancelled_a_delay_before_the_budget(rate: int) -> None:
    found = run(lambda time: int(rate * MB * time))
    assert found is not None
    used, reason = found
    assert abs(used - (1000 - rate * AHEAD) * MB) <= rate * MB * 0.02
    assert "was cancelled before it crossed the disk budget of 1.00 GB" in reason


def test_the_reason_has_the_figures() -> None:
    found = run(lambda time: int(200 * MB * time))
    assert found == (
        found[0] if found else 0,
        "the build used 918 MB, growing by 200 MB a second, and was cancelled before it crossed the disk budget of "
        "1.00 GB",
    )


def test_a_writer_faster_than_the_samples_is_not_said_to_be_stopped_before() -> None:
    found = run(lambda time: 1200 * MB if time >= 1 else 0)
    assert found is not None and "was cancelled after it crossed the disk budget of 1.00 GB" in found[1]


def test_files_written_at_once_are_no_endless_writer() -> None:
    assert run(lambda time: 300 * MB if time >= 1 else 0) is None


def test_what_is_written_and_removed_does_not_add_up() -> None:
    assert run(lambda time: 200 * MB if int(time * 10) % 2 else 0) is None


def test_a_writer_that_pauses_may_go_on() -> None:
    assert run(lambda time: 300 * MB if time < 5 else 500 * MB) is None


def test_a_level_over_the_budget_is_cancelled_at_once() -> None:
    found = run(lambda time: 1001 * MB)
    assert found is not None
    assert found[0] == 1001 * MB


def test_without_a_budget_only_the_reserve_counts() -> None:
    assert run(lambda time: int(400 * MB * time), budget=None) is None  # 48 GB
    found = run(lambda time: int(400 * MB * time), budget=None, reserve=DISK - ZERO - 2000 * MB)
    assert found is not None
    assert 1820 * MB <= found[0] <= 1850 * MB
    assert "the build was cancelled before it took the reserve of 93.0 GB" in found[1]


def test_the_reserve_is_of_what_is_available() -> None:
    """Blocks that only root may use are no reserve."""
    cancel = Cancel()
    Watchdog(zero=ZERO, budget=None, reserve=MB, cancel=cancel)(0.0, levels(0, available=MB - 1))
    assert cancel.reason is not None
    assert "the host has 1.00 MB available" in cancel.reason


def test_few_inodes_left() -> None:
    cancel = Cancel()
    watchdog = Watchdog(zero=ZERO, budget=None, reserve=0, cancel=cancel)
    watchdog(0.0, levels(0, free_inodes=0, inodes=0))  # a filesystem that counts none
    watchdog(1.0, levels(0, free_inodes=1000))
    watchdog(2.0, levels(0, free_inodes=1000))
    assert cancel.reason is None
    watchdog(3.0, levels(0, free_inodes=999))
    assert cancel.reason == (
        "the host has 999 inodes left, 1 fewer a second; the build was cancelled before it took the last 1,000"
    )


@pytest.mark.parametrize("rate", [1_000, 30_000])
def test_inodes_are_looked_ahead_for_as_bytes_are(rate: int) -> None:
    cancel = Cancel()
    watchdog = Watchdog(zero=ZERO, budget=None, reserve=0, cancel=cancel)
    left = 200_000
    for tick in range(100_000):
        left = 200_000 - rate * tick // 100
        watchdog(tick / 100, levels(0, free_inodes=left))
        if cancel.reason is not None:
            break
    assert abs(left - 1000 - rate * AHEAD) <= rate * 0.02
    assert cancel.reason == (
        f"the host has {left:,} inodes left, {rate:,} fewer a second; the build was cancelled before it took the last "
        "1,000"
    )


def test_what_passes_between_two_looks_is_looked_ahead_for_too() -> None:
    """On a machine so busy that a look comes every 0.3 s, the next one comes no sooner."""
    cancel = Cancel()
    watchdog = Watchdog(zero=ZERO, budget=995 * MB, reserve=0, cancel=cancel)
    used = 0
    for tick in range(100):
        used = tick * 30 * MB
        watchdog(tick * 0.3, levels(used))
        if cancel.reason is not None:
            break
    assert used == 930 * MB  # at 100 MB/s: the first look beyond 995 MB less those of 0.7 s


class _Interfering(int):
    """A level at which, when it is compared, another thread looks meanwhile."""

    meanwhile: Callable[[], None]

    def __lt__(self, other: int) -> bool:
        self.meanwhile()
        return int(self) < other


def test_threads_look_one_at_a_time() -> None:
    """The sampler's thread and the one that hears a step's event both take samples."""
    cancel = Cancel()
    watchdog = Watchdog(zero=ZERO, budget=1000 * MB, reserve=0, cancel=cancel)
    others: list[threading.Thread] = []

    def look_meanwhile() -> None:
        if not others:
            others.append(threading.Thread(target=watchdog, args=(0.02, levels(1001 * MB))))
            others[0].start()
            others[0].join(0.3)  # to its end, were it let

    plain = levels(0)
    watchdog(0.0, plain)
    level = _Interfering(plain.used)
    level.meanwhile = look_meanwhile

    class Busy(Usage):
        @property
        def used(self) -> int:
            return level

    watchdog(0.01, Busy(**vars(plain)))  # RuntimeError where both looked at once: deque mutated during iteration
    others[0].join()
    assert cancel.reason is not None


def test_a_sample_that_comes_late_is_no_look_into_the_past() -> None:
    cancel = Cancel()
    watchdog = Watchdog(zero=ZERO, budget=1000 * MB, reserve=0, cancel=cancel)
    for time, used in ((1.00, 0), (1.20, 50 * MB), (1.19, 49 * MB), (1.21, 51 * MB)):
        watchdog(time, levels(used))
    assert cancel.reason is None
    watchdog(1.22, replace(levels(0), free=0))
    assert cancel.reason is not None
