"""Host mode: the runner's own engine, its disk watched."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.sites.disk_room import promise
from ci_budget.edges.sites.host_turns import host_turn, host_turns_halted
from ci_budget.edges.sites.state import claimed
from tests.engine.background import GATEWAY, WebServer, running_check
from tests.engine.leftovers import LeftoverWatch
from tests.engine.projects import MB, MIB, Project
from tests.engine.quiet_host import QuietHost, quiet_host
from tests.engine_access import Engine


@pytest.fixture(scope="module")
def host(engine: Engine, busybox_base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuietHost]:
    """The engine of this file."""
    with quiet_host(tmp_path_factory.mktemp("state")) as found:
        yield found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project that is checked in host mode."""
    return Project(folder=tmp_path / "project")


DISK = {"mode": "host", "reserve": "50MB"}
# At full rate the look-ahead of a second would reach the budget from here.
SLOW_WRITER = "for i in $(seq 10); do head -c 10485760 /dev/zero >> /big && sync && sleep 0.1; done"
WRITER = "i=0; while [ $i -lt 90 ]; do i=$((i+1)); dd if=/dev/zero of=/x$i bs=1M count=10 2>/dev/null; sleep 0.1; done"


def test_every_stage_is_built_cold_and_once_and_nothing_is_left(
    project: Project, host: QuietHost, leftovers: LeftoverWatch
) -> None:
    project.write(
        "FROM test/busybox AS tools\n"
        "RUN dd if=/dev/zero of=/tool bs=1M count=30\n"
        "FROM tools\n"
        f"RUN {SLOW_WRITER} && rm /big\n"
        "RUN cat /proc/sys/kernel/random/uuid > /id\n"
        "FROM test/busybox\n"
        "COPY --from=tools /tool /tool\n"
        "COPY --from=1 /id /id\n",
        disk=DISK,
    )
    host.build(project.folder)
    cache, images, used = host.cache(), host.images(), host.used()
    ids = []

    for _ in range(2):
        done = project.check(env=host.env)

        assert done.exit_code == 0, done.stdout + done.stderr
        steps = [(step["stage"], step["line"], step["cached"]) for step in done.image["steps"]]
        assert [step for step in steps if step[1] not in (None, 1, 6)] == [
            ("tools", 2, False),
            ("stage-1", 4, False),
            ("stage-1", 5, False),
            ("stage-2", 7, False),
            ("stage-2", 8, False),
        ]
        assert done.image["fingerprint"]["disk_mode"] == "host"
        assert done.image["fingerprint"]["cache"] == "cold"
        assert done.image["disk"]["enforced"] is False
        assert "400 MB, observed, not enforced" in done.words
        peak = done.metric("peak_disk")
        base = done.image["bases"][0]["size"]
        assert base <= peak["base"] <= base + MB
        known = base + 130 * MIB
        assert known <= peak["value"] <= known + 2 * MB
        assert peak["composition"]["bases"] == peak["base"]
        assert [stage["metrics"]["image_size"]["value"] is not None for stage in done.image["stages"]] == [True] * 3
        ids.append(done.image["image_id"])
        assert host.cache() == cache
        assert host.images() == images
        assert host.used() <= used + 2 * MB
    assert ids[0] != ids[1]  # the file that differs with every run was made anew


