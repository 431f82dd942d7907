"""Room for a build: the sentence with every number, what counts, and what other checks keep free."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from ci_budget.core.health.facts import DiskFacts
from ci_budget.core.health.room import BuildNeeds, Share, describe_room, has_room
from ci_budget.edges.sites import state
from ci_budget.edges.sites.disk_room import (
    NoRoomError,
    living_sandboxes,
    promise,
    promised,
    require_room,
    require_undisturbed,
)
from ci_budget.edges.sites.state import claimed
from ci_budget.errors import UnmeasuredError

GB = 10**9
DISK = DiskFacts(
    holds="the build", path="/var/lib/ci-budget", mount_point="/", kind="ext4", is_root=True, total=100 * GB,
    free=40 * GB, available=30 * GB, inodes=1_000_000, free_inodes=50_000,
)  # fmt: skip
SANDBOX = Share(size=16 * GB, purpose="for the sandbox (disk.budget 15.0 GB)")
RESERVE = Share(size=10 * GB, purpose="that must stay free (disk.reserve)")
FIRST = Share(size=20 * GB, purpose="disk.free_factor 2 x 10.0 GB, the image's size by its baseline")
NEEDS = BuildNeeds(shares=(SANDBOX, RESERVE), free_first=FIRST)


def test_every_number_is_named() -> None:
    assert describe_room(DISK, NEEDS) == (
        "/var/lib/ci-budget (ext4 on /, the system's own disk) has 30.0 GB and 50,000 inodes available; this build "
        "needs 26.0 GB (16.0 GB for the sandbox (disk.budget 15.0 GB) and 10.0 GB that must stay free (disk.reserve)); "
        "20.0 GB free before it starts (disk.free_factor 2 x 10.0 GB, the image's size by its baseline); 1,000 inodes"
    )


def test_a_partition_of_its_own_that_counts_no_inodes() -> None:
    disk = replace(DISK, path="/data", mount_point="/data", is_root=False, kind="btrfs", inodes=0, free_inodes=0)
    assert describe_room(disk, BuildNeeds(shares=(RESERVE,))) == (
        "/data (btrfs on /data) has 30.0 GB available; this build needs 10.0 GB that must stay free (disk.reserve)"
    )
    shared = describe_room(replace(disk, path="/data/docker"), BuildNeeds(shares=(RESERVE,)))
    assert shared.startswith("/data/docker (btrfs on /data, no partition of its own) has")


@pytest.mark.parametrize(
    ("changes", "needs", "fits"),
    [
        ({"available": 26 * GB}, NEEDS, True),
        ({"available": 26 * GB - 1}, NEEDS, False),
        ({"free": 90 * GB, "available": 25 * GB}, NEEDS, False),
        ({"available": 20 * GB - 1}, BuildNeeds(shares=(RESERVE,), free_first=FIRST), False),
        ({"free_inodes": 1000}, NEEDS, True),
        ({"free_inodes": 999}, NEEDS, False),
        ({"free_inodes": 1499}, replace(NEEDS, inodes=500), False),
        ({"free_inodes": 0, "inodes": 0}, NEEDS, True),
    ],
)
def test_what_suffices(changes: dict[str, int], needs: BuildNeeds, fits: bool) -> None:
    assert has_room(replace(DISK, **changes), needs) is fits  # type: ignore[arg-type]


@pytest.fixture
def run_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine's shared folder of this test alone."""
    folder = tmp_path / "run"
    monkeypatch.setattr(state, "RUN_ROOT", folder)
    return folder


def test_only_living_checks_of_that_disk_count(run_root: Path, tmp_path: Path) -> None:
    assert promised(tmp_path) == (0, 0)
    assert not run_root.exists()  # who may only look makes nothing
    with claimed(tmp_path / "one") as first, claimed(tmp_path / "two") as second:
        promise(first, 3 * GB)
        promise(second, 4 * GB)
        assert promised(tmp_path) == (2, 7 * GB)
        assert promised(Path("/proc")) == (0, 0)
        dead = next(run_root.glob(".net-*")) / "deadbeef.owner"
        dead.write_text(f"{tmp_path.stat().st_dev} {GB}\n")
        assert promised(tmp_path) == (2, 7 * GB)
        dead.write_text("no numbers")
        assert promised(tmp_path) == (2, 7 * GB)
        with pytest.raises(NoRoomError) as refused:
            require_room(tmp_path, BuildNeeds(shares=(Share(size=10**18, purpose="for much"),)), mend="Less.")
        assert "and 7.00 GB that 2 other checks must leave free" in refused.value.what
        assert refused.value.needed == 10**18 + 7 * GB
        assert refused.value.mend == "Less."
    assert promised(tmp_path) == (0, 0)
    assert "this build needs 1 B for little" in require_room(
        tmp_path, BuildNeeds(shares=(Share(size=1, purpose="for little"),)), mend=""
    )


def test_a_sandbox_that_came_or_went_falsifies_levels(run_root: Path, tmp_path: Path) -> None:
    alone = living_sandboxes(tmp_path)
    require_undisturbed(tmp_path, alone)
    with claimed(tmp_path / "one") as claim:
        require_undisturbed(tmp_path, alone)  # it has not touched the disk yet
        promise(claim, 0)
        beside = living_sandboxes(tmp_path)
        assert beside == {claim.id}
        require_undisturbed(tmp_path, beside)
        require_undisturbed(Path("/proc"), frozenset())
        with pytest.raises(UnmeasuredError, match="a sandbox of another check began or ended on the disk of"):
            require_undisturbed(tmp_path, alone)
    with pytest.raises(UnmeasuredError, match="began or ended"):
        require_undisturbed(tmp_path, beside)


def test_the_factor_is_the_configs() -> None:
    from ci_budget.commands.preflight import free_first_share

    share = free_first_share(Decimal("1.5"), 10 * GB, "budgets.image_size")
    assert share == Share(
        size=15 * GB, purpose="disk.free_factor 1.5 x 10.0 GB, the image's size by budgets.image_size"
    )
    assert free_first_share(Decimal(2), None, "its baseline") is None
