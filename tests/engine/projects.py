"""Small projects to gate, and the tool run on them as a user runs it: a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.command_server import CommandServer

if TYPE_CHECKING:
    import pytest

COMMAND = (sys.executable, "-m", "ci_budget")
MB = 1_000_000
MIB = 2**20
_PATIENCE = 500.0  # seconds; a machine may be busy


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a run ended; `report` is {} when it wrote none."""

    exit_code: int
    stdout: str
    stderr: str
    report: dict[str, Any] = field(repr=False)
    folder: Path

    @property
    def words(self) -> str:
        """What it printed, without the line breaks that depend on the width."""
        return " ".join(self.stdout.split())

    @property
    def image(self) -> dict[str, Any]:
        """The first image of the report."""
        found: dict[str, Any] = self.report["images"][0]
        return found

    def metric(self, name: str) -> dict[str, Any]:
        """A metric of the first image."""
        found: dict[str, Any] = self.image["metrics"][name]
        return found

    def stage(self, name: str) -> dict[str, Any]:
        """A stage of the first image."""
        return next(stage for stage in self.image["stages"] if stage["name"] == name)


SERVER: CommandServer | None = None
"""Runs the commands that need no process of their own from the start; None where the engine's tests have none."""


def run_tool(
    folder: Path, *words: str | Path, env: dict[str, str] | None = None, prefix: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run `ci-budget` in a folder to its end. `env` is added to the environment; `prefix` stands before the command."""
    given = {**os.environ, **(env or {})}
    if SERVER is not None and not prefix:
        return SERVER.run([str(word) for word in words], cwd=folder, env=given, timeout=_PATIENCE)
    return subprocess.run(
        [*prefix, *COMMAND, *words], cwd=folder, env=given, capture_output=True, text=True, timeout=_PATIENCE
    )


@dataclass(kw_only=True)
class Project:
    """A folder with a Dockerfile and a config of one image, `web`."""

    folder: Path
    budget: str = "400MB"

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def write(self, dockerfile: str, *, disk: dict[str, Any] | None = None, **image: Any) -> None:
        """Write Dockerfile and config; `image` are keys of the image, `disk` those of the disk section."""
        (self.folder / "Dockerfile").write_text(dockerfile)
        config = {
            "version": 1,
            "disk": {"budget": self.budget, "reserve": "1GB", **(disk or {})},
            "images": {"web": image},
        }
        (self.folder / "ci-budget.yml").write_text(yaml.safe_dump(config))

    def command(self, *arguments: str) -> list[str]:
        """The command line of a check with its report beside the project."""
        return [*COMMAND, "check", "--report", str(self.report_folder), *arguments]

    @property
    def report_folder(self) -> Path:
        """Beside the project, outside of its context."""
        return self.folder.parent / f"{self.folder.name}-report"

    def check(self, *arguments: str, env: dict[str, str] | None = None, prefix: tuple[str, ...] = ()) -> Result:
        """Run the gate to its end."""
        done = run_tool(self.folder, *self.command(*arguments)[len(COMMAND) :], env=env, prefix=prefix)
        return self.result(done.returncode, done.stdout, done.stderr)

    def check_here(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> Result:
        """Run the gate in this process, which is quicker; for runs that make no sandbox."""
        from ci_budget.__main__ import main

        with contextlib.chdir(self.folder):
            code = main(self.command(*arguments)[len(COMMAND) :])
        said = capsys.readouterr()
        return self.result(code, said.out, said.err)

    def result(self, exit_code: int, stdout: str = "", stderr: str = "") -> Result:
        """A run's end with its report."""
        file = self.report_folder / "report.json"
        report = json.loads(file.read_text()) if file.exists() else {}
        return Result(exit_code=exit_code, stdout=stdout, stderr=stderr, report=report, folder=self.report_folder)


def assert_refused(done: Result, exit_code: int, *said: str) -> None:
    """It said why, in words for a person, and built nothing."""
    assert done.exit_code == exit_code, done.stdout + done.stderr
    words = " ".join(done.stderr.split())
    assert [part for part in said if part not in words] == [], words
    assert "Traceback" not in done.stderr
    assert "building stage" not in done.stderr
    assert done.report == {}
