"""A healthy host, to spoil one fact at a time."""

from __future__ import annotations

from ci_budget.core.health.facts import (
    DaemonConfig,
    DiskFacts,
    EngineHealth,
    HostFacts,
    Leftovers,
    LoopFacts,
    SandboxFacts,
    Schedule,
    Tool,
)

GB = 10**9
DATA = DiskFacts(
    holds="Docker's data",
    path="/var/lib/docker",
    mount_point="/var/lib/docker",
    kind="ext4",
    is_root=False,
    total=100 * GB,
    free=60 * GB,
    available=60 * GB,
    inodes=1_000_000,
    free_inodes=900_000,
)
ENGINE = EngineHealth(
    address="unix:///var/run/docker.sock",
    version="28.5.2",
    storage_driver="overlay2",
    data_root="/var/lib/docker",
    data=DATA,
    log_driver="json-file",
    largest_image=("audio-voice:3.0.0", 12 * GB),
)
DAEMON = DaemonConfig(
    path="/etc/docker/daemon.json",
    settings={
        "log-opts": {"max-size": "10m", "max-file": "3"},
        "builder": {"gc": {"enabled": True, "defaultMaxUsedSpace": "20GB"}},
    },
)
HEALTHY = HostFacts(
    engine=ENGINE,
    buildx=Tool(version="0.29.1"),
    buildkit=Tool(version="0.25.1"),
    daemon=DAEMON,
    disks=(DATA,),
    schedules=(Schedule(where="/etc/cron.d/prune", command="ci-budget prune"),),
    sandbox=SandboxFacts(mode="sandbox", reason="this user is root"),
    loop=LoopFacts(available=True, needed=True),
    leftovers=Leftovers(),
    gpu=None,
    gpu_wishes=(),
)
