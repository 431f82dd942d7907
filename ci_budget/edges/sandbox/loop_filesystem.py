"""A fixed-size ext4 filesystem in a reserved file on a loop device.

Facts that shape this module: a sparse file on a full host loses data silently, so the file is
reserved with fallocate and checked; plain mkfs and a mounted `discard` would punch the reservation
away again; without direct I/O every write is cached and written twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from ci_budget.edges.host.filesystem import read_usage
from ci_budget.edges.host.mount_table import read_mounts
from ci_budget.edges.processes import run
from ci_budget.errors import UnmeasuredError

BLOCK = 4096
_BYTES_PER_INODE = 8192
_LEAST_INODES = 262_144
_INODE_SIZE = 256
_EMPTY_ENGINE = 64 * 2**20  # what an engine's own databases may take, generously
_COPY_CHUNK = 2**27
_EXT4_IOC_SHUTDOWN, _WITHOUT_FLUSH = 0x8004587D, 2


def inodes_for(budget: int) -> int:
    """How many inodes a sandbox of this budget gets: more than ext4's default."""
    return max(_LEAST_INODES, budget // _BYTES_PER_INODE)


def file_size_for(budget: int) -> int:
    """Bytes of the file whose filesystem surely offers `budget` to a build, with the engine's own needs on top.

    Added: the inode tables, block and inode bitmaps (under 0.1 %), and the empty engine.
    """
    size = budget + budget // 500 + inodes_for(budget) * _INODE_SIZE + _EMPTY_ENGINE
    return -(-size // 2**20) * 2**20


def reserve_file(path: Path, size: int) -> None:
    """Create `path` with `size` bytes that the host can never take away again.

    Raises UnmeasuredError when the host has not that much room, or cannot reserve.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.posix_fallocate(handle, 0, size)
        except OSError as error:
            raise UnmeasuredError(
                f"cannot reserve {size:,} bytes for the sandbox in {path.parent}: {error.strerror}",
                mend="Free space there (`ci-budget prune` helps), lower disk.budget, or set CI_BUDGET_STATE "
                "to a folder on a larger disk.",
            ) from error
    finally:
        os.close(handle)
    check_reservation(path, size)


def check_reservation(path: Path, size: int) -> None:
    """Raises UnmeasuredError unless the host has given all blocks of the file."""
    given = path.stat().st_blocks * 512
    if given < size:
        raise UnmeasuredError(
            f"the filesystem of {path.parent} gave only {given:,} of {size:,} bytes: it cannot reserve space",
            mend="Set CI_BUDGET_STATE to a folder on ext4 or XFS.",
        )


def make_filesystem(path: Path, budget: int) -> None:
    """ext4 on the file, without a journal (the filesystem is thrown away after a crash) and without discards."""
    run(
        [
            "mkfs.ext4", "-q", "-F", "-b", str(BLOCK), "-m", "0", "-I", str(_INODE_SIZE), "-N", str(inodes_for(budget)),
            "-O", "^has_journal,^resize_inode", "-E", "nodiscard,lazy_itable_init=1", "-L", "ci-budget", path,
        ]
    )  # fmt: skip
    check_reservation(path, path.stat().st_size)


def copy_used_blocks(source: Path, target: Path) -> None:
    """Copy only the blocks of a clean filesystem that are in use, leaving holes for the rest."""
    run(["e2image", "-ra", source, target], timeout=3600)


def fill_from(source: Path, target: Path) -> None:
    """Copy the data of a file with holes into a reserved file of the same size; the reservation stays."""
    read, write = os.open(source, os.O_RDONLY | os.O_CLOEXEC), os.open(target, os.O_RDWR | os.O_CLOEXEC)
    try:
        size, position = os.fstat(read).st_size, 0
        if os.fstat(write).st_size != size:
            raise UnmeasuredError(f"the seed {source} does not have the size of the sandbox")
        while position < size:
            try:
                start = os.lseek(read, position, os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole is left
                break
            position = os.lseek(read, start, os.SEEK_HOLE)
            while start < position:
                copied = os.copy_file_range(read, write, min(_COPY_CHUNK, position - start), start, start)
                if copied == 0:
                    raise UnmeasuredError(f"the seed {source} ended early")
                start += copied
    finally:
        os.close(read)
        os.close(write)
    check_reservation(target, size)


@contextlib.contextmanager
def mounted(disk: Path, mount: Path, *, kept: bool) -> Iterator[str]:
    """The filesystem of the file `disk`, mounted at `mount`; yields the loop device. Gone afterwards.

    `kept`: whether the file is of use then; else what is not yet written is not waited for.
    """
    attach(disk, mount)
    try:
        yield loop_devices(disk)[0]
    finally:
        if not kept:
            drop_unwritten(disk, mount)
        detach(disk, mount)


def attach(disk: Path, mount: Path) -> None:
    """Loop device with direct I/O, mounted without discards and without the blocks ext4 holds back."""
    mount.mkdir(mode=0o711, exist_ok=True)
    device = run(["losetup", "--find", "--show", "--direct-io=on", disk]).text.strip()
    try:
        run(["mount", "-t", "ext4", "-o", "noatime,nodiscard,noinit_itable,barrier=0", device, mount])
    finally:
        # Detach when the last user goes: then no unmount, however it comes about, leaves the device behind.
        run(["losetup", "--detach", device], check=False)
    # Else ext4 keeps up to 16 MiB back, and free space would not be what a build can use.
    Path(f"/sys/fs/ext4/{Path(device).name}/reserved_clusters").write_text("0\n", encoding="ascii")


def require_sound(mount: Path) -> None:
    """Raises UnmeasuredError where the filesystem mounted there lost its device, or the kernel met errors on it.

    What was built on it may then not be whole, whatever the build said.
    """
    problem = None
    try:
        number = mount.stat().st_dev
        device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
        size = int((device / "size").read_text(encoding="ascii")) * 512
        errors = Path(f"/sys/fs/ext4/{device.resolve().name}/errors_count").read_text(encoding="ascii").strip()
        handle = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        if errors != "0":
            problem = f"the kernel met {errors} errors on it"
        elif size < read_usage(mount).total:
            problem = "its device was taken away"
    except OSError as error:
        problem = error.strerror or str(error)
    if problem is not None:
        raise UnmeasuredError(
            f"the sandbox's filesystem broke while it was built on: {problem}",
            mend="The kernel's log (`dmesg`) says more; check the disk that CI_BUDGET_STATE lies on.",
        )


def drop_unwritten(disk: Path, mount: Path) -> None:
    """Make the kernel forget what it has not yet written to the file `disk`, mounted there; the filesystem then fails.

    Gigabytes may wait in memory, and to unmount them onto a slow disk takes longer than a cancelled job is given.
    EXT4_IOC_SHUTDOWN: linux/fs/ext4/ext4.h. Where the kernel will not, the unmount takes its time. A mount that is
    not of this very file is left alone.
    """
    with contextlib.suppress(OSError):
        handle = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            number = os.fstat(handle).st_dev
            if f"/dev/{_block_name(number)}" in loop_devices(disk):
                fcntl.ioctl(handle, _EXT4_IOC_SHUTDOWN, struct.pack("=I", _WITHOUT_FLUSH))
        finally:
            os.close(handle)


def _block_name(number: int) -> str:
    """For example `loop3`."""
    return Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve().name


def detach(disk: Path, mount: Path) -> None:
    """Unmount everything at and below `mount`, deepest first, and detach the file's loop devices.

    A container that was started meanwhile may hold a copy of the mount; the kernel then detaches the device when that
    container ends, and nothing more can be done here. Raises UnmeasuredError where the kernel will not.
    """
    deadline = time.monotonic() + 5
    while points := mounts_below(mount):
        lazy = ["--lazy"] if time.monotonic() > deadline else []
        failed = False
        for point in points:
            failed |= run(["umount", *lazy, point], check=False).exit_code != 0
        if lazy:
            break
        if failed:
            time.sleep(0.05)
    while devices := loop_devices(disk):
        for device in devices:
            run(["losetup", "--detach", device], check=False)
        if time.monotonic() > deadline + 5:
            if all(_detaches_itself(device) for device in devices):
                return
            raise UnmeasuredError(f"the loop device {devices[0]} of {disk} stays in use; detach it with losetup -d")
        time.sleep(0.02)


def _detaches_itself(device: str) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/sys/block/{Path(device).name}/loop/autoclear").read_text(encoding="ascii").strip() == "1"
    return True  # it is gone


def mounts_below(folder: Path) -> list[Path]:
    """Mount points at and below `folder`, deepest (latest) first."""
    points = (Path(mount.point) for mount in read_mounts())
    return [point for point in points if point.is_relative_to(folder.resolve())][::-1]


def loop_devices(disk: Path) -> list[str]:
    """The loop devices that the file is attached to, found through sysfs, deleted files included."""
    found = []
    path = disk.resolve()  # the kernel names the file itself, whatever links led to it
    wanted = {str(path), f"{path} (deleted)"}
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # detached meanwhile
            if backing.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n") in wanted:
                found.append(f"/dev/{backing.parts[3]}")
    return found


def lay_ballast(mount: Path, free: int) -> int:
    """Reserve a file on the mounted filesystem so that exactly `free` bytes (rounded down to a block) stay free.

    Returns the bytes that the ballast takes, its own extent blocks included. Raises UnmeasuredError when there is
    less than that to begin with.
    """
    wanted = free // BLOCK * BLOCK
    before = read_usage(mount).free
    if before < wanted:
        raise UnmeasuredError(
            f"the sandbox has {before:,} bytes free, less than the {wanted:,} promised; this is a bug"
        )
    handle = os.open(mount / "ballast", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = 0
        for _ in range(16):
            surplus = read_usage(handle).free - wanted
            if surplus == 0:
                break
            if surplus > 0:
                os.posix_fallocate(handle, size, surplus)
            else:
                os.ftruncate(handle, size + surplus)
            size += surplus
        else:
            raise UnmeasuredError("the sandbox's free space could not be set to the budget; this is a bug")
        os.fsync(handle)
    finally:
        os.close(handle)
    return before - wanted
