"""An engine as a runner has it, alone on a filesystem of its own: levels there are the test's and nobody else's.

It is one of the tool's sandboxes without its ballast, held open by a process of its own until that one's standard
input ends: `python -m tests.engine.quiet_host STATE_FOLDER BYTES`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ci_budget.edges.engine.base_images import find_bases
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.sandbox.private_sandbox import sandbox
from ci_budget.edges.sandbox.seeds import SeedStore
from tests.engine.projects import MB

SIZE = 1000 * MB
BASE = "docker.io/test/busybox:latest"


@dataclass(frozen=True, kw_only=True)
class QuietHost:
    """Its address, and where its filesystem of 1 GB is mounted."""

    docker_host: str
    mount: Path

    @property
    def env(self) -> dict[str, str]:
        """What makes the tool take it for the runner's engine."""
        return {"DOCKER_HOST": self.docker_host}

    def docker(self, *arguments: str) -> str:
        """Run `docker` on it; its standard output."""
        done = subprocess.run(
            ["docker", *arguments], env={**os.environ, **self.env}, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def build(self, folder: Path) -> None:
        """An ordinary build, whose cache the runner's user wants to keep."""
        self.docker("buildx", "build", "--builder", "default", "--quiet", str(folder))

    def cache(self) -> set[str]:
        """The ids of its cache records."""
        with contextlib.closing(DockerEngine(self.docker_host)) as engine:
            return {record.id for record in engine.cache_records()}

    def images(self) -> set[str]:
        """Name and id of every image, dangling ones included."""
        listed = self.docker("image", "ls", "--all", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")
        return set(listed.splitlines())

    def used(self) -> int:
        """Bytes in use on its filesystem, everything written."""
        subprocess.run(["sync", "--file-system", self.mount], check=True)
        levels = os.statvfs(self.mount)
        return (levels.f_blocks - levels.f_bfree) * levels.f_frsize


@contextlib.contextmanager
def quiet_host(state: Path, size: int = SIZE) -> Iterator[QuietHost]:
    """Start one of `size` bytes that has the busybox base, which the engine of the environment must have."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__, str(state), str(size)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        said = child.stdout.readline().split()
        assert len(said) == 2, "the quiet host did not come up; its standard error says why"
        yield QuietHost(docker_host=said[0], mount=Path(said[1]))
        child.stdin.close()
        assert child.wait(240) == 0


def main(state: Path, size: int) -> None:
    """Hold a sandbox open until standard input ends."""
    address = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    with contextlib.closing(DockerEngine(address)) as owner:
        bases = find_bases({BASE: None}, platform=None, host=owner)
    seeds = SeedStore(state, limit=0, reserve=0)
    with sandbox(state, budget=size, reserve=0, bases=bases, settings={}, seeds=seeds, say=lambda _: None) as box:
        box.ballast.unlink()
        print(box.docker_host, box.mount, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
