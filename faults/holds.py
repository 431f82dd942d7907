"""Stops the tool at a known place: a program that it calls waits, the first time, before it begins.

A stand-in of the same name stands first in PATH, or in the place of docker's plugin. It says that it was called, waits
to be released, and becomes the real program. So a signal that is sent meanwhile hits the tool in that very phase,
however busy the machine is.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ci_budget.edges.engine.plugins import buildx_command
from faults.fault import NotFiredError
from tests.engine.background import RunningCheck

PATIENCE = 90.0  # seconds

_STAND_IN = """\
#!/bin/sh
case " $* " in
*"{words}"*)
  if mkdir "{folder}/called" 2>/dev/null; then
    echo "$$ $*" > "{folder}/called/draft"
    mv "{folder}/called/draft" "{folder}/called/said"
    while [ -d "{folder}/called" ] && [ ! -e "{folder}/called/released" ]; do sleep 0.02; done
  fi ;;
esac
exec {real} "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Hold:
    """One program that waits when it is first called with `words` in its arguments."""

    program: str
    words: str
    folder: Path
    env: dict[str, str]
    """What puts the stand-in in the program's place."""

    def wait(self, check: RunningCheck) -> int:
        """Wait until the tool has called it; the stand-in's pid. Raises NotFiredError when it never does."""
        said = self.folder / "called" / "said"
        wait_until(said.exists, check, f"`{self.program} {self.words}` was never called")
        return int(said.read_text().split()[0])

    def release(self) -> None:
        """Let it become the real program, if it still waits; later calls go straight through."""
        (self.folder / "called").mkdir(exist_ok=True)
        (self.folder / "called" / "released").touch()


@contextlib.contextmanager
def hold(folder: Path, program: str, words: str = "") -> Iterator[Hold]:
    """A hold in the fresh folder `folder`; released in the end, whatever happened."""
    real = buildx_command()[0] if program == "buildx" else shutil.which(program)
    if real is None:
        raise NotFiredError(f"there is no program {program} to hold")
    env = _stand_in(folder, program, _STAND_IN.format(words=words, folder=folder, real=real))
    made = Hold(program=program, words=words, folder=folder, env=env)
    try:
        yield made
    finally:
        made.release()


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Hears the engine's own progress events, which the tool reads, in full."""

    folder: Path
    env: dict[str, str]
    """What puts the stand-in in the place of buildx."""

    def heard(self) -> str:
        """Every event of every build, the text of the steps' output decoded."""
        words = []
        for line in (self.folder / "events").read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                words += [base64.b64decode(log["data"]).decode(errors="replace") for log in event.get("logs") or ()]
                words += [str(vertex.get("error", "")) for vertex in event.get("vertexes") or ()]
        return "\n".join(words)


_LISTENING = """\
#!/bin/sh
case " $* " in
*" --progress=rawjson "*)
  mkfifo "{folder}/pipe.$$"
  tee -a "{folder}/events" < "{folder}/pipe.$$" >&2 &
  exec {real} "$@" 2> "{folder}/pipe.$$" ;;
esac
exec {real} "$@"
"""


@contextlib.contextmanager
def listening(folder: Path) -> Iterator[Listener]:
    """A listener whose files are in the fresh folder `folder`."""
    env = _stand_in(folder, "buildx", _LISTENING.format(folder=folder, real=buildx_command()[0]))
    (folder / "events").touch()
    yield Listener(folder=folder, env=env)


def _stand_in(folder: Path, program: str, text: str) -> dict[str, str]:
    """Write a script below the fresh folder; returns what puts it in the program's place. buildx is a plugin: it gets a
    configuration of docker's beside it, the same but for the plugins."""
    if program != "buildx":
        place, env = folder / "bin", {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
        place.mkdir(parents=True)
    else:
        place, env = folder / "docker" / "cli-plugins", {"DOCKER_CONFIG": str(folder / "docker")}
        place.mkdir(parents=True)
        usual = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
        for found in usual.iterdir() if usual.is_dir() else ():
            if found.name != place.name:
                (place.parent / found.name).symlink_to(found)
    stand_in = place / ("docker-buildx" if program == "buildx" else program)
    stand_in.write_text(text)
    stand_in.chmod(0o755)
    return env


def wait_for_line(check: RunningCheck, text: str) -> None:
    """Wait until the tool has said `text` on its standard error."""
    wait_until(lambda: text in check.said, check, f"'{text}' was never said")


def wait_for_process(check: RunningCheck, *words: str) -> int:
    """Wait until a process with exactly these arguments runs in a sandbox's cgroup, and return its pid."""
    wanted = b"".join(word.encode() + b"\0" for word in words)

    def find() -> int | None:
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                in_sandbox = "/ci-budget-" in (entry / "cgroup").read_text()
                if in_sandbox and (entry / "cmdline").read_bytes() == wanted:
                    return int(entry.name)
        return None

    wait_until(lambda: find() is not None, check, f"no process `{' '.join(words)}` ever ran in the sandbox")
    found = find()
    if found is None:
        raise NotFiredError(f"the process `{' '.join(words)}` was gone at once")
    return found


def wait_until(condition: Callable[[], bool], check: RunningCheck, complaint: str) -> None:
    """Wait for a condition; raises NotFiredError with `complaint` when the run ends, or time runs out, before."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if check.process.poll() is not None or time.monotonic() > deadline:
            if condition():
                return
            raise NotFiredError(f"{complaint}; the run said:\n{check.said}")
        time.sleep(0.01)
