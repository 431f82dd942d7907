"""Host-mode measurements on one engine take turns, whoever runs them: each would count the other's writes.

The lock is a file in a folder that every user of the machine may write, named after the engine. Its descriptor is only
ever opened for reading, so that the file of one user serves all others, and the kernel tells who holds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pwd
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.sandbox.privileges import ENTERED
from ci_budget.errors import UnmeasuredError

_FOLDERS = (Path("/run/lock"), Path("/tmp"))  # noqa: S108 - a place that all users share is what is wanted
_LOCKS = Path("/proc/locks")


@contextlib.contextmanager
def host_turn(engine: DockerEngine, say: Callable[[str], None]) -> Iterator[None]:
    """Wait until nobody measures on this engine, and keep others waiting for the block. Raises UnmeasuredError."""
    path = turn_file(engine)
    told = False
    while (handle := _try(path)) is None:
        if not told:
            say(f"waiting: another ci-budget ({_holder(path)}) is measuring on this host's engine")
            told = True
        time.sleep(0.5)
    try:
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def host_turns_halted(engine: DockerEngine) -> Iterator[bool]:
    """True, and nobody measures in host mode during the block; False where somebody does already, or may."""
    if os.environ.get(ENTERED) == "container":  # which does not see the host's lock
        yield False
        return
    handle = _try(turn_file(engine))
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def turn_file(engine: DockerEngine) -> Path:
    """The lock of an engine: the same for all users of the machine, whatever address they know it by."""
    name = engine.facts().id or engine.docker_host
    folder = next((folder for folder in _FOLDERS if _is_shared(folder)), _FOLDERS[-1])
    return folder / f"ci-budget-{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock"


def _is_shared(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return folder.stat().st_mode & 0o1777 == 0o1777
    return False


def _try(path: Path) -> int | None:
    """A descriptor that holds the lock until it is closed, or None when somebody else has it."""
    handle = _open(path)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise UnmeasuredError(f"{path} is no file", mend="Remove it; ci-budget keeps a lock there.")
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return handle


def _open(path: Path) -> int:
    """Never with O_CREAT where it is there: the kernel refuses that for another user's file in a sticky folder."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        for _ in range(3):
            with contextlib.suppress(FileNotFoundError):
                return os.open(path, flags)
            with contextlib.suppress(FileExistsError):
                handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
                os.fchmod(handle, 0o644)  # whatever the umask: others must be able to lock it
                return handle
        raise UnmeasuredError(f"{path} comes and goes")
    except OSError as error:
        raise UnmeasuredError(
            f"the lock {path}, by which host-mode measurements take turns, cannot be opened: {error.strerror}",
            mend="Look at who made it; it must be a file that all users may read.",
        ) from error


def _holder(path: Path) -> str:
    """Who has the lock, as far as the kernel shows it: `process 123 of root`."""
    with contextlib.suppress(OSError):
        inode = f":{path.stat().st_ino}"
        for line in _LOCKS.read_text(encoding="ascii", errors="replace").splitlines():
            words = line.split()
            if len(words) > 5 and words[1] == "FLOCK" and words[5].endswith(inode):
                return f"process {words[4]}{_owner(words[4])}"
    return "a process that cannot be seen from here"


def _owner(pid: str) -> str:
    with contextlib.suppress(OSError, KeyError):
        return f" of {pwd.getpwuid(Path('/proc', pid).stat().st_uid).pw_name}"
    return ""
