"""The sandbox on a real engine: its exact size, its bases by seed, and that nothing of it escapes."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ci_budget.edges.host.filesystem import read_usage
from ci_budget.edges.sandbox import loop_filesystem as loops
from ci_budget.edges.sandbox.private_sandbox import Sandbox, sandbox
from ci_budget.edges.sandbox.seeds import SeedStore
from ci_budget.edges.sites.state import state_directory
from tests.engine.background import GATEWAY, WebServer, running_check
from tests.engine.lanes import owned_ids
from tests.engine.leftovers import LeftoverWatch
from tests.engine.projects import MB, MIB, Project
from tests.engine.registry import registry
from tests.engine_access import Engine

CONTAINERD = Path("/run/containerd/containerd.sock")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of the test's own, so that no other run's seeds are in it; what the tool makes of it."""
    monkeypatch.setenv("CI_BUDGET_STATE", str(tmp_path / "state"))
    return state_directory()


@pytest.fixture
def project(tmp_path: Path, busybox_base: str) -> Project:
    """An empty project whose base image is there."""
    return Project(folder=tmp_path / "project", budget="300MB")


@pytest.fixture
def base(engine: Engine, busybox_base: str) -> Iterator[Callable[[], str]]:
    """Makes, and makes anew, an image under a name of the test's own; each time it is another image."""
    name = f"test/base-{secrets.token_hex(4)}"

    def make() -> str:
        text = f"FROM {busybox_base}\nLABEL made={secrets.token_hex(8)}\n"
        engine.docker("build", "--quiet", "--tag", name, "-", stdin=text.encode())
        return name

    yield make
    engine.docker("image", "rm", "--force", name)


def seed_files(state: Path) -> dict[str, int]:
    """The kept filesystems and when each was last used, in nanoseconds."""
    return {file.stem: file.stat().st_mtime_ns for file in (state / "seeds").glob("*.json")}


def test_bases_come_from_the_seed_until_one_changes(
    project: Project, base: Callable[[], str], state: Path, leftovers: LeftoverWatch
) -> None:
    name = base()
    project.write(f"FROM {name}\nRUN true\n")
    first = project.check()
    assert first.exit_code == 0, first.stdout + first.stderr
    assert f"bringing in docker.io/{name}:latest" in first.stderr
    (seed,) = kept = seed_files(state)

    second = project.check()

    assert second.exit_code == 0, second.stdout + second.stderr
    assert "bringing in" not in second.stderr
    assert list(seed_files(state)) == [seed]
    assert seed_files(state)[seed] > kept[seed]
    assert abs(second.metric("peak_disk")["value"] - first.metric("peak_disk")["value"]) < MB

    before = second.image["bases"][0]["image_id"]
    base()  # the same name, another image
    third = project.check()

    assert third.exit_code == 0, third.stdout + third.stderr
    assert "bringing in" in third.stderr
    assert third.image["bases"][0]["image_id"] != before
    assert len(seed_files(state)) == 2


@pytest.mark.parametrize("damage", ["facts", "filesystem", "engine"])
def test_a_damaged_seed_is_removed_and_the_run_goes_on(
    project: Project, state: Path, leftovers: LeftoverWatch, damage: str
) -> None:
    project.write("FROM test/busybox\nRUN true\n")
    assert project.check().exit_code == 0
    (disk,) = (state / "seeds").glob("*.ext4")
    written = disk.stat()
    if damage == "facts":
        os.truncate(disk.with_suffix(".json"), 30)
    elif damage == "filesystem":  # it mounts, and would write over an image's file
        block = _debugfs(disk, f"blocks {_IMAGES}").split()[0]
        _debugfs(disk, f"freeb {block}")
        assert subprocess.run(["e2fsck", "-n", "-f", disk], capture_output=True).returncode == 4
    else:  # a sound filesystem in which the engine does not find its image
        _debugfs(disk, f"rm {_IMAGES}")
        subprocess.run(["e2fsck", "-n", "-f", disk], check=True, capture_output=True)
    os.utime(disk, ns=(written.st_atime_ns, written.st_mtime_ns))  # as a failing disk would, with nobody writing

    damaged = project.check()
    after = project.check()

    assert damaged.exit_code == 0, damaged.stdout + damaged.stderr
    assert "a damaged seed was removed" in " ".join(damaged.image["notes"])
    assert "bringing in" in damaged.stderr
    assert after.exit_code == 0, after.stdout + after.stderr
    assert "bringing in" not in after.stderr
    assert "damaged" not in " ".join(after.image["notes"])


_IMAGES = "docker/image/overlay2/repositories.json"


def _debugfs(disk: Path, request: str) -> str:
    return subprocess.run(["debugfs", "-w", "-R", request, disk], check=True, capture_output=True, text=True).stdout


