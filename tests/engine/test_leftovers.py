"""The watch for leftovers sees each kind of thing that the tool makes: otherwise its silence would prove nothing."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_budget.edges.sites.state import locked, network_folder
from tests.engine import lanes
from tests.engine.lanes import disown
from tests.engine.leftovers import LeftoverWatch, living_ids
from tests.engine_access import Engine

DEAD = secrets.token_hex(4)
"""An id that nobody owns."""


@pytest.fixture(autouse=True)
def of_nobody_else() -> Iterator[None]:
    """Else a check beside these tests takes away what they leave, or a test beside them finds it."""
    disown(DEAD)
    owner = network_folder() / f"{DEAD}.owner"
    with locked(owner):
        yield
        owner.unlink()


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def left_rule(_: Path, __: Engine) -> Iterator[str]:
    rule = ["POSTROUTING", "-s", "198.51.100.0/24", "-m", "comment", "--comment", f"ci-budget:{DEAD}", "-j", "RETURN"]
    run("iptables", "-w", "-t", "nat", "-A", *rule)
    try:
        yield (
            f'rule: iptables nat -A POSTROUTING -s 198.51.100.0/24 -m comment --comment "ci-budget:{DEAD}" -j RETURN'
        )
    finally:
        run("iptables", "-w", "-t", "nat", "-D", *rule)


@contextlib.contextmanager
def left_interface(_: Path, __: Engine) -> Iterator[str]:
    run("ip", "link", "add", f"cib{DEAD}", "type", "bridge")
    try:
        yield f"interface: cib{DEAD}"
    finally:
        run("ip", "link", "del", f"cib{DEAD}")


@contextlib.contextmanager
def left_mount(folder: Path, _: Engine) -> Iterator[str]:
    place = folder / "ci-budget" / "sandboxes" / DEAD / "mnt"
    place.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place))
    try:
        yield f"mount: {place} from tmpfs"
    finally:
        run("umount", str(place))


@contextlib.contextmanager
def left_loop(folder: Path, _: Engine) -> Iterator[str]:
    file = folder / "ci-budget-disk.ext4"
    file.write_bytes(b"\0" * 65536)
    device = subprocess.run(
        ["losetup", "--find", "--show", str(file)], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        yield f"loop: {device} on {file}"
    finally:
        run("losetup", "--detach", device)


@contextlib.contextmanager
def left_process(_: Path, __: Engine) -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", f"/run/ci-budget/{DEAD}"])
    try:
        yield f"process: {process.pid} {sys.executable} -c import time; time.sleep(60) /run/ci-budget/{DEAD}"
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def left_container(_: Path, engine: Engine) -> Iterator[str]:
    image = engine.make_base("busybox")
    ident = engine.docker("create", "--label", f"ci-budget.sandbox={DEAD}", "--name", f"left-{DEAD}", image).strip()
    try:
        yield f"container: {ident} left-{DEAD} ci-budget.sandbox={DEAD}"
    finally:
        engine.docker("rm", "--force", ident)


@contextlib.contextmanager
def left_cgroup(_: Path, __: Engine) -> Iterator[str]:
    place = Path(f"/sys/fs/cgroup/ci-budget-{DEAD}")
    place.mkdir()
    try:
        yield f"cgroup: {place}"
    finally:
        place.rmdir()


@contextlib.contextmanager
def left_folder(_: Path, __: Engine) -> Iterator[str]:
    place = Path("/run/ci-budget", DEAD)
    place.mkdir()
    try:
        yield f"folder: ci-budget sandbox {place}"
    finally:
        place.rmdir()


@pytest.mark.parametrize(
    "leave",
    [left_rule, left_interface, left_mount, left_loop, left_process, left_container, left_cgroup, left_folder],
    ids=lambda f: f.__name__,
)
def test_each_kind_is_seen_and_gone_when_it_is_gone(  # type: ignore[no-untyped-def]
    leave, tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests in another process see it too, unless it lies in the folder of these, or these said that it comes."""
    monkeypatch.setattr(lanes, "LANES", tmp_path)
    monkeypatch.setattr(lanes, "LANE", "alone")
    (tmp_path / "alone").mkdir()
    watch = LeftoverWatch.start(engine)
    with leave(tmp_path / "alone", engine) as line:
        assert line in watch.new()
        with pytest.raises(AssertionError, match="left behind:\n"):
            watch.assert_none(patience=0)
        monkeypatch.setattr(lanes, "LANE", "beside")
        assert (line in watch.new()) == (str(tmp_path) not in line)
        monkeypatch.setattr(lanes, "LANE", "alone")
        disown(DEAD)
        assert line in watch.new()
        monkeypatch.setattr(lanes, "LANE", "beside")
        assert line not in watch.new()
    monkeypatch.setattr(lanes, "LANE", "alone")
    assert line not in watch.new()


def test_what_a_living_owner_holds_is_no_leftover(tmp_path: Path, engine: Engine) -> None:
    watch = LeftoverWatch.start(engine)
    folder = tmp_path / "sandboxes" / DEAD
    folder.mkdir(parents=True)
    with left_interface(tmp_path, engine) as line:
        with (folder / "owner").open("w"):
            assert DEAD in living_ids()
            assert line not in watch.new()
        assert line in watch.new()
