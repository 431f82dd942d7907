"""Gathers what `doctor` judges. Whatever cannot be found out is a fact as well: nothing here ends the examination."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ci_budget.core.health.facts import (
    DaemonConfig,
    DiskFacts,
    EngineHealth,
    GpuFacts,
    GpuWish,
    HostFacts,
    Leftovers,
    LoopFacts,
    SandboxFacts,
    Tool,
)
from ci_budget.edges.engine.buildx import Buildx
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.engine.docker_host import current_docker_host
from ci_budget.edges.engine.gpu import find_gpu
from ci_budget.edges.engine.host_engine import open_host_engine
from ci_budget.edges.engine.process import daemon_config
from ci_budget.edges.host.disk_levels import distinct_disks, read_disk
from ci_budget.edges.host.schedules import find_schedules
from ci_budget.edges.processes import run
from ci_budget.edges.sandbox.privileged_container import container_problem
from ci_budget.edges.sandbox.privileges import sudo_works
from ci_budget.edges.sites.disk_mode import choose_mode
from ci_budget.edges.sites.leftovers import find_leftovers
from ci_budget.edges.sites.state import root_state, state_directory
from ci_budget.errors import UnmeasuredError

_START_ENGINE = "sudo systemctl start docker; or name another engine with DOCKER_HOST or `docker context use`"


def gather_facts(*, gpu_wishes: tuple[GpuWish, ...] = (), config_problem: str | None = None) -> HostFacts:
    """The host as it is now. Reads only, but for the state directory, which is made where it is missing."""
    try:
        address = current_docker_host()
        host, problem = open_host_engine()
    except UnmeasuredError as error:  # not even a docker command
        address, host, problem = "unix:///var/run/docker.sock", None, error.what
    try:
        engine, runtimes = _engine(address, host, problem)
        buildx = Buildx(address)
        return HostFacts(
            engine=engine,
            buildx=_tool(buildx.version),
            buildkit=_tool(buildx.buildkit_version) if host is not None else Tool(),
            daemon=daemon_config(address),
            disks=_disks(engine),
            schedules=find_schedules(),
            sandbox=_sandbox(host, problem),
            loop=_loop(),
            leftovers=_leftovers(host),
            gpu=_gpu(runtimes),
            gpu_wishes=gpu_wishes,
            config_problem=config_problem,
        )
    finally:
        if host is not None:
            host.close()


def _engine(address: str, host: DockerEngine | None, problem: str) -> tuple[EngineHealth, tuple[str, ...]]:
    local = address.startswith("unix://")
    if host is None:
        return EngineHealth(address=address, problem=problem, mend=_START_ENGINE, is_local=local), ()
    try:
        facts, log_driver, largest = host.facts(), host.log_driver(), host.largest_image()
    except UnmeasuredError as error:
        return EngineHealth(address=address, problem=error.what, mend=error.mend, is_local=local), ()
    health = EngineHealth(
        address=address,
        version=facts.version,
        storage_driver=facts.storage_driver,
        data_root=facts.data_root,
        data=_disk(Path(facts.data_root), "Docker's data") if local else None,
        is_local=local,
        log_driver=log_driver,
        largest_image=largest,
    )
    return health, facts.runtimes


def _tool(version: Callable[[], str | None]) -> Tool:
    try:
        return Tool(version=version())
    except UnmeasuredError as error:
        return Tool(problem=error.what, mend=error.mend)


def _disk(path: Path, holds: str) -> DiskFacts | None:
    try:
        return read_disk(path, holds)
    except OSError:
        return None


def _disks(engine: EngineHealth) -> tuple[DiskFacts, ...]:
    """The filesystems that a build can fill: the engine's, that of our own state, and the root."""
    found = [engine.data]
    try:
        found.append(_disk(state_directory(), "ci-budget's state"))
    except UnmeasuredError:
        found.append(None)
    found.append(_disk(Path("/"), "the system"))
    return distinct_disks([disk for disk in found if disk is not None])