def test_no_seed_is_kept_where_none_may_be(project: Project, state: Path, leftovers: LeftoverWatch) -> None:
    project.write("FROM test/busybox\nRUN true\n", disk={"seeds_limit": 0})
    for _ in range(2):
        done = project.check()
        assert done.exit_code == 0, done.stdout + done.stderr
        assert "bringing in" in done.stderr
        assert done.image["notes"][0] == ("no seed was kept: the bases take more than the 0 bytes that seeds may take")
    assert seed_files(state) == {}


def test_a_pinned_base_works_without_its_registry(
    project: Project, engine: Engine, busybox_base: str, state: Path, tmp_path: Path, leftovers: LeftoverWatch
) -> None:
    with registry(tmp_path) as images:
        manifest = images.publish(engine, busybox_base, "test/pinned:1")
        name = f"{images.address}/test/pinned"
        engine.docker("pull", "--quiet", f"{name}:1")
    pinned = f"{name}@{manifest.digest}"
    try:
        project.write(
            f"FROM {pinned} AS one\nRUN echo here > /here\n"
            f"FROM {name}:other-tag@{manifest.digest}\n"
            f"COPY --from={pinned} /bin/busybox /copy\nCOPY --from=one /here /here\n"
        )
        first, second = project.check(), project.check()
    finally:
        engine.docker("image", "rm", "--force", f"{name}:1", pinned)

    for done in (first, second):
        assert done.exit_code == 0, done.stdout + done.stderr
        assert {found["image_id"] for found in done.image["bases"]} == {manifest.config_digest}
        assert (done.metric("layers")["inherited"], done.metric("layers")["own"]) == (1, 2)
    assert "bringing in" in first.stderr
    assert "bringing in" not in second.stderr


def test_a_base_that_only_a_registry_has_is_pulled_once(
    project: Project, engine: Engine, busybox_base: str, state: Path, tmp_path: Path, leftovers: LeftoverWatch
) -> None:
    with registry(tmp_path) as images:
        manifest = images.publish(engine, busybox_base, "test/far:1")
        project.write(f"FROM {images.address}/test/far:1\nRUN true\n")
        first = project.check()
        pinned = f"{images.address}/test/far@{manifest.digest}"
        project.write(f"FROM {pinned}\nRUN true\n")
        third = project.check()
    project.write(f"FROM {images.address}/test/far:1\nRUN true\n")
    second = project.check()

    for done in (first, second, third):
        assert done.exit_code == 0, done.stdout + done.stderr
        assert [found["image_id"] for found in done.image["bases"]] == [manifest.config_digest]
    assert "bringing in" not in second.stderr
    assert engine.docker("image", "ls", "--quiet", images.address + "/test/far") == ""


@contextmanager
def empty_sandbox(state: Path, budget: int) -> Iterator[Sandbox]:
    """A sandbox without bases."""
    with sandbox(
        state,
        budget=budget,
        reserve=10**9,
        bases=[],
        settings={},
        seeds=SeedStore(state, limit=0, reserve=10**9),
        say=lambda _: None,
    ) as box:
        yield box


@pytest.mark.parametrize("budget", [300 * MB, 200 * MIB + 1])
def test_an_empty_engine_leaves_exactly_the_budget(state: Path, leftovers: LeftoverWatch, budget: int) -> None:
    with empty_sandbox(state, budget) as box:
        blocks = budget // 4096 * 4096
        before = read_usage(box.mount)
        assert box.ceiling == blocks
        assert abs(before.free - blocks) <= 4096 * 16, "the engine's own databases, and nothing else"
        assert before.free == blocks - (before.used - box.zero)
        assert before.available == before.free, "nothing is held back from those who are not root"
        (disk,) = (state / "sandboxes").glob("*/disk.ext4")
        assert disk.stat().st_size == loops.file_size_for(budget)
        assert disk.stat().st_blocks * 512 >= disk.stat().st_size

        with pytest.raises(OSError, match="No space left"):
            fill(box.mount / "full")

        full = read_usage(box.mount)
        assert full.free == 0
        assert full.used - box.zero == blocks, "to the last block, and not one more"
        (box.mount / "full").unlink()
        subprocess.run(["sync", "--file-system", box.mount], check=True)
        assert disk.stat().st_blocks * 512 >= disk.stat().st_size, "what the build freed is still reserved"


def test_a_state_directory_behind_a_link_is_cleaned_up_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leftovers: LeftoverWatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setenv("CI_BUDGET_STATE", str(tmp_path / "link" / "ci-budget"))

    with empty_sandbox(state_directory(), 200 * MB) as box:
        assert read_usage(box.mount).free > 199 * MB

    leftovers.assert_none()
    assert list((tmp_path / "real" / "ci-budget" / "sandboxes").glob("[!.]*")) == []


