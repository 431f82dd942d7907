"""`prune` takes away for real: on an engine of the test's own, where nothing belongs to others."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci_budget.edges.engine.base_images import find_bases
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.sandbox.private_sandbox import sandbox
from ci_budget.edges.sandbox.seeds import SeedStore
from ci_budget.edges.sites.state import state_directory
from tests.engine.projects import run_tool
from tests.engine_access import Engine

MB = 1_000_000
BASE = "docker.io/test/busybox:latest"
DEAD = "0dead0de"


@dataclass(frozen=True, kw_only=True)
class Host:
    """An engine that only this test uses, with a state directory and a folder of its own."""

    docker_host: str
    folder: Path
    state: Path

    def prune(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("prune", *arguments)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`ci-budget` with this engine and state."""
        return run_tool(self.folder, *words, env={"DOCKER_HOST": self.docker_host, "CI_BUDGET_STATE": str(self.state)})

    def docker(self, *words: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["docker", "--host", self.docker_host, *words], input=stdin, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def build(self, tag: str, step: str) -> None:
        self.docker("build", "--quiet", "--tag", tag, "-", stdin=f"FROM test/busybox\nRUN {step}\n")

    def images(self) -> set[str]:
        return set(self.docker("images", "--format={{.Repository}}:{{.Tag}}").splitlines())

    def cache(self) -> list[str]:
        return self.docker("buildx", "du", "--builder=default", "--format={{.ID}}").split()


@pytest.fixture
def host(tmp_path: Path, busybox_base: str, engine: Engine) -> Iterator[Host]:
    runner = DockerEngine(os.environ["DOCKER_HOST"])
    bases = find_bases({BASE: None}, platform=None, host=runner)
    runner.close()
    root = state_directory()
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    seeds = SeedStore(root, limit=10**9, reserve=10**9)
    with sandbox(
        root, budget=400 * MB, reserve=10**9, bases=bases, settings={}, seeds=seeds, say=lambda _: None
    ) as box:
        yield Host(docker_host=box.docker_host, folder=folder, state=tmp_path / "ci-budget-state")


def leave_things_behind(host: Host) -> None:
    """What a killed run leaves, and a seed."""
    (host.state / "sandboxes" / DEAD).mkdir(parents=True)
    (host.state / "sandboxes" / DEAD / "disk.ext4").write_bytes(b"x" * 8 * MB)
    (host.state / "seeds").mkdir()
    for name in ("one.ext4", "one.json", "two.partial"):
        (host.state / "seeds" / name).write_bytes(b"x" * 4 * MB)
    host.docker("tag", "test/busybox", "ci-budget.local/image-web:measured")
    host.docker("create", "--label=ci-budget=web", "--name=smoke", "test/busybox", "true")


def test_only_our_own_goes_unless_the_engine_is_asked_for(host: Host) -> None:
    host.build("theirs:1", "dd if=/dev/zero of=/a bs=1M count=3")
    leave_things_behind(host)
    cache = host.cache()

    told = host.prune("--dry-run")
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[:2] == ["leftovers: 4, about 12.0 MB", f"  sandbox {DEAD} (8.00 MB)"]
    assert (host.state / "sandboxes" / DEAD).exists(), "a dry run removed something"
    assert "smoke" in host.docker("ps", "--all", "--format={{.Names}}")

    done = host.prune()
    assert done.returncode == 0, done.stderr
    assert list((host.state / "sandboxes").glob("????????")) == []
    assert [path.name for path in (host.state / "seeds").iterdir() if path.name != ".lock"] == []
    assert host.docker("ps", "--all", "--quiet") == ""
    assert host.images() == {"theirs:1", "test/busybox:latest"}
    assert host.cache() == cache


def test_the_engine_is_pruned_and_the_configs_bases_stay(host: Host) -> None:
    (host.folder / "Dockerfile").write_text("FROM test/busybox\n")
    (host.folder / "ci-budget.yml").write_text("version: 1\nimages: {web: {}}\n")
    host.build("used:1", "echo 1 >/a")
    host.build("kept:1", "echo 2 >/a")
    host.build("unused:1", "dd if=/dev/urandom of=/a bs=1M count=5")
    host.build("unused:1", "dd if=/dev/urandom of=/b bs=1M count=5")  # the first is dangling now
    host.docker("create", "--name=user", "used:1", "true")
    ages = ("--engine", "--cache-older=0s", "--unused-older=0s", "--keep=kept:*")

    assert host.prune(*ages[:1]).returncode == 0
    assert host.images() == {"used:1", "kept:1", "unused:1", "<none>:<none>", "test/busybox:latest"} - {"<none>:<none>"}

    done = host.prune(*ages)
    assert done.returncode == 0, done.stderr
    assert host.images() == {"used:1", "kept:1", "test/busybox:latest"}
    assert host.docker("images", "--all", "--filter=dangling=true", "--quiet") == ""
    deadline = time.monotonic() + 120
    while host.cache() and time.monotonic() < deadline:  # the engine holds for a moment what it has just built
        assert host.prune(*ages).returncode == 0
    assert host.cache() == []
    assert "unused images: removed 1\n  unused:1\n" in done.stdout

    host.docker("rm", "user")
    done = host.prune(*ages, "--bases")
    assert done.returncode == 0, done.stderr
    assert host.images() == {"kept:1"}


def test_it_stops_at_the_target(host: Host) -> None:
    host.build("unused:1", "dd if=/dev/urandom of=/a bs=1M count=20")
    available = host.docker("run", "--rm", "--network=none", "test/busybox", "df", "-B1", "/").split()[-3]
    ages = ("--engine", "--cache-older=0s", "--unused-older=0s")
    done = host.prune(*ages, f"--target-free={int(available) - 50 * MB}")
    assert done.returncode == 0, done.stderr
    assert "unused:1" in host.images()
    done = host.prune(*ages, "--target-free=100TB")
    assert done.returncode == 3
    assert "unused:1" not in host.images()
    assert "has less than 100 TB available, and nothing more may go" in done.stderr


def test_a_broken_config_stops_it_before_anything_goes(host: Host) -> None:
    (host.folder / "ci-budget.yml").write_text("version: 1\nimagse: {}\n")
    leave_things_behind(host)
    done = host.prune("--engine", "--cache-older=0s", "--unused-older=0s")
    assert done.returncode == 2
    assert (host.state / "sandboxes" / DEAD).exists()
    assert "ci-budget.local/image-web:measured" in host.images()


def test_without_an_engine_our_own_still_goes(tmp_path: Path, engine: Engine) -> None:
    host = Host(docker_host=f"unix://{tmp_path}/none.sock", folder=tmp_path, state=tmp_path / "ci-budget-state")
    (host.state / "sandboxes" / DEAD).mkdir(parents=True)
    done = host.prune()
    assert done.returncode == 0, done.stderr
    assert list((host.state / "sandboxes").glob("????????")) == []
    assert host.prune("--engine").returncode == 3


def test_living_sandboxes_and_doctor_agree(host: Host) -> None:
    """doctor counts what prune would take, and a sandbox that is in use is no leftover to either."""
    leave_things_behind(host)
    done = host.run("doctor", "--format=json")
    found = {one["check"]: one for one in json.loads(done.stdout)["checks"]}
    assert found["leftovers"]["status"] == "warn"
    assert found["leftovers"]["message"].startswith(f"killed runs left 3 things behind: sandbox {DEAD}, ")
    data = host.docker("info", "--format={{.DockerRootDir}}")
    assert found["partition"]["message"] == (
        f"{data} shares the filesystem {Path(data).parent} (469 MB ext4) with other data"
    )
    assert "\n" not in host.docker("info", "--format={{.ID}}")  # the engine lives on
