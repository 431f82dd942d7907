"""Each check of `doctor`: a fact in, a finding out."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from ci_budget.core.health.daemon import check_cache, check_logs
from ci_budget.core.health.diagnosis import diagnose
from ci_budget.core.health.disk import check_inodes, check_largest_image, check_level, check_partition
from ci_budget.core.health.engine import (
    check_buildkit,
    check_buildx,
    check_engine,
    check_gpu,
    check_loop,
    check_sandbox,
)
from ci_budget.core.health.facts import (
    DaemonConfig,
    GpuFacts,
    GpuWish,
    Leftovers,
    LoopFacts,
    SandboxFacts,
    Schedule,
    Thresholds,
    Tool,
)
from ci_budget.core.health.finding import Finding, Status, exit_code
from ci_budget.core.health.upkeep import check_leftovers, check_schedule
from tests.unit.health_samples import DAEMON, DATA, ENGINE, GB, HEALTHY

DEFAULTS = Thresholds()
UNBOUNDED = "container logs (json-file) grow without limit: log-opts.max-size is not set"
UNLIMITED = "the build cache has no limit of its own: by default it may take most of the disk"
APPLY = "ci-budget doctor --daemon-json > daemon.json; install it as /d.json and restart the engine"
FAR = replace(ENGINE, address="tcp://build.example:2376", is_local=False, data=None)
NONE = replace(ENGINE, problem="no Docker engine answers", data=None, largest_image=None)


def test_a_healthy_host_is_ok_in_every_check() -> None:
    findings = diagnose(HEALTHY, DEFAULTS)
    assert [one.check for one in findings if one.status not in (Status.OK, Status.SKIPPED)] == []
    assert [one.check for one in findings if one.status is Status.SKIPPED] == ["gpu"]
    assert exit_code(findings) == 0
    assert len({one.check for one in findings}) == len(findings)


def test_every_failing_finding_says_how_to_mend_it() -> None:
    with pytest.raises(ValueError, match="the finding of 'x' does not say how to mend it"):
        Finding(check="x", status=Status.WARN, message="bad")


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], 0),
        ([Status.SKIPPED], 0),
        ([Status.OK, Status.SKIPPED], 0),
        ([Status.OK, Status.WARN], 1),
        ([Status.CRITICAL, Status.WARN], 2),
    ],
)
def test_exit_code(statuses: list[Status], code: int) -> None:
    assert exit_code([Finding(check="x", status=one, message="m", mend="do") for one in statuses]) == code


@pytest.mark.parametrize(
    ("engine", "status", "message"),
    [
        (ENGINE, Status.OK, "/var/lib/docker has a partition of its own, 100 GB ext4"),
        (
            replace(ENGINE, data=replace(DATA, is_root=True, mount_point="/")),
            Status.WARN,
            "/var/lib/docker lies on the root filesystem (100 GB ext4): Docker can fill the system's own disk",
        ),
        (
            replace(ENGINE, data=replace(DATA, mount_point="/var")),
            Status.WARN,
            "/var/lib/docker shares the filesystem /var (100 GB ext4) with other data",
        ),
        (
            replace(ENGINE, data=replace(DATA, total=60 * GB - 1)),
            Status.WARN,
            "/var/lib/docker has a partition of its own, of 60.0 GB ext4; 60.0 GB or more is advised",
        ),
        (
            replace(ENGINE, data=replace(DATA, total=60 * GB)),
            Status.OK,
            "/var/lib/docker has a partition of its own, 60.0 GB ext4",
        ),
        (
            replace(ENGINE, data=None),
            Status.WARN,
            "the engine keeps its data in /var/lib/docker, which this user cannot see",
        ),
        (FAR, Status.SKIPPED, "not looked at: the engine at tcp://build.example:2376 is on another machine"),
        (NONE, Status.SKIPPED, "not looked at: no Docker engine answers"),
    ],
)
def test_partition(engine, status: Status, message: str) -> None:  # type: ignore[no-untyped-def]
    found = check_partition(engine, DEFAULTS)
    assert (found.status, found.message) == (status, message)


@pytest.mark.parametrize(
    ("free", "available", "status", "message"),
    [
        (21, 21, Status.OK, "/var/lib/docker (Docker's data) is 79.0 % full: 21.0 GB of 100 GB available"),
        (20, 20, Status.WARN, "/var/lib/docker (Docker's data) is 80.0 % full: 20.0 GB of 100 GB available"),
        (10, 10, Status.CRITICAL, "/var/lib/docker (Docker's data) is 90.0 % full: 10.0 GB of 100 GB available"),
        # What is reserved for root is not there for users: 30 free, 10 of them to be had.
        (30, 10, Status.WARN, "/var/lib/docker (Docker's data) is 87.5 % full: 10.0 GB of 80.0 GB available"),
        (0, 0, Status.CRITICAL, "/var/lib/docker (Docker's data) is 100.0 % full: 0 B of 100 GB available"),
    ],
)
def test_level(free: int, available: int, status: Status, message: str) -> None:
    found = check_level(replace(DATA, free=free * GB, available=available * GB), DEFAULTS)
    assert (found.check, found.status, found.message) == ("disk:/var/lib/docker", status, message)
    assert (found.mend is None) == (status is Status.OK)


def test_an_empty_filesystem_of_no_size_is_critical() -> None:
    assert check_level(replace(DATA, total=0, free=0, available=0), DEFAULTS).status is Status.CRITICAL


@pytest.mark.parametrize(
    ("inodes", "free", "status", "message"),
    [
        (1000, 201, Status.OK, "/var/lib/docker (Docker's data) uses 79.9 % of its inodes: 201 left"),
        (1000, 200, Status.WARN, "/var/lib/docker (Docker's data) uses 80.0 % of its inodes: 200 left"),
        (1000, 100, Status.CRITICAL, "/var/lib/docker (Docker's data) uses 90.0 % of its inodes: 100 left"),
        (0, 0, Status.OK, "/var/lib/docker (ext4) has no fixed number of inodes"),
    ],
)
def test_inodes(inodes: int, free: int, status: Status, message: str) -> None:
    found = check_inodes(replace(DATA, inodes=inodes, free_inodes=free), DEFAULTS)
    assert (found.check, found.status, found.message) == ("inodes:/var/lib/docker", status, message)


@pytest.mark.parametrize(
    ("available", "status"),
    [(24 * GB, Status.OK), (24 * GB - 1, Status.WARN), (12 * GB, Status.WARN), (12 * GB - 1, Status.CRITICAL)],
)
def test_room_for_twice_the_largest_image(available: int, status: Status) -> None:
    found = check_largest_image(replace(ENGINE, data=replace(DATA, available=available)), DEFAULTS)
    assert found.status is status
    assert found.message.endswith("available; 2x the largest image (audio-voice:3.0.0, 12.0 GB) is 24.0 GB")


def test_the_factor_is_the_configs() -> None:
    found = check_largest_image(ENGINE, replace(DEFAULTS, free_factor=Decimal("5.5")))
    assert found.message == "60.0 GB available; 5.5x the largest image (audio-voice:3.0.0, 12.0 GB) is 66.0 GB"
    assert found.status is Status.WARN


def test_an_engine_without_images_has_no_largest() -> None:
    assert check_largest_image(replace(ENGINE, largest_image=None), DEFAULTS).status is Status.SKIPPED
    assert check_largest_image(NONE, DEFAULTS).status is Status.SKIPPED
    assert check_largest_image(replace(ENGINE, data=None), DEFAULTS).status is Status.WARN


@pytest.mark.parametrize(
    ("driver", "settings", "status", "message"),
    [
        (
            "json-file",
            {"log-opts": {"max-size": "10m", "max-file": "3"}},
            Status.OK,
            "container logs are limited to 3 x 10m each",
        ),
        ("json-file", {"log-opts": {"max-size": "10m"}}, Status.OK, "container logs are limited to 1 x 10m each"),
        ("json-file", {"log-opts": {"max-file": "3"}}, Status.WARN, UNBOUNDED),
        ("json-file", {"log-opts": {"max-size": "-1"}}, Status.WARN, UNBOUNDED),
        ("json-file", {"log-opts": "nonsense"}, Status.WARN, UNBOUNDED),
        ("", {}, Status.WARN, UNBOUNDED),
        ("local", {}, Status.OK, "the log driver local keeps no endless files"),
        ("", {"log-driver": "journald"}, Status.OK, "the log driver journald keeps no endless files"),
    ],
)
def test_log_limits(driver: str, settings: dict[str, object], status: Status, message: str) -> None:
    found = check_logs(replace(ENGINE, log_driver=driver), DaemonConfig(path="/d.json", settings=settings))
    assert (found.status, found.message) == (status, message)
    if status is Status.WARN:
        assert found.mend == APPLY


@pytest.mark.parametrize(
    ("collection", "status", "message"),
    [
        (None, Status.WARN, UNLIMITED),
        ({"enabled": True}, Status.WARN, UNLIMITED),
        (
            {"enabled": False, "defaultMaxUsedSpace": "1GB"},
            Status.WARN,
            "the build cache is never collected: builder.gc.enabled is false",
        ),
        ({"defaultKeepStorage": "20GB"}, Status.OK, "the build cache is limited: defaultKeepStorage 20GB"),
        (
            {"policy": [{"keepStorage": "1GB"}, {"all": True, "maxUsedSpace": "2GB"}]},
            Status.OK,
            "the build cache is limited: 2 policy rules",
        ),
        ({"policy": [{"all": True}, "x"]}, Status.WARN, UNLIMITED),
        ({"policy": "x"}, Status.WARN, UNLIMITED),
    ],
)
def test_cache_limits(collection: object, status: Status, message: str) -> None:
    settings = {} if collection is None else {"builder": {"gc": collection}}
    found = check_cache(ENGINE, DaemonConfig(path="/d.json", settings=settings))
    assert (found.status, found.message) == (status, message)


def test_an_unreadable_daemon_json_is_no_healthy_one() -> None:
    broken = DaemonConfig(path="/d.json", problem="the engine's configuration cannot be read: denied")
    for check in (check_logs, check_cache):
        found = check(ENGINE, broken)
        assert found.status is Status.WARN
        assert found.message == "/d.json: the engine's configuration cannot be read: denied"
        assert check(FAR, DAEMON).status is Status.SKIPPED


def test_engine_buildx_and_buildkit() -> None:
    assert check_engine(ENGINE).status is Status.OK
    assert check_engine(NONE).status is Status.CRITICAL
    assert check_engine(NONE).mend == "sudo systemctl start docker"
    assert check_buildx(Tool(version="0.29.1")).status is Status.OK
    old = check_buildx(Tool(problem="buildx is 0.12.0; ci-budget needs 0.15 or newer", mend="Upgrade docker-buildx."))
    assert (old.status, old.mend) == (Status.CRITICAL, "Upgrade docker-buildx.")
    assert check_buildkit(Tool(version="0.25"), ENGINE).status is Status.OK
    assert check_buildkit(Tool(), ENGINE).status is Status.CRITICAL
    assert check_buildkit(Tool(), NONE).status is Status.SKIPPED


@pytest.mark.parametrize(
    ("sandbox", "status", "message"),
    [
        (SandboxFacts(mode="sandbox", reason="this user is root"), Status.OK, "auto takes sandbox: this user is root"),
        (
            SandboxFacts(mode="host", reason="no sandbox: this user is not root"),
            Status.WARN,
            "auto takes host: no sandbox: this user is not root; the disk budget is watched there, not enforced",
        ),
        (
            SandboxFacts(mode=None, reason="", problem="a sandbox needs mkfs.ext4"),
            Status.CRITICAL,
            "a sandbox needs mkfs.ext4",
        ),
    ],
)
def test_sandbox(sandbox: SandboxFacts, status: Status, message: str) -> None:
    found = check_sandbox(sandbox)
    assert (found.status, found.message) == (status, message)


def test_loop_devices() -> None:
    assert check_loop(LoopFacts(available=True, needed=True)).status is Status.OK
    missing = check_loop(LoopFacts(available=False, needed=True, problem="there is no /dev/loop-control"))
    assert missing.status is Status.CRITICAL
    assert missing.message == "no loop device can be had: there is no /dev/loop-control"
    assert missing.mend == "sudo modprobe loop, and add `loop` to /etc/modules-load.d/ci-budget.conf"
    assert check_loop(LoopFacts(available=False, needed=False, problem="x")).status is Status.SKIPPED


CDI = GpuFacts(described="NVIDIA H100, driver 580.1, through CDI", access="cdi")
CUT_OFF = GpuFacts(described="NVIDIA H100, driver 580.1, not reachable from containers", access=None)
MUST, MAY = GpuWish(image="voice", kind="required"), GpuWish(image="api", kind="auto")


@pytest.mark.parametrize(
    ("gpu", "wishes", "status", "message"),
    [
        (None, (), Status.SKIPPED, "no image of the config asks for one (no GPU, or no driver for one)"),
        (CDI, (MAY, MUST), Status.OK, "NVIDIA H100, driver 580.1, through CDI; asked for by voice"),
        (None, (MAY,), Status.OK, "no GPU, or no driver for one; the smoke tests of api take the CPU"),
        (None, (MAY, MUST), Status.CRITICAL, "voice requires a GPU: no GPU, or no driver for one"),
        (
            CUT_OFF,
            (MUST,),
            Status.CRITICAL,
            "voice requires a GPU: NVIDIA H100, driver 580.1, not reachable from containers",
        ),
        (CUT_OFF, (MAY,), Status.WARN, "NVIDIA H100, driver 580.1, not reachable from containers"),
    ],
)
def test_gpu(gpu: GpuFacts | None, wishes: tuple[GpuWish, ...], status: Status, message: str) -> None:
    found = check_gpu(gpu, wishes)
    assert (found.status, found.message) == (status, message)


def test_schedule() -> None:
    off = Schedule(where="/etc/systemd/system/ci-budget-prune.timer", command="ci-budget prune", enabled=False)
    on = Schedule(where="/etc/cron.d/prune", command="docker system prune -f")
    assert check_schedule(()).status is Status.WARN
    assert check_schedule((off,)).mend == "sudo systemctl enable --now ci-budget-prune.timer"
    assert check_schedule((off, on)).message == "/etc/cron.d/prune runs `docker system prune -f`"
    assert check_schedule((on, on)).message.endswith(", and 1 more")


def test_leftovers() -> None:
    assert check_leftovers(Leftovers()).status is Status.OK
    one = check_leftovers(Leftovers(found=("sandbox 1a2b3c4d",)))
    assert (one.status, one.mend) == (Status.WARN, "ci-budget prune")
    assert one.message == "killed runs left 1 thing behind: sandbox 1a2b3c4d"
    assert check_leftovers(Leftovers(found=("a", "b", "c", "d"))).message.endswith("left 4 things behind: a, b, c, ...")
    assert check_leftovers(Leftovers(unseen="denied")).status is Status.SKIPPED


def test_a_wrong_config_is_critical() -> None:
    findings = diagnose(replace(HEALTHY, config_problem="ci-budget.yml:3: unknown key"), DEFAULTS)
    assert findings[-1] == Finding(
        check="config", status=Status.CRITICAL, message="ci-budget.yml:3: unknown key", mend="ci-budget validate"
    )
