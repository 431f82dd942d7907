"""`volume`: the very commands, and everything that may stand in their way. LVM's answers are recorded ones."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ci_budget.core.volume.creation import VolumeFacts, VolumeWish, find_obstacles, plan_volume
from ci_budget.core.volume.groups import LogicalVolume, VolumeGroup, read_groups, read_volumes
from ci_budget.core.volume.snapshot import find_snapshot_obstacle, plan_snapshot
from ci_budget.core.volume.steps import render_steps

RECORDED = Path(__file__).parent.parent / "fixtures" / "lvm"
GB = 10**9
WISH = VolumeWish(
    data_root="/var/lib/docker",
    size=60 * GB,
    name="ci-budget-docker",
    group=None,
    file=None,
    reserve=5 * GB,
    fstab="/etc/fstab",
)
FACTS = VolumeFacts(
    engine_runs=False,
    entries=0,
    mounted=False,
    in_fstab=False,
    groups=(),
    taken=(),
    file="/var/lib/ci-budget-docker.ext4",
    file_exists=False,
    file_available=100 * GB,
    systemd=True,
)
GROUP = VolumeGroup(name="vg0", free=80 * GB)
VOLUME = LogicalVolume(group="vg0", name="docker", pool="", size=60 * GB, free=20 * GB)


def script(wish: VolumeWish, facts: VolumeFacts) -> str:
    return render_steps(plan_volume(wish, facts).steps)


def test_a_file_on_a_loop_device() -> None:
    assert find_obstacles(WISH, FACTS) == []
    assert script(WISH, FACTS) == (
        "mkdir --parents /var/lib/docker\n"
        "fallocate --length 60000567296 /var/lib/ci-budget-docker.ext4\n"
        "chmod 600 /var/lib/ci-budget-docker.ext4\n"
        "mkfs.ext4 -q -F -m 0 -i 8192 -E nodiscard,lazy_itable_init=0 -L ci-budget-docker "
        "/var/lib/ci-budget-docker.ext4\n"
        "cat >> /etc/fstab <<'END'\n"
        "/var/lib/ci-budget-docker.ext4 /var/lib/docker ext4 "
        "loop,noatime,nodiscard,noinit_itable,nofail,X-fstrim.notrim 0 0\n"
        "END\n"
        "mkdir -p /etc/systemd/system/docker.service.d\n"
        "cat > /etc/systemd/system/docker.service.d/ci-budget-volume.conf <<'END'\n"
        "[Unit]\n"
        "RequiresMountsFor=/var/lib/docker\n"
        "\n"
        "[Service]\n"
        "ExecStartPre=-/bin/sh -c 'losetup --direct-io=on "
        '"$$(losetup --noheadings --output NAME --associated /var/lib/ci-budget-docker.ext4)"\'\n'
        "END\n"
        "systemctl daemon-reload\n"
        "mount /var/lib/docker\n"
        'losetup --direct-io=on "$(losetup --noheadings --output NAME --associated /var/lib/ci-budget-docker.ext4)"\n'
        "chmod 710 /var/lib/docker\n"
    )


def test_a_logical_volume_where_a_group_has_room() -> None:
    facts = replace(FACTS, groups=(GROUP,), file_available=0)
    assert find_obstacles(WISH, facts) == []
    assert plan_volume(WISH, facts).title == "a logical volume of 60.0 GB in the group vg0"
    assert script(WISH, facts) == (
        "mkdir --parents /var/lib/docker\n"
        "lvcreate --yes --wipesignatures y --name ci-budget-docker --size 57221m vg0\n"
        "mkfs.ext4 -q -m 0 -i 8192 -L ci-budget-docker /dev/vg0/ci-budget-docker\n"
        "cat >> /etc/fstab <<'END'\n"
        "/dev/vg0/ci-budget-docker /var/lib/docker ext4 noatime,nofail 0 2\n"
        "END\n"
        "mkdir -p /etc/systemd/system/docker.service.d\n"
        "cat > /etc/systemd/system/docker.service.d/ci-budget-volume.conf <<'END'\n"
        "[Unit]\n"
        "RequiresMountsFor=/var/lib/docker\n"
        "END\n"
        "systemctl daemon-reload\n"
        "mount /var/lib/docker\n"
        "chmod 710 /var/lib/docker\n"
    )


def test_without_systemd_and_with_another_table() -> None:
    text = script(replace(WISH, fstab="/mnt/etc/fstab"), replace(FACTS, systemd=False))
    assert "systemd" not in text
    assert "\nmount --fstab /mnt/etc/fstab /var/lib/docker\n" in text


@pytest.mark.parametrize(
    ("groups", "wish", "device"),
    [
        ((GROUP, VolumeGroup(name="large", free=90 * GB)), WISH, "/dev/large/ci-budget-docker"),
        ((GROUP, VolumeGroup(name="large", free=90 * GB)), replace(WISH, group="vg0"), "/dev/vg0/ci-budget-docker"),
        ((replace(GROUP, free=59 * GB),), WISH, "/var/lib/ci-budget-docker.ext4"),
        ((GROUP,), replace(WISH, file="/var/lib/ci-budget-docker.ext4"), "/var/lib/ci-budget-docker.ext4"),
    ],
)
def test_which_one_is_taken(groups: tuple[VolumeGroup, ...], wish: VolumeWish, device: str) -> None:
    assert plan_volume(wish, replace(FACTS, groups=groups)).device == device


@pytest.mark.parametrize(
    ("wish", "facts", "said"),
    [
        ({}, {"engine_runs": True}, "the engine is running on /var/lib/docker"),
        ({}, {"entries": 12}, "/var/lib/docker is not empty: 12 entries"),
        ({}, {"mounted": True, "entries": 3}, "/var/lib/docker is a mount point already"),
        ({}, {"in_fstab": True}, "/etc/fstab has a line for /var/lib/docker already"),
        ({}, {"file_exists": True}, "/var/lib/ci-budget-docker.ext4 is there already"),
        (
            {},
            {"file_available": 64 * GB},
            "the disk of /var/lib/ci-budget-docker.ext4 has 64.0 GB available; 60.0 GB for the file and 5.00 GB that "
            "must stay free are needed",
        ),
        ({"size": GB - 1}, {}, "1.00 GB is too little for an engine's data; 1.00 GB is the least"),
        ({"group": "vg1"}, {"groups": (GROUP,)}, "there is no volume group vg1 (known: vg0)"),
        ({"group": "vg1"}, {}, "there is no volume group vg1 (known: there is none)"),
        (
            {"group": "vg0", "size": 81 * GB},
            {"groups": (GROUP,)},
            "the volume group vg0 has 80.0 GB free, less than 81.0 GB",
        ),
        (
            {},
            {"groups": (GROUP,), "taken": ("vg0/ci-budget-docker",)},
            "the logical volume vg0/ci-budget-docker is there already",
        ),
        ({"name": "-x"}, {}, "'-x' is no name for a volume"),
        ({"data_root": "/my docker"}, {}, "'/my docker' is no plain absolute path (letters, digits and ._@+/-)"),
        ({"data_root": "/x;rm"}, {}, "'/x;rm' is no plain absolute path (letters, digits and ._@+/-)"),
    ],
)  # fmt: skip
def test_whatever_is_in_the_way_is_named(wish: dict[str, object], facts: dict[str, object], said: str) -> None:
    assert find_obstacles(replace(WISH, **wish), replace(FACTS, **facts)) == [said]  # type: ignore[arg-type]


def test_a_snapshot_and_the_way_back() -> None:
    plan = plan_snapshot(VOLUME, "/var/lib/docker", None, "20261123-013000")
    taken = "vg0/docker-before-20261123-013000"
    assert plan.command.shown == (
        "lvcreate --yes --snapshot --name docker-before-20261123-013000 --size 11445m vg0/docker"
    )
    assert plan.drop == (f"lvremove --yes {taken}",)
    assert plan.go_back == (
        "systemctl stop docker.socket docker.service",
        "umount /var/lib/docker",
        f"lvconvert --merge {taken}",
        "mount /var/lib/docker",
        "systemctl start docker.service",
    )


def test_a_thin_volume_takes_its_snapshot_from_the_pool() -> None:
    thin = replace(VOLUME, pool="pool0", free=0)
    assert find_snapshot_obstacle(thin, None) is None
    assert plan_snapshot(thin, "/d", None, "now").command.shown == (
        "lvcreate --yes --snapshot --name docker-before-now --setactivationskip n vg0/docker"
    )


def test_a_group_without_room_for_a_snapshot() -> None:
    said = "the volume group vg0 has 20.0 GB free; the snapshot needs 30.0 GB"
    assert find_snapshot_obstacle(VOLUME, 30 * GB) == said
    assert find_snapshot_obstacle(VOLUME, None) is None


def test_lvms_recorded_answers_are_read() -> None:
    assert read_groups((RECORDED / "vgs-2.03.16.json").read_text()) == (VolumeGroup(name="vg0", free=310378496),)
    assert read_volumes((RECORDED / "lvs-2.03.16.json").read_text()) == (
        LogicalVolume(group="vg0", name="docker", pool="", size=62914560, free=247463936),
    )
    assert read_groups('{"report": [{"vg": []}]}') == ()
    with pytest.raises(ValueError, match="this is no answer of LVM"):
        read_groups("  WARNING: no device-mapper\n")


def test_the_shell_reads_what_is_printed() -> None:
    """`--dry-run` prints a script: a shell must take it as it stands."""
    text = script(WISH, FACTS)
    done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
