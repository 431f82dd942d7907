"""What is known of a host before it is judged. Sizes are bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class DiskFacts:
    """One filesystem. `holds`: what of ours lies there, such as `Docker's data`; `path`: where that lies.

    `inodes` is 0 where the filesystem has no fixed number of them.
    """

    holds: str
    path: str
    mount_point: str
    kind: str
    is_root: bool
    total: int
    free: int
    available: int
    inodes: int
    free_inodes: int


@dataclass(frozen=True, kw_only=True)
class EngineHealth:
    """The runner's engine. `problem`: why it does not answer or is too old; the rest is then unknown.

    `data`: the filesystem of its data-root; None where this user or this machine cannot see it.
    """

    address: str
    problem: str | None = None
    mend: str | None = None
    version: str = ""
    storage_driver: str = ""
    data_root: str = ""
    data: DiskFacts | None = None
    is_local: bool = True
    log_driver: str = ""
    largest_image: tuple[str, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program's version, or the problem with it."""

    version: str | None = None
    problem: str | None = None
    mend: str | None = None


@dataclass(frozen=True, kw_only=True)
class DaemonConfig:
    """The engine's daemon.json with its command line's log options laid over it; `problem` when it is unreadable."""

    path: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class GpuWish:
    """An image of the config whose smoke test asks for the GPU."""

    image: str
    kind: Literal["auto", "required"]


@dataclass(frozen=True, kw_only=True)
class GpuFacts:
    """The GPUs as a sentence, and how containers reach them: "cdi", "nvidia" or None."""

    described: str
    access: str | None


@dataclass(frozen=True, kw_only=True)
class SandboxFacts:
    """The disk mode that `auto` takes and why; `problem` where it can take none, or a sandbox lacks programs."""

    mode: str | None
    reason: str
    problem: str | None = None
    mend: str | None = None


@dataclass(frozen=True, kw_only=True)
class LoopFacts:
    """Whether a loop device can be had; `needed` is False where no sandbox of this user would use one."""

    available: bool
    needed: bool
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Leftovers:
    """What killed runs left behind; `unseen` says what this user may not look at."""

    found: tuple[str, ...] = ()
    unseen: str | None = None


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """One timer or cron line that prunes: where it stands, what it runs, whether it is switched on."""

    where: str
    command: str
    enabled: bool = True


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """Everything that the checks look at. `config_problem`: a config that is there but wrong."""

    engine: EngineHealth
    buildx: Tool
    buildkit: Tool
    daemon: DaemonConfig
    disks: tuple[DiskFacts, ...]
    schedules: tuple[Schedule, ...]
    sandbox: SandboxFacts
    loop: LoopFacts
    leftovers: Leftovers
    gpu: GpuFacts | None
    gpu_wishes: tuple[GpuWish, ...]
    config_problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """From where a level is a warning, and from where it is critical. Percentages are of what users can use."""

    disk_warn: Decimal = Decimal(80)
    disk_critical: Decimal = Decimal(90)
    inodes_warn: Decimal = Decimal(80)
    inodes_critical: Decimal = Decimal(90)
    partition: int = 60 * 10**9
    free_factor: Decimal = Decimal(2)
