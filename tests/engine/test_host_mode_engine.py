"""Host mode: the runner's own engine, its disk watched."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

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
WRITER = "i=0; while [ $i -lt 90 ]; do i=$((i+1)); dd if=/dev/zero of=/x$i bs=1M count=10 2>/dev/null; sleep 0.1; done"


def test_every_stage_is_built_cold_and_once_and_nothing_is_left(
    project: Project, host: QuietHost, leftovers: LeftoverWatch
) -> None:
    project.write(
        "FROM test/busybox AS tools\n"
        "RUN dd if=/dev/zero of=/tool bs=1M count=30\n"
        "FROM tools\n"
        "RUN dd if=/dev/zero of=/big bs=1M count=100 && sync && rm /big\n"
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
    assert "cancelled before it crossed the disk budget of 400 MB" in failure["message"]
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
    assert "no more than the reserve of 5.00 GB" in done.words
    assert "building stage" not in done.stderr


def test_a_burst_within_the_budget_passes(project: Project, host: QuietHost, leftovers: LeftoverWatch) -> None:
    project.write("FROM test/busybox\nRUN dd if=/dev/zero of=/x bs=1M count=80\n", disk=DISK)

    done = project.check(env=host.env)

    assert done.exit_code == 0, done.stdout + done.stderr


def test_two_checks_at_once_take_turns(project: Project, host: QuietHost, leftovers: LeftoverWatch) -> None:
    project.write("FROM test/busybox\nRUN sleep 5\n", disk=DISK)
    second = Project(folder=project.folder.with_name("second"))
    second.write("FROM test/busybox\nRUN true\n", disk=DISK)
    with subprocess.Popen(
        project.command(),
        cwd=project.folder,
        env={**os.environ, **host.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stderr is not None
        assert any("RUN sleep" in line for line in child.stderr)
        done = second.check(env=host.env)
        assert child.poll() is not None  # it waited
        child.communicate()
        assert child.returncode == 0
    assert done.exit_code == 0, done.stdout + done.stderr
    assert f"waiting: another ci-budget (process {child.pid}) is measuring on this host's engine" in done.stderr
