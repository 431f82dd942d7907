"""`python -m ci_budget` without its second of imports: a process that has them done, and forks for each command.

The forked process is as a fresh one: arguments, environment, folder, output, signals and descriptors are the command's
alone. Only what the kernel shows of its start, command line and environment in /proc, is the server's, and the first
lines of a traceback are. What is to be killed, or to run as another user or in another namespace, is started for real.

    python -m tests.command_server SOCKET_DESCRIPTOR PACKAGE
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True)
class CommandServer:
    """A running one; `package` is what it runs."""

    package: str
    control: socket.socket

    def run(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run` of `python -m PACKAGE WORDS`. Raises subprocess.TimeoutExpired after `timeout` s."""
        command = [sys.executable, "-m", self.package, *words]
        ours, theirs = socket.socketpair()
        with ours, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with theirs:
                socket.send_fds(self.control, [b"."], [theirs.fileno(), out.fileno(), err.fileno()])
            ours.sendall(json.dumps({"words": list(words), "cwd": str(cwd), "env": dict(env)}).encode())
            ours.shutdown(socket.SHUT_WR)
            answer = ours.makefile("rb")
            pid = int(answer.readline())
            ours.settimeout(timeout)
            try:
                code = int(answer.readline())
            except BaseException as error:  # as subprocess.run: nobody waits for it any more
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                if isinstance(error, TimeoutError):
                    raise subprocess.TimeoutExpired(command, timeout, _all_of(out), _all_of(err)) from error
                raise
            return subprocess.CompletedProcess(command, code, _all_of(out).decode(), _all_of(err).decode())


def _all_of(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


@contextlib.contextmanager
def command_server(package: str = "ci_budget") -> Iterator[CommandServer]:
    """One that ends with the block; it starts while the caller goes on."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-m", "tests.command_server", str(theirs.fileno()), package]
        with subprocess.Popen(command, cwd=_ROOT, pass_fds=[theirs.fileno()]):
            theirs.close()
            yield CommandServer(package=package, control=ours)
            ours.close()


def serve(control: socket.socket, package: str) -> None:
    """Fork for each command until nobody asks any more. Returns as the command in the forked process."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # as the command itself does before it imports
    _load(package)
    assert len(os.listdir("/proc/self/task")) == 1, "a forked process would lack the other threads"  # noqa: PTH208
    gc.freeze()
    while True:
        data, handles, _, _ = socket.recv_fds(control, 1, 3)
        if not data:
            raise SystemExit
        with socket.socket(fileno=handles[0]) as asker:
            asked = json.load(asker.makefile("rb"))
            pid = os.fork()
            if pid == 0:
                control.close()
                os.dup2(handles[1], 1)
                os.dup2(handles[2], 2)
            os.close(handles[1])
            os.close(handles[2])
            if pid == 0:
                break
            with contextlib.suppress(BrokenPipeError):
                asker.sendall(f"{pid}\n".encode())
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            with contextlib.suppress(BrokenPipeError):
                asker.sendall(f"{code}\n".encode())
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.argv = [package, *asked["words"]]
    sys.path[0] = asked["cwd"]
    runpy.run_module(package, run_name="__main__", alter_sys=True)


def _load(package: str) -> None:
    """Import all of a package's modules but the one that runs it."""
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, f"{package}."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
