"""Host mode: the runner's own engine, its disk watched. Shown on an engine whose disk is its own, so that the levels
are the test's and nobody else's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_budget.edges.base_images import find_bases
from ci_budget.edges.docker_engine import DockerEngine
from ci_budget.edges.sandbox import sandbox
from ci_budget.edges.seeds import SeedStore
from tests.engine.leftovers import LeftoverWatch
from tests.engine.projects import MB, MIB, Project
from tests.engine_access import Engine


class QuietHost:
    """An engine as a runner has it, alone on a filesystem of 1 GB."""

    def __init__(self, docker_host: str, mount: Path) -> None:
        self.docker_host = docker_host
        self.mount = mount
        self.env = {"DOCKER_HOST": docker_host}

    def docker(self, *arguments: str) -> str:
        """Run `docker` on it; its standard output."""
        done = subprocess.run(
            ["docker", *arguments], env={**os.environ, **self.env}, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def build(self, folder: Path) -> None:
        """An ordinary build, whose cache the runner's user wants to keep."""
        self.docker("buildx", "build", "--builder", "default", "--quiet", str(folder))

    def cache(self) -> set[str]:
        """The ids of its cache records."""
        engine = DockerEngine(self.docker_host)
        try:
            return {record.id for record in engine.cache_records()}
        finally:
            engine.close()

    def images(self) -> set[str]:
        """Name and id of every image, dangling ones included."""
        return set(self.docker("image", "ls", "--all", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").split("\n"))

    def used(self) -> int:
        """Bytes in use on its filesystem, everything written."""
        subprocess.run(["sync", "--file-system", self.mount], check=True)
        levels = os.statvfs(self.mount)
        return (levels.f_blocks - levels.f_bfree) * levels.f_frsize


@pytest.fixture(scope="module")
def quiet_host(engine: Engine, busybox_base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuietHost]:
    """The engine for this file: a sandbox's, whose ballast is gone."""
    root = tmp_path_factory.mktemp("state")
    owner = DockerEngine(engine.docker_host)
    try:
        bases = find_bases({"docker.io/test/busybox:latest": None}, platform=None, host=owner)
    finally:
        owner.close()
    store = SeedStore(root, limit=0, reserve=0)
    with sandbox(root, budget=1000 * MB, reserve=0, bases=bases, settings={}, seeds=store, say=print) as box:
        box.ballast.unlink()
        yield QuietHost(box.docker_host, box.mount)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project that is checked in host mode."""
    return Project(folder=tmp_path / "project")


def test_every_stage_is_built_cold_and_once_and_nothing_is_left(
    project: Project, quiet_host: QuietHost, leftovers: LeftoverWatch
) -> None:
    project.write(
        "FROM test/busybox AS tools\n"
        "RUN dd if=/dev/zero of=/tool bs=1M count=30\n"
        "FROM tools\n"
        "RUN dd if=/dev/zero of=/big bs=1M count=60 && sync && rm /big\n"
        "FROM test/busybox\n"
        "COPY --from=tools /tool /tool\n"
        "COPY --from=1 /tool /second\n"
        "RUN dd if=/dev/zero of=/last bs=1M count=10\n",
        disk={"reserve": "50MB"},
    )
    quiet_host.build(project.folder)
    cache, images, used = quiet_host.cache(), quiet_host.images(), quiet_host.used()

    for _ in range(2):
        done = project.check("--disk-mode", "host", env=quiet_host.env)
        print(done.stdout, done.stderr)
        for step in done.image["steps"]: print(step)
        print(done.metric("peak_disk"))
        print(quiet_host.cache() - cache, cache - quiet_host.cache(), quiet_host.images() ^ images, quiet_host.used() - used)
    assert 0
