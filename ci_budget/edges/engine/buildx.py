"""buildx: builds, targets, versions. Command lines and the stream of events; no measuring here."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ci_budget.core.measurement.events import BuildEvents, LogLine, VertexChange
from ci_budget.edges.engine.plugins import buildx_command
from ci_budget.edges.processes import (
    DEFAULT_TIMEOUT,
    DEVNULL,
    PIPE,
    Completed,
    Running,
    ended_with_us,
    run,
    run_once,
    running,
)
from ci_budget.edges.sites.scratch import scratch_folder
from ci_budget.errors import BuildFailedError, UnmeasuredError

OLDEST_BUILDX = (0, 15)
_PARSE_ERROR = re.compile(r"^ERROR: .*dockerfile parse error on line (\d+): (.*)", re.MULTILINE)
_CANCEL_GRACE = 8.0
_ASKED_GRACE = 2.0
_METADATA_LIMIT = 64 * 2**20
_WITHOUT_GIT = {"BUILDX_GIT_INFO": "false"}  # nothing is built: the half dozen questions to git would be for nothing


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """What to build, as `docker buildx build` takes it. Values of `secret_build_args` travel in the environment."""

    context: Path
    dockerfile: Path
    platform: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    secret_build_args: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    build_contexts: Mapping[str, str] = field(default_factory=dict)
    network: str | None = None

    def words(self) -> list[str]:
        """The options that every build of this request takes, the context not included."""
        words = ["--file", str(self.dockerfile)]
        if self.platform:
            words += ["--platform", self.platform]
        for name, value in self.build_args.items():
            words += ["--build-arg", f"{name}={value}"]
        for name in self.secret_build_args:
            words += ["--build-arg", name]
        for secret in self.secrets:
            words += ["--secret", secret]
        for agent in self.ssh:
            words += ["--ssh", agent]
        for name, source in self.build_contexts.items():
            words += ["--build-context", f"{name}={source}"]
        if self.network:
            words += ["--network", self.network]
        return words


@dataclass(frozen=True, kw_only=True)
class BuildEnd:
    """How a build ended. `reason` is None, "timeout", or what the caller gave to `Cancel`."""

    exit_code: int
    events: BuildEvents
    metadata: Mapping[str, Any]
    cancelled: str | None

    @property
    def succeeded(self) -> bool:
        """True when buildx said so and nobody cancelled."""
        return self.exit_code == 0 and self.cancelled is None


class Cancel:
    """Cancels a running build from another thread; the first reason counts."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.reason: str | None = None
        self._lock = threading.Lock()

    def __call__(self, reason: str) -> None:
        """Ask for it."""
        with self._lock:
            if not self.event.is_set():
                self.reason = reason
                self.event.set()