def _sandbox(host: DockerEngine | None, problem: str) -> SandboxFacts:
    if os.geteuid() != 0 and sudo_works():
        return SandboxFacts(mode="sandbox", reason="this user has sudo without a password")
    try:
        if os.geteuid() != 0 and container_problem(host) is None:
            return SandboxFacts(mode="sandbox", reason="through a privileged container of the local engine")
        mode = choose_mode("auto", host, problem)
    except UnmeasuredError as error:
        return SandboxFacts(mode=None, reason="", problem=error.what, mend=error.mend)
    mend = None
    if os.geteuid() == 0 and mode.mode != "sandbox":
        mend = "install docker (engine, containerd, runc), e2fsprogs, util-linux, iproute2 and iptables"
    return SandboxFacts(mode=mode.mode, reason=mode.reason, mend=mend)


def _loop() -> LoopFacts:
    """As root a free device is asked for (which reserves nothing); else the kernel's word must do."""
    needed = os.geteuid() == 0 or sudo_works()
    if not Path("/dev/loop-control").exists():
        return LoopFacts(available=False, needed=needed, problem="there is no /dev/loop-control")
    if os.geteuid() != 0:
        return LoopFacts(available=True, needed=needed)
    if shutil.which("losetup") is None:
        return LoopFacts(available=False, needed=needed, problem="losetup is not installed")
    done = run(["losetup", "--find"], check=False, timeout=20)
    return LoopFacts(available=done.exit_code == 0, needed=needed, problem=done.complaint if done.exit_code else "")


def _leftovers(host: DockerEngine | None) -> Leftovers:
    try:
        root = state_directory()
        return Leftovers(found=tuple(one.label for one in find_leftovers(root, host)), unseen=_roots_sandboxes(root))
    except OSError as error:
        return Leftovers(unseen=f"{error.filename or 'the state directory'}: {error.strerror}")
    except UnmeasuredError as error:
        return Leftovers(unseen=error.what)


def _roots_sandboxes(own: Path) -> str | None:
    """What this user cannot tell from a leftover: sandboxes that were made by sudo, or in a privileged container."""
    roots = root_state()
    if os.geteuid() == 0 or own == roots:
        return None
    with contextlib.suppress(OSError):
        count = len(list((roots / "sandboxes").glob("????????")))
        what = f"{count} sandbox{'' if count == 1 else 'es'}"
        return f"of {what} in {roots} only root sees whether anybody owns them" if count else None
    return None


def _gpu(runtimes: tuple[str, ...]) -> GpuFacts | None:
    gpu = find_gpu(runtimes)
    return None if gpu is None else GpuFacts(described=gpu.describe(), access=gpu.access)


@dataclass(frozen=True, kw_only=True)
class DaemonFacts:
    """What a recommended daemon.json depends on; None and empty where no engine tells."""

    config: DaemonConfig
    data_root: str | None
    disk_size: int | None
    version: str
    log_driver: str


def gather_daemon() -> DaemonFacts:
    """The engine's configuration in place. Without an engine, `dockerd --version` tells which keys it takes."""
    try:
        address = current_docker_host()
        host, problem = open_host_engine()
    except UnmeasuredError as error:
        address, host, problem = "unix:///var/run/docker.sock", None, error.what
    try:
        engine, _ = _engine(address, host, problem)
    finally:
        if host is not None:
            host.close()
    version = engine.version
    if not version and shutil.which("dockerd"):
        match = re.search(r"version (\d+\.\d+\S*)", run(["dockerd", "--version"], check=False).text)
        version = match[1].rstrip(",") if match else ""
    return DaemonFacts(
        config=daemon_config(address),
        data_root=engine.data_root or None,
        disk_size=engine.data.total if engine.data is not None else None,
        version=version,
        log_driver=engine.log_driver,
    )
