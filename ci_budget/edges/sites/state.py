"""The state directory: where everything that outlives a function call is kept, and who owns it.

Each sandbox has a folder `sandboxes/ID` and holds a lock on it as long as its process lives. The
kernel drops the lock however the process ends, so a folder that can be locked has no owner.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ci_budget.errors import UnmeasuredError

RUN_ROOT = Path("/run/ci-budget")
ROOT_STATE = Path("/var/lib/ci-budget")


def state_directory() -> Path:
    """`$CI_BUDGET_STATE`, else the user's state folder, for root `root_state`; created when missing."""
    if os.geteuid() == 0:
        path = root_state()
    else:
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        path = _named() or Path(home) / "ci-budget"
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o755)
    except OSError as error:
        raise UnmeasuredError(
            f"cannot create the state directory {path}: {error.strerror}",
            mend="Set CI_BUDGET_STATE to a folder on a local disk that you may write.",
        ) from error
    return path


def root_state() -> Path:
    """The state directory of runs that are, or become, root: /var/lib/ci-budget or `$CI_BUDGET_STATE`; where that is a
    user's, `root` in it, so that the user's own runs meet nothing there that is not theirs."""
    named = _named()
    if named is None:
        return ROOT_STATE
    with contextlib.suppress(OSError):
        if next(path for path in (named, *named.parents) if path.exists()).stat().st_uid != 0:
            return named / "root"
    return named


def _named() -> Path | None:
    named = os.environ.get("CI_BUDGET_STATE")
    if not named:
        return None
    path = Path(named) if "ci-budget" in named else Path(named) / "ci-budget"
    return path.absolute()


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An id with its folder, locked by this process."""

    id: str
    folder: Path

    @property
    def bridge(self) -> str:
        """Interface names are at most 15 characters."""
        return f"cib{self.id}"

    @property
    def comment(self) -> str:
        """The comment on every firewall rule of this sandbox."""
        return f"ci-budget:{self.id}"

    @property
    def cgroup(self) -> str:
        """Parent of the cgroups of everything that the private engine runs."""
        return f"/ci-budget-{self.id}"

    @property
    def run_folder(self) -> Path:
        """Sockets and pid files; short, because a socket's path has 107 bytes at most."""
        return RUN_ROOT / self.id

    @property
    def disk(self) -> Path:
        """The file that holds the sandbox's filesystem."""
        return self.folder / "disk.ext4"

    @property
    def mount(self) -> Path:
        """Where that filesystem is mounted."""
        return self.folder / "mnt"


@contextlib.contextmanager
def claimed(root: Path) -> Iterator[Claim]:
    """A fresh id whose folder under `root`/sandboxes is locked by this process; the folder is left to its user."""
    sandboxes = root / "sandboxes"
    with mending(root):  # nobody mends between the folder's birth and its lock
        ident = secrets.token_hex(4)
        folder = sandboxes / ident
        folder.mkdir(mode=0o711)
        handle = os.open(folder / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        os.write(handle, f"{os.getpid()}\n".encode())
    living = network_folder() / f"{ident}.owner"
    try:
        with locked(living):
            yield Claim(id=ident, folder=folder)
    finally:
        living.unlink(missing_ok=True)
        os.close(handle)


@contextlib.contextmanager
def mending(root: Path) -> Iterator[None]:
    """Only one process at a time creates or mends sandboxes below `root`."""
    try:
        (root / "sandboxes").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnmeasuredError(
            f"the state directory {root} cannot be used: {error.strerror} ({root / 'sandboxes'})",
            mend="Free space or inodes there, or set CI_BUDGET_STATE to a folder that you may write.",
        ) from error
    with locked(root / "sandboxes" / ".lock"):
        yield


def abandoned(root: Path) -> list[Claim]:
    """The sandboxes below `root` whose process is gone. Call it under `mending(root)`."""
    sandboxes = root / "sandboxes"
    return [
        Claim(id=folder.name, folder=folder)
        for folder in sorted(sandboxes.iterdir())
        if folder.is_dir() and not folder.is_symlink() and not _is_owned(folder)
    ]


def network_folder(*, make: bool = True) -> Path:
    """What this machine's sandboxes share, whatever their state directory: one folder a network namespace.

    Without `make` it need not be there.
    """
    folder = RUN_ROOT / f".net-{Path('/proc/self/ns/net').stat().st_ino}"
    if make:
        folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    return folder


def living_ids() -> set[str]:
    """The ids of all sandboxes in this network namespace whose process lives."""
    return {owner.stem for owner in network_folder().glob("*.owner") if is_locked(owner)}


def _is_owned(folder: Path) -> bool:
    return is_locked(folder / "owner")


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock on `path`; False where there is no such file."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` (created when missing) for the block; waits for its turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def try_lock(path: Path) -> int | None:
    """A descriptor that holds an exclusive lock on `path` until it is closed, or None when somebody else has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
