"""A check that runs while the test looks at it, and a web server that its build steps talk to."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.engine.lanes import kill_disowned
from tests.engine.projects import Project, Result

_PATIENCE = 240.0  # seconds; a machine may be busy
# What a build step writes instead of the server's address: the gateway of its own network is the host.
GATEWAY = "$(ip route | awk '/^default/ { print $3 }')"


class WebServer:
    """Answers every GET with its path, remembers it, and keeps callers of `/hold…` waiting until `release()`."""

    def __init__(self, address: str = "0.0.0.0") -> None:
        outer = self
        self._paths: list[str] = []
        self._came = threading.Condition()
        self._released = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._enter(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(self.path.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()

    def _enter(self, path: str) -> None:
        with self._came:
            self._paths.append(path)
            self._came.notify_all()
        if path.startswith("/hold"):
            self._released.wait(_PATIENCE)

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        with self._came:
            return list(self._paths)

    def wait_for(self, start: str, check: RunningCheck) -> None:
        """Wait until somebody asks for a path that starts so; raises AssertionError when `check` ends before."""
        deadline = time.monotonic() + _PATIENCE
        with self._came:
            while not self._came.wait_for(lambda: any(path.startswith(start) for path in self._paths), 0.5):
                if check.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"nobody asked for {start}; there came {self._paths}\n{check.said}")

    def release(self) -> None:
        """Let everybody go on who waits, now and later."""
        self._released.set()

    def forget(self) -> None:
        """Be as at the start: nobody came, and callers of `/hold…` wait."""
        with self._came:
            self._paths.clear()
        self._released.clear()


@dataclass(kw_only=True)
class RunningCheck:
    """A check in the background."""

    project: Project
    process: subprocess.Popen[str]
    _out: list[str] = field(default_factory=list)
    _err: list[str] = field(default_factory=list)
    _readers: list[threading.Thread] = field(default_factory=list)

    def follow(self) -> None:
        """Keep its pipes from filling up."""
        for stream, lines in ((self.process.stdout, self._out), (self.process.stderr, self._err)):
            assert stream is not None
            reader = threading.Thread(target=lines.extend, args=(stream,), daemon=True)
            reader.start()
            self._readers.append(reader)

    @property
    def said(self) -> str:
        """What it wrote on its standard error so far."""
        return "".join(self._err)

    def wait_for(self, text: str) -> None:
        """Wait until it has said `text`; raises AssertionError when it ends, or is silent for too long, before."""
        deadline = time.monotonic() + _PATIENCE
        while text not in self.said:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"'{text}' was never said:\n{self.said}")
            time.sleep(0.05)

    def finish(self) -> Result:
        """Wait for its end."""
        code = self.process.wait(_PATIENCE)
        for reader in self._readers:
            reader.join(_PATIENCE)
        return self.project.result(code, "".join(self._out), "".join(self._err))

    def kill(self) -> Result:
        """End it as the machine's memory killer would."""
        kill_disowned(self.process.pid)
        return self.finish()


@contextlib.contextmanager
def running_check(
    project: Project, *arguments: str, env: dict[str, str] | None = None, prefix: tuple[str, ...] = ()
) -> Iterator[RunningCheck]:
    """A check that has ended when the block is left, whatever happened inside."""
    with subprocess.Popen(
        [*prefix, *project.command(*arguments)],
        cwd=project.folder,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        check = RunningCheck(project=project, process=process)
        check.follow()
        try:
            yield check
        finally:
            if process.poll() is None:
                process.terminate()
                check.finish()
