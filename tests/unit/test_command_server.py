"""A command that the command server runs is as one that was started for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_server import CommandServer, command_server

PACKAGE = "tests.unit.started"
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def server() -> Iterator[CommandServer]:
    with command_server(PACKAGE) as found:
        yield found


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (["exit", "0"], 0),
        (["exit", "7", "ä b"], 7),
        (["raise", "something"], 1),
        (["kill", str(int(signal.SIGKILL))], -signal.SIGKILL),
        (["kill", str(int(signal.SIGINT))], -signal.SIGINT),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_it_is_as_a_fresh_process(server: CommandServer, tmp_path: Path, words: list[str], exit_code: int) -> None:
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "PYTHON", "LANG", "LC_"))}
    env = {**kept, "PYTHONPATH": str(ROOT), "ONLY_HERE": "yes"}

    forked = server.run(words, cwd=tmp_path, env=env, timeout=60)
    started = subprocess.run(
        [sys.executable, "-m", PACKAGE, *words], cwd=tmp_path, env=env, capture_output=True, text=True
    )

    assert (forked.returncode, started.returncode) == (exit_code, exit_code)
    assert forked.args == started.args
    assert json.loads(forked.stdout) == json.loads(started.stdout)
    assert forked.stderr.splitlines()[-1:] == started.stderr.splitlines()[-1:]


def test_one_that_runs_too_long_is_ended(server: CommandServer, tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        server.run(["kill", str(int(signal.SIGSTOP))], cwd=tmp_path, env={}, timeout=0.2)
    assert server.run(["exit", "0"], cwd=tmp_path, env={}, timeout=60).returncode == 0


def test_the_tool_is_loaded_without_a_second_thread(tmp_path: Path) -> None:
    with command_server() as server:
        done = server.run(["--version"], cwd=tmp_path, env={}, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ci-budget ")
