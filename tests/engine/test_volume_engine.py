"""`volume create` for real, on a loop device, with an engine that keeps its data there."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_budget.edges.engine.base_images import copy_image
from ci_budget.edges.sandbox.private_engine import private_engine
from ci_budget.edges.sandbox.private_network import create_network
from ci_budget.edges.sandbox.private_sandbox import demolish
from ci_budget.edges.sites.state import Claim, claimed, state_directory
from tests.engine.leftovers import LeftoverWatch
from tests.engine.projects import run_tool
from tests.engine_access import CLONE, Engine

SIZE = 1_000_341_504  # 1 GB in whole MiB
TABLE = "# one line, and no newline at its end\nproc /proc proc defaults 0 0"


def volume(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return run_tool(folder, "volume", *words, env=env)


@pytest.fixture
def claim(leftovers: LeftoverWatch) -> Iterator[Claim]:
    """A folder in which an engine of its own can run; its `mount` is the data-root's place."""
    with claimed(state_directory()) as found:
        try:
            yield found
        finally:
            demolish(found)


def test_an_engine_fills_its_volume_and_never_the_disk(
    claim: Claim, tmp_path: Path, busybox_base: str, engine: Engine
) -> None:
    table = tmp_path / "fstab"
    table.write_text(TABLE)
    file = claim.disk  # where the clean-up of this test looks for it
    wanted = ("create", "--size", "1GB", "--data-root", str(claim.mount), "--file", str(file), "--fstab", str(table))

    told = volume(tmp_path, *wanted, "--dry-run")
    assert told.returncode == 0, told.stderr
    assert f"fallocate --length {SIZE} {file}\n" in told.stdout
    assert not file.exists()
    assert table.read_text() == TABLE

    made = volume(tmp_path, *wanted)
    assert made.returncode == 0, made.stderr
    assert table.read_text() == (
        f"{TABLE}\n{file} {claim.mount} ext4 loop,noatime,nodiscard,noinit_itable,nofail,X-fstrim.notrim 0 0\n"
    )
    assert os.path.ismount(claim.mount)
    assert file.stat().st_blocks * 512 >= SIZE
    available = os.statvfs(claim.mount).f_bavail * os.statvfs(claim.mount).f_frsize
    assert 0.9 * SIZE < available < SIZE

    with private_engine(claim, create_network(claim), {}) as running:  # the fixture removes the network
        copy_image(busybox_base, engine.docker_host, running.docker_host)
        build = subprocess.run(
            ["docker", "--host", running.docker_host, "build", "--progress=plain", "-"],
            input=f"FROM {busybox_base}\nRUN dd if=/dev/zero of=/x bs=1M count=2000\n",
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "No space left on device" in build.stderr
        assert os.statvfs(claim.mount).f_files > 100_000
    assert file.stat().st_blocks * 512 >= SIZE, "blocks went back to the host"

    again = volume(tmp_path, *wanted)
    assert again.returncode == 3
    assert again.stderr == (
        f"ci-budget: no volume can be made: {claim.mount} is a mount point already; {table} has a line for "
        f"{claim.mount} already; {file} is there already\n  Nothing was changed.\n"
    )
    subprocess.run(["umount", claim.mount], check=True)
    subprocess.run(["mount", "--fstab", table, claim.mount], check=True)  # as the next boot does
    assert (claim.mount / "docker").is_dir()


def test_a_step_that_fails_leaves_nothing(claim: Claim, tmp_path: Path) -> None:
    table = tmp_path / "fstab"
    table.write_text(TABLE)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mount").write_text("#!/bin/sh\necho mount: no >&2\nexit 32\n")
    (tmp_path / "bin" / "mount").chmod(0o755)
    words = (
        "create",
        "--size",
        "1GB",
        "--data-root",
        f"{tmp_path}/root",
        "--file",
        f"{tmp_path}/v",
        "--fstab",
        "fstab",
    )
    done = volume(tmp_path, *words, PATH=f"{tmp_path}/bin:{os.environ['PATH']}")
    assert done.returncode == 3, done.stdout
    assert f"`mount --fstab {table} {tmp_path}/root` failed (exit 32): mount: no" in done.stderr
    assert not (tmp_path / "v").exists()
    assert table.read_text() == TABLE


def test_a_running_engine_and_its_data_are_in_the_way(engine: Engine, tmp_path: Path) -> None:
    root = engine.docker("info", "--format={{.DockerRootDir}}").strip()
    done = volume(tmp_path, "create", "--size", "60GB", "--fstab", str(tmp_path / "none"))
    assert done.returncode == 3
    assert f"the engine is running on {root}" in done.stderr
    assert f"{root} is not empty" in done.stderr
    assert f"mv {root} {root}.before; ci-budget volume create --size 60GB" in done.stderr
    assert not (tmp_path / "none").exists()


def test_no_snapshot_without_lvm(tmp_path: Path) -> None:
    done = volume(tmp_path, "snapshot", "--data-root", str(tmp_path))
    assert done.returncode == 3
    assert done.stderr.startswith(f"ci-budget: {tmp_path} ")
    assert done.stderr.endswith(
        "Snapshots need LVM: `ci-budget volume create` takes a logical volume where a volume group has room.\n"
    )


RECORDED = CLONE / "tests" / "fixtures" / "lvm"


@pytest.fixture
def lvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`vgs` and `lvs` that give recorded answers; a `lvcreate` that fails as without device-mapper."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, line in (
        ("vgs", f"cat {RECORDED}/vgs-2.03.16.json"),
        ("lvs", f"cat {RECORDED}/lvs-2.03.16.json"),
        ("lvcreate", "echo 'striped: Required device-mapper target(s) not detected in your kernel.' >&2; exit 5"),
        ("lvremove", "exit 0"),
    ):
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_volume_group_is_found_and_what_lvm_refuses_is_told(lvm: None, tmp_path: Path) -> None:
    root, table = tmp_path / "root", tmp_path / "fstab"
    words = ("create", "--size", "1GB", "--data-root", str(root), "--fstab", str(table))
    told = volume(tmp_path, *words, "--group", "vg0")
    assert told.returncode == 3
    assert "the volume group vg0 has 310 MB free, less than 1.00 GB" in told.stderr

    (tmp_path / "bin" / "vgs").write_text(
        f"#!/bin/sh\nsed s/310378496/3103784960/ {RECORDED}/vgs-2.03.16.json\n"  # a group ten times as large
    )
    told = volume(tmp_path, *words, "--dry-run")
    assert told.returncode == 0, told.stderr
    assert "\nlvcreate --yes --wipesignatures y --name ci-budget-docker --size 954m vg0\n" in told.stdout

    done = volume(tmp_path, *words)
    assert done.returncode == 3
    assert "Required device-mapper target(s) not detected in your kernel" in done.stderr
    assert not table.exists()


def test_a_snapshot_is_printed_with_the_way_back(lvm: None, tmp_path: Path) -> None:
    told = volume(tmp_path, "snapshot", "--data-root", "/proc", "--dry-run")
    assert told.returncode == 0, told.stderr
    assert re.fullmatch(
        r"lvcreate --yes --snapshot --name (docker-before-\d{8}-\d{6}) --size 12m vg0/docker\n"
        r"# after the build, one of both:\n# to give it up:\n# lvremove --yes vg0/\1\n# to go back to it:\n"
        r"# systemctl stop docker.socket docker.service\n# umount /proc\n# lvconvert --merge vg0/\1\n"
        r"# mount /proc\n# systemctl start docker.service\n",
        told.stdout,
    ), told.stdout
    told = volume(tmp_path, "snapshot", "--data-root", "/proc", "--size", "1GB")
    assert told.returncode == 3
    assert "the volume group vg0 has 247 MB free; the snapshot needs 1.00 GB" in told.stderr
