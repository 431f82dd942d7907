"""Mount points with spaces and backslashes, binds, and one mount over another."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_budget.edges.host.filesystem import filesystem_type
from ci_budget.edges.host.mount_table import innermost_mount, read_mounts

TABLE = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:5 / /proc rw - proc proc rw
30 22 254:1 / /mnt/my\\040disk rw shared:2 master:1 - xfs /dev/mapper/my\\040disk rw
31 22 254:2 / /mnt/back\\134slash rw - btrfs /dev/vdc rw
32 22 254:2 /docker /var/lib/docker rw - btrfs /dev/vdc rw
33 22 0:9 / /mnt/my\\040disk rw - tmpfs tmpfs rw
34 22 254:3 / /mnt/odd\\134040name rw - ext4 /dev/vdd rw
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/home", ("/", "ext4", "/dev/vda")),
        ("/mnt/my disk/sub", ("/mnt/my disk", "tmpfs", "tmpfs")),
        ("/mnt/my", ("/", "ext4", "/dev/vda")),
        ("/mnt/back\\slash", ("/mnt/back\\slash", "btrfs", "/dev/vdc")),
        ("/mnt/odd\\040name/x", ("/mnt/odd\\040name", "ext4", "/dev/vdd")),
        ("/var/lib/docker/overlay2", ("/var/lib/docker", "btrfs", "/dev/vdc")),
        ("/var/lib/dockerfiles", ("/", "ext4", "/dev/vda")),
    ],
)
def test_the_innermost_mount(path: str, found: tuple[str, str, str], tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(TABLE)
    mount = innermost_mount(Path(path), read_mounts(tmp_path / "mountinfo"))
    assert mount is not None
    assert (mount.point, mount.kind, mount.source) == found


def test_types_of_this_machine() -> None:
    assert filesystem_type(Path("/proc/self")) == "proc"
    assert filesystem_type(Path("/sys/kernel")) == "sysfs"
