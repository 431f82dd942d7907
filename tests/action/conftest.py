"""The action as a runner gets it: a copy of what git would ship, run by `act` on the host, never dry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.engine_access import Engine

REPOSITORY = Path(__file__).resolve().parents[2]
UNRELEASED = "0" * 40
UPLOAD = "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a program ended, and all that it said."""

    exit_code: int
    text: str


def run(command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path, timeout: float = 500) -> Ran:
    """Run to the end with exactly this environment; both outputs as one text."""
    done = subprocess.run(
        [str(word) for word in command],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        check=False,
    )
    return Ran(exit_code=done.returncode, text=done.stdout.decode(errors="replace"))


@pytest.fixture(scope="session")
def action_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of every file that is or would be in the repository."""
    listed = run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], env=os.environ, cwd=REPOSITORY
    )
    assert listed.exit_code == 0, listed.text
    folder = tmp_path_factory.mktemp("action")
    for name in filter(None, listed.text.split("\0")):
        source = REPOSITORY / name
        if source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    return folder


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A runner's own folders: a home, and in it the tool cache where act puts it."""

    home: Path
    first_runs: tuple[Ran, ...] = ()

    @property
    def tool_cache(self) -> Path:
        """Where the environments are kept."""
        return self.home / ".cache" / "act" / "tool_cache"

    @property
    def env(self) -> dict[str, str]:
        """What a shell of this runner sees."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "RUNNER_"))}
        return {**kept, "HOME": str(self.home), "RUNNER_TOOL_CACHE": str(self.tool_cache)}

    def environments(self) -> list[Path]:
        """Whatever lies in the cache."""
        return sorted((self.tool_cache / "ci-budget").iterdir())


@pytest.fixture(scope="session")
def runner(action_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """A runner whose first two jobs started at the same time, on an empty cache."""
    fresh = Runner(home=tmp_path_factory.mktemp("runner"))
    command = ["bash", action_folder / "action" / "run.sh", "--version"]
    with ThreadPoolExecutor() as pool:
        started = [pool.submit(run, command, env=fresh.env, cwd=fresh.home) for _ in range(2)]
        return Runner(home=fresh.home, first_runs=tuple(job.result() for job in started))


@dataclass(frozen=True, kw_only=True)
class Job:
    """A workflow that `act` ran. `lines` are its log entries (act's JSON)."""

    exit_code: int
    lines: list[dict[str, Any]] = field(repr=False)
    artifacts: Path

    @property
    def text(self) -> str:
        """The log as a person reads it."""
        return "\n".join(str(line.get("msg", "")).rstrip("\n") for line in self.lines)

    @property
    def steps(self) -> dict[str, str]:
        """How each step of the workflow ended, by its name."""
        found: dict[str, str] = {}
        for line in self.lines:
            if line.get("stage") == "Main" and "stepResult" in line and len(line.get("stepID", [])) == 1:
                found[line["step"]] = line["stepResult"]
        return found

    def commands(self, name: str) -> list[str]:
        """The arguments of every workflow command of this name that act obeyed."""
        return [str(line.get("arg", "")) for line in self.lines if line.get("command") == name]

    def outputs(self) -> dict[str, str]:
        """Every output that a step set, the last value of each."""
        return {line["name"]: line["arg"] for line in self.lines if line.get("command") == "set-output"}

    def summaries(self) -> str:
        """The job summary, each step's part once."""
        parts = [str(line["content"]) for line in self.lines if line.get("command") == "summary"]
        return "\n".join(dict.fromkeys(parts))


@dataclass(frozen=True, kw_only=True)
class Project:
    """A repository of somebody who copied the workflow, with a pull request checked out as its merge commit."""

    folder: Path
    env: dict[str, str] = field(repr=False)

    def git(self, *words: str) -> str:
        """Run git; returns its output."""
        done = run(
            ["git", "-c", "user.name=dev", "-c", "user.email=dev@example", *words], env=self.env, cwd=self.folder
        )
        assert done.exit_code == 0, done.text
        return done.text.strip()

    def commit(self, files: Mapping[str, str | bytes], message: str) -> str:
        """Write the files and commit them; returns the commit."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def propose(self, files: Mapping[str, str | bytes]) -> None:
        """A pull request with these changes; the main branch goes on meanwhile, GitHub's merge is checked out."""
        self.git("checkout", "--quiet", "-b", "change")
        self.commit(files, "change")
        self.git("checkout", "--quiet", "main")
        self.commit({"MEANWHILE": "somebody else's work\n"}, "meanwhile")
        self.git("merge", "--quiet", "--no-ff", "--message", "merge", "change")
        self.git("checkout", "--quiet", "--detach")


@pytest.fixture
def project(engine: Engine, tmp_path: Path) -> Project:
    """An empty repository of acme/widgets."""
    folder = tmp_path / "widgets"
    folder.mkdir()
    made = Project(folder=folder, env={**engine.env, "HOME": str(tmp_path)})
    made.git("init", "--quiet", "--initial-branch=main")
    made.git("remote", "add", "origin", "https://github.com/acme/widgets.git")
    return made


class Act:
    """Runs workflows of a project on this host."""

    def __init__(self, *, action_folder: Path, runner: Runner, engine: Engine, state: str, folder: Path) -> None:
        self._action_folder = action_folder
        self._runner = runner
        self._engine = engine
        self._state = state
        self._folder = folder

    def __call__(self, project: Project, *, head_repository: str = "acme/widgets", options: Sequence[str] = ()) -> Job:
        """Run the project's workflows for its pull request, as GitHub would."""
        return self.run(project, "pull_request", pull_request_event(project, head_repository), options=options)

    def run(
        self,
        project: Project,
        event: str,
        payload: Mapping[str, Any],
        *,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Job:
        """Run the project's workflows for an event; `environment` is added to the runner's own."""
        artifacts = self._folder / "artifacts"
        file = self._folder / "event.json"
        file.write_text(json.dumps(payload))
        passed = ("PATH", "DOCKER_HOST", "DOCKER_CONFIG")
        env = {name: self._engine.env[name] for name in passed if name in self._engine.env}
        env |= {"CI_BUDGET_STATE": self._state, "UPLOADED_TO": str(artifacts), **(environment or {})}
        command = [
            Path(sys.executable).parent / "act",
            event,
            *("--json", "--no-cache-server", "--eventpath", file),
            *("-P", "self-hosted=-self-hosted", "-P", "gpu=-self-hosted"),
            *("--local-repository", f"ci-budget/ci-budget@{UNRELEASED}={self._action_folder}"),
            *("--local-repository", f"{UPLOAD}={REPOSITORY / 'tests' / 'action' / 'upload-artifact'}"),
            *(word for name, value in env.items() for word in ("--env", f"{name}={value}")),
            *options,
        ]
        ran = run(command, env={**self._engine.env, **self._runner.env}, cwd=project.folder)
        lines = [json.loads(line) for line in ran.text.splitlines() if line.startswith("{")]
        return Job(exit_code=ran.exit_code, lines=lines, artifacts=artifacts)


def pull_request_event(project: Project, head_repository: str) -> dict[str, Any]:
    """The part of GitHub's payload that counts; its base is older than the commit that GitHub merged with."""
    return {
        "number": 7,
        "pull_request": {
            "number": 7,
            "base": {
                "ref": "main",
                "sha": project.git("merge-base", "HEAD^1", "HEAD^2"),
                "repo": {"full_name": "acme/widgets"},
            },
            "head": {
                "ref": "change",
                "sha": project.git("rev-parse", "HEAD^2"),
                "repo": {"full_name": head_repository},
            },
        },
    }


@pytest.fixture
def act(action_folder: Path, runner: Runner, engine: Engine, tmp_path: Path) -> Iterator[Act]:
    """`act`, with the action and a stand-in for upload-artifact taken from this machine."""
    yield Act(
        action_folder=action_folder,
        runner=runner,
        engine=engine,
        state=os.environ["CI_BUDGET_STATE"],
        folder=tmp_path,
    )