class Buildx:
    """buildx against one engine's own builder, or a builder by its name."""

    def __init__(self, docker_host: str, builder: str = "default") -> None:
        self._builder = builder
        self._command = buildx_command()
        self._env = {"DOCKER_HOST": docker_host, "BUILDX_METADATA_PROVENANCE": "max", "BUILDX_BUILDER": ""}

    def version(self) -> str:
        """buildx's version. Raises UnmeasuredError when there is none, or an old one."""
        done = run_once([*self._command, "version"])
        match = re.search(r"\bv?(\d+)\.(\d+)\.\d+\S*", done.text)
        if done.exit_code != 0 or match is None:
            raise UnmeasuredError(
                "docker has no buildx plugin here", mend="Install docker-buildx-plugin (docker-buildx) 0.15 or newer."
            )
        if (int(match[1]), int(match[2])) < OLDEST_BUILDX:
            raise UnmeasuredError(f"buildx is {match[0]}; ci-budget needs 0.15 or newer", mend="Upgrade docker-buildx.")
        return match[0].removeprefix("v")

    def buildkit_version(self) -> str | None:
        """The version of the engine's own BuildKit, where it tells."""
        with self.asking_buildkit() as answer:
            return answer()

    @contextlib.contextmanager
    def asking_buildkit(self) -> Iterator[Callable[[], str | None]]:
        """The same, asked beside the block: the answer takes as long as a small step. The result waits for it.

        Where it is not waited for, the question ends with the block.
        """
        command = ended_with_us([*self._command, "inspect", self._builder])
        with running(command, env=self._env, stdout=PIPE, stderr=DEVNULL, grace=_ASKED_GRACE) as child:
            yield lambda: _buildkit_in(child)

    def targets(self, request: BuildRequest) -> bytes:
        """What `--call=targets,format=json` prints. Raises UnmeasuredError when the engine gives no answer, and
        BuildFailedError when it cannot read the Dockerfile."""
        done = run(
            [*self._command, "build", "--builder", self._builder, "--call=targets,format=json", *request.words(),
             request.context],
            check=False, env={**self._env, **_WITHOUT_GIT, **request.secret_build_args}, timeout=300,
        )  # fmt: skip
        if done.exit_code != 0:
            if wrong := _PARSE_ERROR.search(done.complaint):
                raise BuildFailedError(f"the engine cannot read the Dockerfile: {wrong[2]}", line=int(wrong[1]))
            raise UnmeasuredError(f"the engine could not list the stages of {request.dockerfile}: {_reason_in(done)}")
        return done.stdout

    def build(
        self,
        request: BuildRequest,
        *,
        target: str | None,
        output: tuple[str, ...],
        on_event: Callable[[VertexChange | LogLine, BuildEvents], None],
        cancel: Cancel,
        timeout: float | None = None,
        extra: tuple[str, ...] = (),
        read_output: Callable[[IO[bytes]], None] | None = None,
    ) -> BuildEnd:
        """Build one target to the given output options, calling `on_event` for every change in this thread.

        `timeout` in seconds ends a build that hangs. `read_output` is given what buildx writes to its standard output
        (`dest=-`), in another thread; what it raises is raised here, where the build itself went well. The build has
        ended when this returns or raises.
        """
        events = BuildEvents()
        with scratch_folder() as scratch:
            metadata = scratch / "metadata.json"
            # Ended with us: else a build would go on, unwatched, after a SIGKILL of ours.
            command = ended_with_us([
                *self._command, "build", "--builder", self._builder, "--progress=rawjson",
                *(("--target", target) if target else ()), *request.words(), *output, *extra,
                "--metadata-file", str(metadata), str(request.context),
            ])  # fmt: skip
            environment = {**self._env, **request.secret_build_args}
            stdout = DEVNULL if read_output is None else PIPE
            with running(command, env=environment, stdout=stdout, stderr=PIPE, grace=_CANCEL_GRACE) as child:
                reading = _Reading(child.stdout, read_output) if read_output is not None else None
                ended = threading.Event()
                guard = threading.Thread(
                    target=_guard, args=(child, cancel, timeout, ended), name="build-guard", daemon=True
                )
                guard.start()
                try:
                    for line in _lines(child.stderr):
                        for change in events.feed(line):
                            on_event(change, events)
                    child.process.wait()
                    for rest in events.finish():
                        on_event(rest, events)
                except BaseException:
                    child.interrupt()  # cancels the build in the engine as well
                    child.wait(2.0)
                    raise
                finally:
                    ended.set()
                    guard.join()
                if reading is not None:
                    reading.finish(succeeded=child.process.returncode == 0 and cancel.reason is None)
            return BuildEnd(
                exit_code=child.process.returncode,
                events=events,
                metadata=_read_metadata(metadata),
                cancelled=cancel.reason,
            )


class _Reading:
    """Reads a build's standard output beside it, to the end whatever the reader makes of it: buildx waits for that."""

    def __init__(self, stream: IO[bytes], read: Callable[[IO[bytes]], None]) -> None:
        self._stream, self._read = stream, read
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="build-output", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._read(self._stream)
        except Exception as error:  # raised again in the thread of the build
            self._error = error
        with contextlib.suppress(OSError, ValueError):
            while self._stream.read(2**20):
                pass

    def finish(self, *, succeeded: bool) -> None:
        """Wait for the end, and raise what the reader raised where there was something to read."""
        self._thread.join()
        if succeeded and self._error is not None:
            raise self._error


def _guard(child: Any, cancel: Cancel, timeout: float | None, ended: threading.Event) -> None:
    """Interrupts the build when asked to or when its time is over; kills a client that does not listen."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while not ended.wait(0.02):
        if deadline is not None and time.monotonic() > deadline:
            cancel("timeout")
        if cancel.event.is_set():
            child.interrupt()
            if not ended.wait(_CANCEL_GRACE):
                child.end(grace=2.0)
            return


def _lines(stream: Any) -> Any:
    """Lines of a stream, each bounded: an endless line comes in pieces."""
    return iter(lambda: stream.readline(8 * 2**20), b"")


def _read_metadata(path: Path) -> Mapping[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        if path.stat().st_size <= _METADATA_LIMIT:
            found = json.loads(path.read_bytes())
            if isinstance(found, dict):
                return found
    return {}


def _reason_in(done: Completed) -> str:
    """The error with which buildx ended; before it stands its whole progress, the Dockerfile's lines included."""
    errors = [line for line in done.complaint.splitlines() if line.startswith("ERROR: ")]
    return errors[-1].removeprefix("ERROR: ") if errors else done.complaint


def _buildkit_in(asked: Running) -> str | None:
    """From the answer, which fits into the pipe; None where there is none in time."""
    if asked.wait(DEFAULT_TIMEOUT) is None:
        return None
    match = re.search(rb"^BuildKit version:\s*(\S+)", asked.stdout.read(), re.MULTILINE)
    return match[1].decode("utf-8", "replace").removeprefix("v") if match else None
