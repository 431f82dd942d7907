"""The engine that the tests use: the one `make engine` started or found."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
ENV_FILE = CLONE / ".engine" / "env"
LANE = os.environ.get("TESTS_LANE", "alone")
"""`beside` in the process of the tests with that mark, where it runs beside the one of all others."""
LANES = Path(os.environ["TESTS_LANES"]).resolve() if "TESTS_LANES" in os.environ else None
"""Where two processes run side by side: the folder in which each has its temporary files, by its lane's name."""
STATES = {"alone": ENV_FILE.parent.resolve() / "state", "beside": ENV_FILE.parent.resolve() / "state-beside"}
"""Each lane's state directory: nobody mends what the other one killed."""
SMALLEST_ENGINE = (23, 0)
SMALLEST_BUILDX = (0, 15)
BASES = {"busybox": "test/busybox:latest", "python": "python:3.11-slim"}


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A reachable Docker engine and the environment in which `docker` speaks to it."""

    docker_host: str
    """For example `unix:///run/docker.sock`; empty when a CLI context says it."""
    env: dict[str, str] = field(repr=False)
    """A whole environment, PATH, DOCKER_HOST and DOCKER_CONFIG included; not for a failed test's output."""

    def docker(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> str:
        """Run `docker`, with `env` besides its own, and return its standard output.

        Raises AssertionError with what it said when it fails.
        """
        done = subprocess.run(["docker", *arguments], env=self.env | (env or {}), input=stdin, capture_output=True)
        if done.returncode:
            raise AssertionError(
                f"docker {' '.join(arguments)} exited {done.returncode}: {done.stderr.decode(errors='replace')}"
            )
        return done.stdout.decode(errors="replace")

    def build_online(self, *arguments: str) -> None:
        """`docker buildx build` of what a network feeds, which may be away for a moment: up to three tries.

        Raises AssertionError as `docker` does, after the last one.
        """
        for seconds in (5, 20):
            try:
                self.docker("buildx", "build", *arguments)
                return
            except AssertionError as error:
                print(f"tried again in {seconds} s: {error}")
                time.sleep(seconds)
        self.docker("buildx", "build", *arguments)

    def make_base(self, kind: str) -> str:
        """Make or find the base image `kind` (a key of BASES) and return its name."""
        done = subprocess.run(
            [CLONE / "scripts" / "base-image.sh", kind], env=self.env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"scripts/base-image.sh {kind} exited {done.returncode}:\n{done.stdout}{done.stderr}")
        return BASES[kind]


@cache
def find_engine() -> Engine:
    """Read `.engine/env`, or take the environment as it is, and make sure that a fit engine answers.

    Raises RuntimeError with what to do when none does.
    """
    env = _sourced(ENV_FILE) if ENV_FILE.exists() else dict(os.environ)
    try:
        server = _version(env, "version", "--format", "{{.Server.Version}}")
        buildx = _version(env, "buildx", "version")
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise RuntimeError(f"no Docker engine is reachable; start one with: make engine ({error})") from error
    if server < SMALLEST_ENGINE or buildx < SMALLEST_BUILDX:
        raise RuntimeError(f"engine {server} with buildx {buildx} is too old; start a private one with: make engine")
    return Engine(docker_host=env.get("DOCKER_HOST", ""), env=env)


def _sourced(file: Path) -> dict[str, str]:
    """The environment after `file`, a shell script, was read."""
    done = subprocess.run(["bash", "-c", '. "$1" && env -0', "bash", file], capture_output=True, check=True, text=True)
    pairs = (entry.partition("=") for entry in done.stdout.split("\0") if entry)
    return {name: value for name, _, value in pairs if name not in ("_", "SHLVL", "PWD", "OLDPWD")}


def _version(env: dict[str, str], *arguments: str) -> tuple[int, int]:
    done = subprocess.run(["docker", *arguments], env=env, capture_output=True, check=True, text=True, timeout=30)
    found = re.search(r"(\d+)\.(\d+)", done.stdout)
    if found is None:
        raise ValueError(f"docker {' '.join(arguments)} names no version: {done.stdout!r}")
    return int(found[1]), int(found[2])
