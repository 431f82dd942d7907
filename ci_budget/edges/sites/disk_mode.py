"""Where a build runs: a sandbox of our own, the host's engine, or an engine far away; and why."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from ci_budget.edges.engine.docker_engine import START_ENGINE, DockerEngine
from ci_budget.edges.sandbox.private_sandbox import check_programs
from ci_budget.edges.sandbox.privileges import way_to_root
from ci_budget.errors import UnmeasuredError


@dataclass(frozen=True, kw_only=True)
class DiskMode:
    """The mode taken, and one sentence that says why."""

    mode: Literal["sandbox", "host", "remote"]
    reason: str


def choose_mode(wanted: str, host: DockerEngine | None, host_problem: str) -> DiskMode:
    """The mode for `wanted` (auto, sandbox, host). Raises UnmeasuredError when it cannot be had.

    `host`: the runner's own engine, or None with the problem that it has.
    """
    local = host is not None and host.docker_host.startswith("unix://")
    if wanted == "host":
        if host is None:
            raise UnmeasuredError(f"disk mode host needs the runner's engine: {host_problem}", mend=START_ENGINE)
        return DiskMode(mode="host", reason="asked for") if local else _remote(host, "asked for")
    if os.geteuid() == 0:
        try:
            check_programs()
        except UnmeasuredError as error:
            if wanted == "sandbox" or host is None:
                raise
            return _fallback(host, local, error.what)
        return DiskMode(mode="sandbox", reason=way_to_root())
    if wanted == "sandbox" or host is None:
        raise UnmeasuredError(
            "a sandbox needs root here",
            mend="Allow this user `sudo` without a password, or give it the socket of a Docker engine that allows "
            "privileged containers; in `--disk-mode host` the budget is watched, not enforced.",
        )
    return _fallback(host, local, "this user is not root")


def _fallback(host: DockerEngine, local: bool, why: str) -> DiskMode:
    reason = f"no sandbox: {why}"
    return DiskMode(mode="host", reason=reason) if local else _remote(host, reason)


def _remote(host: DockerEngine, reason: str) -> DiskMode:
    return DiskMode(mode="remote", reason=f"{reason}; the engine at {host.docker_host} is on another machine")


def own_platform() -> str:
    """This machine's platform in Docker's words, such as `linux/amd64`."""
    machine = os.uname().machine
    return f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"