def fill(file: Path) -> None:
    """Write until there is no room left; raises OSError then."""
    with file.open("wb", buffering=0) as handle:
        for size in (MIB, 4096):
            try:
                while True:
                    handle.write(b"x" * size)
            except OSError:
                if size == 4096:
                    raise


def test_a_disk_without_room_stops_the_run_before_it_begins(project: Project, leftovers: LeftoverWatch) -> None:
    """Every number is named. Counted is what a user may have (`f_bavail`): on some disks far less than what is free."""
    usage = read_usage(state_directory())
    reserve = usage.available + 10**10
    project.write("FROM test/busybox\nRUN true\n", disk={"reserve": reserve}, budgets={"image_size": "5TB"})

    done = project.check()

    assert done.exit_code == 3, done.stdout + done.stderr
    said = done.image["failure"]["message"]
    assert re.fullmatch(
        rf"no room to build: {state_directory()} \(ext4 on /\S*(, .*)?\) has [\d.]+ GB and [\d,]+ inodes available; "
        rf"this build needs [\d.]+ GB \({loops.file_size_for(300 * MB) / MB:.0f} MB for the sandbox "
        rf"\(disk.budget 300 MB\) and {reserve / 10**9:.1f} GB that must stay free \(disk.reserve\).*\); "
        r"10.0 TB free before it starts "
        r"\(disk.free_factor 2 x 5.00 TB, the image's size by budgets.image_size\); 1,000 inodes; engine \d+\S*, "
        r"buildx 0\.\d+\S*, the engine's data in /\S* \(\w+ on /\S*, (no|a) partition of its own, [\d.]+ GB "
        r"available\)",
        said,
    ), said
    mend = done.image["failure"]["mend"]
    assert re.match(
        r"`ci-budget prune` would free about [\d.]+ \w?B there, `ci-budget prune --engine` would free", mend
    )
    assert "bringing in" not in done.stderr
    assert done.metric("peak_disk")["value"] is None

    project.write("FROM test/busybox\nRUN true\n", budgets={"image_size": "5TB"})
    done = project.check()
    assert done.exit_code == 3, done.stdout + done.stderr
    assert "building stage" not in done.stderr
    assert "10.0 TB free before it starts" in done.image["failure"]["message"]


@pytest.mark.parametrize("kind", ["running", "stale"])
def test_nothing_goes_to_the_systems_containerd(
    project: Project, engine: Engine, tmp_path: Path, leftovers: LeftoverWatch, kind: str
) -> None:
    """A dockerd that finds a socket there would take it, whoever listens, and write outside of its own storage."""
    project.write("FROM test/busybox\nRUN dd if=/dev/zero of=/x bs=1M count=40\n", smoke={"command": ["/bin/true"]})
    with system_containerd(engine, tmp_path, running=kind == "running") as store:
        before = clients(engine, kind), listing(store)

        done = project.check()

        assert done.exit_code == 0, done.stdout + done.stderr
        assert (clients(engine, kind), listing(store)) == before
    expected = done.image["bases"][0]["size"] + 40 * MIB
    assert abs(done.metric("peak_disk")["value"] - expected) < 0.02 * expected


@contextmanager
def system_containerd(engine: Engine, folder: Path, *, running: bool) -> Iterator[Path]:
    """A containerd at the system's own address, or the socket of one that died; yields its storage."""
    if CONTAINERD.exists():  # the machine has one, which serves both cases
        yield Path("/var/lib/containerd")
        return
    made = not CONTAINERD.parent.exists()
    CONTAINERD.parent.mkdir(exist_ok=True)
    store = folder / "containerd"
    config = folder / "containerd.toml"
    config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    try:
        with subprocess.Popen(
            ["containerd", "--config", config, "--root", store, "--state", folder / "containerd-state",
             "--address", CONTAINERD, "--log-level", "error"],
            env=engine.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        ) as daemon:  # fmt: skip
            assert daemon.stderr is not None
            try:
                while not CONTAINERD.exists():
                    assert daemon.poll() is None, daemon.stderr.read()
                if not running:
                    daemon.kill()
                    daemon.wait()
                    assert CONTAINERD.exists(), "a killed containerd leaves its socket"
                yield store
            finally:
                daemon.terminate()
                daemon.communicate()
    finally:
        for socket in CONTAINERD.parent.glob("containerd.sock*"):
            socket.unlink()
        if made:
            shutil.rmtree(CONTAINERD.parent)