def test_stages_with_one_name_are_each_built_once(project: Project, host: QuietHost, leftovers: LeftoverWatch) -> None:
    project.write(
        "FROM test/busybox AS same\n"
        "RUN cat /proc/sys/kernel/random/uuid | tee /first\n"
        "FROM same \\\n"
        "  AS same\n"
        "RUN cat /proc/sys/kernel/random/uuid | tee /second\n"
        "FROM same AS end\n"
        "RUN cat /first /second\n",
        disk=DISK,
    )
    host.build(project.folder)

    done = project.check(env=host.env)

    assert done.exit_code == 0, done.stdout + done.stderr
    steps = [(step["name"], step["line"], step["cached"]) for step in done.image["steps"]]
    assert steps[1:4] == [
        ("[same 2/2] RUN cat /proc/sys/kernel/random/uuid | tee /first", 2, False),
        ("[same 1/1] RUN cat /proc/sys/kernel/random/uuid | tee /second", 5, False),
        ("[end 1/1] RUN cat /first /second", 7, False),
    ]
    layers = [stage["metrics"]["layers"]["value"] for stage in done.image["stages"]]
    assert layers == [2, 3, 4]
    logs = {
        stage: re.findall(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", _log(project, stage))
        for stage in ("same", "end")
    }
    assert len(logs["same"]) == 2  # each ran once, so each wrote one
    assert logs["end"] == logs["same"]


def _log(project: Project, stage: str) -> str:
    return (project.report_folder / "logs" / "web" / f"{stage}.log").read_text()


def test_the_watchdog_cancels_before_the_budget_is_crossed(
    project: Project, host: QuietHost, leftovers: LeftoverWatch
) -> None:
    project.write(f"FROM test/busybox AS light\nRUN true\nFROM light AS heavy\nRUN {WRITER}\n", disk=DISK)
    cache, used = host.cache(), host.used()

    done = project.check(env=host.env)

    assert done.exit_code == 1, done.stdout + done.stderr
    failure = done.image["failure"]
    assert (failure["kind"], failure["stage"], failure["line"]) == ("ceiling", "heavy", 4)
    assert re.search(r"cancelled (before|after) it crossed the disk budget of 400 MB", failure["message"])
    peak = done.metric("peak_disk")
    assert 100 * MB < peak["value"] <= 400 * MB
    assert peak["at_least"] is True
    assert peak["verdict"] == "fail"
    assert "Dockerfile:4: stage heavy" in done.words
    assert host.cache() == cache
    assert host.used() <= used + 2 * MB


def test_the_reserve_of_the_host_is_not_taken(project: Project, host: QuietHost, leftovers: LeftoverWatch) -> None:
    project.budget = "5GB"
    project.write(f"FROM test/busybox\nRUN {WRITER}\n", disk={"mode": "host", "reserve": "600MB"})

    done = project.check(env=host.env)

    assert done.exit_code == 1, done.stdout + done.stderr
    assert done.image["failure"]["line"] == 2
    assert "cancelled before it took the reserve of 600 MB" in done.image["failure"]["message"]

    project.write("FROM test/busybox\nRUN true\n", disk={"mode": "host", "reserve": "5GB"})
    done = project.check(env=host.env)
    assert done.exit_code == 3, done.stdout + done.stderr
    assert "this build needs 5.00 GB that must stay free (disk.reserve); 1,000 inodes" in done.words
    assert "building stage" not in done.stderr


def test_a_burst_within_the_budget_passes(project: Project, host: QuietHost, leftovers: LeftoverWatch) -> None:
    project.write("FROM test/busybox\nRUN dd if=/dev/zero of=/x bs=1M count=80\n", disk=DISK)

    done = project.check(env=host.env)

    assert done.exit_code == 0, done.stdout + done.stderr


def test_measurements_take_turns(project: Project, host: QuietHost, leftovers: LeftoverWatch) -> None:
    with (
        contextlib.closing(DockerEngine(host.docker_host)) as engine,
        contextlib.ExitStack() as turn,
        WebServer() as web,
    ):
        project.write(f"FROM test/busybox\nRUN {_hold(web)}\n", disk=DISK)
        turn.enter_context(host_turn(engine, pytest.fail))
        with running_check(project, env=host.env) as check:
            check.wait_for("waiting")
            holder = f"another ci-budget (process {os.getpid()} of root)"
            assert f"waiting: {holder} is measuring on this host's engine\n" in check.said
            assert "building" not in check.said
            turn.close()
            web.wait_for("/hold", check)
            with host_turns_halted(engine) as halted:
                assert halted is False
            web.release()
            assert check.finish().exit_code == 0
        with host_turns_halted(engine) as halted:
            assert halted is True


def _hold(web: WebServer) -> str:
    """A step's command that ends when the server releases it."""
    return f"wget -q -O- http://{GATEWAY}:{web.port}/hold"


def test_a_neighbour_s_build_keeps_its_cache(project: Project, host: QuietHost, tmp_path: Path) -> None:
    neighbour = tmp_path / "neighbour"
    neighbour.mkdir()
    (neighbour / "Dockerfile").write_text("FROM test/busybox\nRUN echo neighbour > /n\nCOPY Dockerfile /d\n")
    with WebServer() as web:
        project.write(f"FROM test/busybox\nRUN {_hold(web)} && echo ours > /o\nCOPY Dockerfile /o2\n", disk=DISK)
        web.release()
        host.build(project.folder)  # the base, the context: what any build has in common
        web.forget()
        before = host.cache()
        with running_check(project, env=host.env) as check:
            web.wait_for("/hold", check)
            host.build(neighbour)
            beside = host.cache() - before
            web.release()
            done = check.finish()
    assert done.exit_code == 0, done.stdout + done.stderr
    left = host.docker("buildx", "du", "--builder", "default", "--verbose")
    assert "from exec /bin/sh -c echo neighbour > /n" in left
    assert "COPY Dockerfile /d" in left
    assert left.count("echo ours > /o") == 1  # the user's own, of the build before
    assert host.cache() - before <= beside


def test_a_sandbox_on_the_same_disk_falsifies_nothing(
    project: Project, host: QuietHost, leftovers: LeftoverWatch
) -> None:
    """Its whole file would count as the build's: not measured, and neither passed nor failed."""
    with WebServer() as web:
        project.write(f"FROM test/busybox\nRUN {_hold(web)}\n", disk=DISK)
        with running_check(project, env=host.env) as check:
            web.wait_for("/hold", check)
            with claimed(host.mount / "ci-budget-state") as claim:
                promise(claim, 0)
                web.release()
                done = check.finish()
    shutil.rmtree(host.mount / "ci-budget-state")
    assert done.exit_code == 3, done.stdout + done.stderr
    assert "a sandbox of another check began or ended on the disk of" in done.image["failure"]["message"]
    assert done.metric("peak_disk")["value"] is None


def test_a_neighbour_keeps_its_cache_when_a_run_is_killed(host: QuietHost, tmp_path: Path) -> None:
    """Of the killed one's nothing stays but what nobody can tell whose it is: not its copy of the context.

    Folders of one name share their copies in the engine: these two have names of their own.
    """
    neighbour, project = tmp_path / "neighbour-of-the-killed", Project(folder=tmp_path / "the-killed")
    neighbour.mkdir()
    (neighbour / "Dockerfile").write_text("FROM test/busybox\nRUN echo the neighbour of the killed > /n\n")
    project.write(
        "FROM test/busybox AS a\nCOPY context /\nRUN sleep 2 && echo of the killed > /a\nFROM a\nRUN sleep 300\n",
        disk=DISK,
    )
    (project.folder / "context").write_bytes(bytes(MB))
    before = _sources(host)
    with running_check(project, env=host.env) as check:
        check.wait_for("RUN sleep 300")
        host.build(neighbour)
        check.kill()
    cache = host.docker("buildx", "du", "--builder", "default", "--verbose")
    assert "echo of the killed > /a" in cache, "the kill left nothing, so this test shows nothing"

    project.write("FROM test/busybox\nRUN true\n", disk=DISK)
    assert project.check(env=host.env).exit_code == 0

    cache = host.docker("buildx", "du", "--builder", "default", "--verbose")
    assert "of the killed > /a" not in cache
    assert "COPY context" not in cache
    assert "from exec /bin/sh -c echo the neighbour of the killed > /n" in cache
    stayed = _sources(host)
    assert [stayed[kind] - before[kind] for kind in ("local source for dockerfile", "local source for context")] == [
        1,  # the neighbour's
        1,  # its ignore file
    ]


def _sources(host: QuietHost) -> Counter[str]:
    """How many copies of Dockerfiles and contexts its cache has."""
    with contextlib.closing(DockerEngine(host.docker_host)) as engine:
        return Counter(one.description for one in engine.cache_records() if one.kind == "source.local")


def test_what_a_killed_run_made_on_the_engine_goes_with_the_next(
    project: Project, host: QuietHost, leftovers: LeftoverWatch
) -> None:
    project.write("FROM test/busybox AS a\nRUN head -c 9 /dev/urandom > /a\nFROM a\nRUN sleep 300\n", disk=DISK)
    cache, images = host.cache(), host.images()
    with running_check(project, env=host.env) as check:
        check.wait_for("RUN sleep")
        check.kill()
    assert host.cache() - cache, "the kill left nothing, so this test shows nothing"
    project.write("FROM test/busybox\nRUN echo the user builds this meanwhile > /kept\n", disk=DISK)
    time.sleep(3)  # what the engine makes in the first seconds still counts as the killed run's
    host.build(project.folder)
    kept = host.cache()

    project.write("FROM test/busybox\nRUN true\n", disk=DISK)
    done = project.check(env=host.env)

    assert done.exit_code == 0, done.stdout + done.stderr
    assert "removed what a killed run left on the runner's engine" in done.stderr
    assert cache <= host.cache() < kept
    assert len(host.cache() - cache) > 0  # the user's own build
    assert images <= host.images()
    assert not [name for name in host.images() if name.startswith("ci-budget.local/")]
