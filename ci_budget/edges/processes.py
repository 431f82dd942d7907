"""The only module that starts processes. Commands are lists, never shell text."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ci_budget.errors import UnmeasuredError

PIPE = subprocess.PIPE
STDOUT = subprocess.STDOUT
DEVNULL = subprocess.DEVNULL
DEFAULT_TIMEOUT = 120.0
_KEPT_OUTPUT = 4000

Environment = Mapping[str, str | None]
"""Variables for a process beside those that we have; None takes one away."""


@dataclass(frozen=True, kw_only=True)
class Completed:
    """How a process ended: its exit code (negative: the signal) and what it printed."""

    command: tuple[str, ...]
    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text; undecodable bytes become U+FFFD."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def complaint(self) -> str:
        """The end of what it complained of, for an error message."""
        shown = (self.stderr.strip() or self.stdout.strip())[-_KEPT_OUTPUT:]
        return shown.decode("utf-8", "replace")


def run(
    command: Sequence[str | Path],
    *,
    check: bool = True,
    timeout: float = DEFAULT_TIMEOUT,
    env: Environment | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
) -> Completed:
    """Run a command to its end. `env` is added to the environment.

    Raises UnmeasuredError when the program is missing, runs longer than `timeout` seconds, or
    (with `check`) exits with anything but 0.
    """
    words = tuple(str(word) for word in command)
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            env=_environment(env),
            cwd=cwd,
            check=False,
        )
    except FileNotFoundError as error:
        raise _missing(words[0], error) from error
    except PermissionError as error:
        raise UnmeasuredError(f"{words[0]} may not be run here ({error.strerror})") from error
    except subprocess.TimeoutExpired as error:
        raise UnmeasuredError(f"`{_shown(words)}` did not end within {timeout:g} s") from error
    completed = Completed(command=words, exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)
    if check and completed.exit_code != 0:
        raise UnmeasuredError(f"`{_shown(words)}` failed (exit {completed.exit_code}): {completed.complaint}")
    return completed


def run_once(command: Sequence[str]) -> Completed:
    """What a program answers to a question of which the answer stays the same while the program does, such as for its
    version: asked once. Raises UnmeasuredError as `run` does."""
    found = shutil.which(command[0])
    return _answer(tuple(command), found, Path(found).stat().st_mtime_ns if found else 0)


@functools.cache
def _answer(command: tuple[str, ...], _program: str | None, _written: int) -> Completed:
    return run(command, check=False)


@dataclass(frozen=True, kw_only=True)
class Running:
    """A process that runs beside us, in a session of its own."""

    command: tuple[str, ...]
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def stdout(self) -> IO[bytes]:
        """Its standard output; only where it was started with PIPE."""
        if self.process.stdout is None:
            raise ValueError("standard output was not piped")
        return self.process.stdout

    @property
    def stderr(self) -> IO[bytes]:
        """Its standard error; only where it was started with PIPE."""
        if self.process.stderr is None:
            raise ValueError("standard error was not piped")
        return self.process.stderr

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self.process.poll()

    def wait(self, timeout: float) -> int | None:
        """Its exit code, or None when it still runs after `timeout` seconds."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def interrupt(self) -> None:
        """Ask it to cancel (SIGINT), as Ctrl-C would."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)

    def end(self, grace: float = 10.0) -> None:
        """SIGTERM, `grace` seconds, then SIGKILL; returns when it is gone."""
        if self.process.poll() is None:
            self.process.terminate()
            if self.wait(grace) is None:
                self.process.kill()
                self.process.wait()


def start(
    command: Sequence[str | Path],
    *,
    env: Environment | None = None,
    cwd: Path | None = None,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
    stderr: IO[bytes] | int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> Running:
    """Start a process in a session of its own, so that the terminal's Ctrl-C reaches only us.

    `env` is added to the environment. Raises UnmeasuredError when the program is missing.
    """
    words = tuple(str(word) for word in command)
    try:
        process = subprocess.Popen(
            words,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=_environment(env),
            cwd=cwd,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    except FileNotFoundError as error:
        raise _missing(words[0], error) from error
    return Running(command=words, process=process)


def ended_with_us(command: Sequence[str | Path]) -> list[str | Path]:
    """The command, interrupted (SIGINT) by the kernel when this process dies, even of SIGKILL; where setpriv is."""
    return ["setpriv", "--pdeathsig=INT", *command] if shutil.which("setpriv") else list(command)


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    *,
    env: Environment | None = None,
    cwd: Path | None = None,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.PIPE,
    stderr: IO[bytes] | int = subprocess.PIPE,
    pass_fds: Sequence[int] = (),
    grace: float = 10.0,
) -> Iterator[Running]:
    """A process that has ended when the block is left, whatever happened inside."""
    child = start(command, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=pass_fds)
    try:
        yield child
    finally:
        child.end(grace)
        for stream in (child.process.stdin, child.process.stdout, child.process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def _environment(extra: Environment | None) -> dict[str, str] | None:
    if extra is None:
        return None
    return {name: value for name, value in {**os.environ, **extra}.items() if value is not None}


def _missing(program: str, error: FileNotFoundError) -> UnmeasuredError:
    if error.filename not in (None, program):
        return UnmeasuredError(f"cannot run {program}: {error.filename} does not exist")
    return UnmeasuredError(f"the program '{program}' is not installed, or not in PATH")


def _shown(words: tuple[str, ...]) -> str:
    text = " ".join(words)
    return text if len(text) <= 200 else f"{text[:197]}..."
