"""The lock of host-mode measurements: one for all users of an engine, whoever made it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci_budget.edges.sites import host_turns
from ci_budget.edges.sites.host_turns import host_turn, host_turns_halted, turn_file
from ci_budget.errors import UnmeasuredError

HOLD = (
    "import fcntl, os, sys\n"
    "fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)\n"
    "print(flush=True)\n"
    "sys.stdin.read()\n"
)


@dataclass(frozen=True)
class _Facts:
    id: str


@dataclass(frozen=True)
class Engine:
    """What the lock is named after."""

    ident: str
    docker_host: str = "unix:///run/docker.sock"

    def facts(self) -> _Facts:
        return _Facts(self.ident)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    tmp_path.chmod(0o1777)
    monkeypatch.setattr(host_turns, "_FOLDERS", (tmp_path / "none", tmp_path))
    yield Engine("one")
    tmp_path.chmod(0o700)


def test_the_second_one_waits_and_is_told_for_whom(engine: Engine) -> None:
    path = turn_file(engine)  # type: ignore[arg-type]
    with host_turn(engine, lambda _: None):  # type: ignore[arg-type]
        pass
    assert path.stat().st_mode & 0o777 == 0o644  # another user must be able to open it
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        with host_turns_halted(engine) as halted:  # type: ignore[arg-type]
            assert halted is False
        told: list[str] = []

        def say(text: str) -> None:
            told.append(text)
            holder.stdin.close()  # type: ignore[union-attr]

        with host_turn(engine, say), host_turns_halted(engine) as halted:  # type: ignore[arg-type]
            assert halted is False
        assert told == [
            f"waiting: another ci-budget (process {holder.pid} of {_user()}) is measuring on this host's engine"
        ]
    with host_turns_halted(engine) as halted:  # type: ignore[arg-type]
        assert halted is True


def _user() -> str:
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


def test_each_engine_has_its_own(engine: Engine) -> None:
    with host_turn(engine, pytest.fail), host_turn(Engine("two"), pytest.fail):  # type: ignore[arg-type]
        pass
    assert turn_file(Engine("", "a")) != turn_file(Engine("", "b"))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_what_is_no_file_is_refused(engine: Engine, kind: str, tmp_path: Path) -> None:
    path = turn_file(engine)  # type: ignore[arg-type]
    if kind == "link":
        (tmp_path / "elsewhere").touch()
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(UnmeasuredError), host_turn(engine, pytest.fail):  # type: ignore[arg-type]
        pass


def test_inside_the_sandboxs_container_nobody_can_know(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI_BUDGET_ENTERED_BY", "container")
    with host_turns_halted(engine) as halted:  # type: ignore[arg-type]
        assert halted is False