def clients(engine: Engine, kind: str) -> str:
    """The namespaces of the containerd at the system's address: each client makes itself one."""
    if kind == "stale":
        return ""
    words = ["ctr", "--address", str(CONTAINERD), "namespaces", "list"]
    return subprocess.run(words, env=engine.env, capture_output=True, text=True, check=True).stdout


def listing(folder: Path) -> list[tuple[str, int]]:
    """Every file below a folder with its size; databases that are merely opened may grow, so they count by name."""
    return sorted(
        (str(path.relative_to(folder)), -1 if path.suffix == ".db" else path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file()
    )


def test_the_host_daemons_settings_reach_the_sandbox(
    project: Project, engine: Engine, busybox_base: str, tmp_path: Path, leftovers: LeftoverWatch
) -> None:
    name = f"test/mirrored-{secrets.token_hex(4)}:1"
    with registry(tmp_path) as images, WebServer() as web:
        manifest = images.publish(engine, busybox_base, name)
        settings = {
            "registry-mirrors": [f"http://{images.address}"],
            "insecure-registries": ["192.0.2.0/24", "registry.example.test:5000"],
            "dns": ["192.0.2.53"],
            "dns-search": ["builds.example.test"],
            "proxies": {"http-proxy": "http://192.0.2.9:3128", "no-proxy": "127.0.0.0/8"},
            "runtimes": {"own-runc": {"path": str(shutil.which("runc", path=engine.env["PATH"]))}},
            "features": {"cdi": True},
            "cdi-spec-dirs": [str(tmp_path / "cdi")],
            "data-root": "/nowhere",
            "live-restore": True,
        }
        project.write(f"FROM {name}\nRUN cat /etc/resolv.conf && wget -q -O- http://{GATEWAY}:{web.port}/hold\n")
        with daemon_json(tmp_path, settings) as prefix, running_check(project, prefix=prefix) as check:
            web.wait_for("/hold", check)
            (ident,) = owned_ids(Path("/proc", str(check.process.pid)))
            said = engine.docker(
                "--host", f"unix:///run/ci-budget/{ident}/docker.sock", "info", "--format",
                "{{json .RegistryConfig.Mirrors}} {{json .RegistryConfig.InsecureRegistryCIDRs}} {{.HTTPProxy}} "
                "{{.NoProxy}} {{range $name, $_ := .Runtimes}}{{$name}},{{end}} {{json .CDISpecDirs}} "
                "{{.LiveRestoreEnabled}} {{.DockerRootDir}}",
            ).split()  # fmt: skip
            web.release()
            done = check.finish()

    assert done.exit_code == 0, done.stdout + done.stderr
    assert [found["image_id"] for found in done.image["bases"]] == [manifest.config_digest], "pulled through the mirror"
    assert said[0] == f'["http://{images.address}/"]'
    assert "192.0.2.0/24" in said[1]
    assert said[2:4] == ["http://192.0.2.9:3128", "127.0.0.0/8"]
    assert "own-runc" in said[4].split(",")
    assert said[5] == f'["{tmp_path}/cdi"]'
    assert said[6] == "false"
    assert said[7].endswith("/mnt/docker")
    log = "".join(file.read_text() for file in done.folder.rglob("*.log"))
    assert "nameserver 192.0.2.53" in log
    assert "search builds.example.test" in log


@contextmanager
def daemon_json(folder: Path, settings: dict[str, object]) -> Iterator[tuple[str, ...]]:
    """A command prefix under which /etc/docker/daemon.json says this, for that command alone."""
    own = folder / "etc-docker"
    own.mkdir()
    (own / "daemon.json").write_text(json.dumps(settings))
    there = Path("/etc/docker")
    made = not there.exists()
    there.mkdir(exist_ok=True)
    try:
        yield (
            "unshare", "--mount", "--propagation", "private", "sh", "-c",
            f'mount --bind "{own}" /etc/docker && exec "$@"', "sh",
        )  # fmt: skip
    finally:
        if made:
            there.rmdir()


def test_what_is_thrown_away_is_not_written_first(tmp_path: Path, leftovers: LeftoverWatch) -> None:
    disk, other, mount = tmp_path / "disk", tmp_path / "other", tmp_path / "ci-budget-mount"
    other.touch()
    loops.reserve_file(disk, loops.file_size_for(10 * MB))
    loops.make_filesystem(disk, 10 * MB)
    with loops.mounted(disk, mount, kept=True):
        loops.drop_unwritten(other, mount)  # another's: left alone
        (mount / "kept").write_bytes(b"x" * MB)
    with loops.mounted(disk, mount, kept=False):
        (mount / "dropped").write_bytes(b"x" * MB)
    with loops.mounted(disk, mount, kept=True):
        assert [(mount / name).stat().st_blocks * 512 for name in ("kept", "dropped")] == [1_003_520, 0]
