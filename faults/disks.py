"""Small filesystems to fill, to freeze, to break: never the machine's own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class SmallDisk:
    """An ext4 filesystem of its own, mounted at `mount`."""

    mount: Path

    @property
    def available(self) -> int:
        """Bytes that may still be written."""
        levels = os.statvfs(self.mount)
        return levels.f_bavail * levels.f_frsize

    @property
    def used(self) -> int:
        """Bytes in use."""
        levels = os.statvfs(self.mount)
        return (levels.f_blocks - levels.f_bfree) * levels.f_frsize

    def fill(self, leave: int = 0) -> str:
        """Take all space but `leave` bytes; a sentence that proves it."""
        size = self.available - leave
        handle = os.open(self.mount / "filler", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for step in (MIB, 4096):
                while self.available - leave >= step:
                    size = os.fstat(handle).st_size
                    room = max(step, (self.available - leave) // 2 // step * step)
                    try:
                        os.posix_fallocate(handle, size, room)
                    except OSError:
                        break
        finally:
            os.close(handle)
        return f"{self.available:,} bytes available"

    def take_inodes(self) -> str:
        """Use up every inode; a sentence that proves it."""
        with contextlib.suppress(OSError):
            for number in range(10_000_000):
                (self.mount / f"taken-{number}").touch()
        return f"{os.statvfs(self.mount).f_ffree} inodes free"

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Every write waits during the block."""
        subprocess.run(["fsfreeze", "--freeze", self.mount], check=True)
        try:
            yield
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", self.mount], check=False, capture_output=True)

    def thaw(self) -> None:
        """End `frozen` early."""
        subprocess.run(["fsfreeze", "--unfreeze", self.mount], check=True)

    def make_read_only(self) -> None:
        """Refuse every write from now on (EROFS)."""
        subprocess.run(["mount", "-o", "remount,ro", self.mount], check=True)


@contextlib.contextmanager
def small_disk(folder: Path, size: int, *, inodes: int | None = None) -> Iterator[SmallDisk]:
    """A filesystem of `size` bytes in a sparse file below the fresh folder `folder`; gone afterwards."""
    folder.mkdir(parents=True)
    file, mount = folder / "disk.img", folder / "mnt"
    mount.mkdir()
    with file.open("wb") as stream:
        stream.truncate(size)
    few = ["-N", str(inodes)] if inodes else []
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", *few, file], check=True)
    subprocess.run(["mount", "-o", "loop", file, mount], check=True)
    try:
        yield SmallDisk(mount=mount)
    finally:
        _unmount(mount)
        file.unlink()


def _unmount(mount: Path) -> None:
    deadline = time.monotonic() + 20
    while subprocess.run(["umount", mount], capture_output=True).returncode and time.monotonic() < deadline:
        time.sleep(0.1)
    if mount.is_mount():
        raise AssertionError(f"{mount} stays in use: something of the run still lives on it")
