"""The gate on a real engine: what passes, what does not, and that the disk ceiling holds."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from ci_budget.core.config.model import Smoke
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.engine.smoke_test import run_smoke_test
from tests.engine.leftovers import LeftoverWatch
from tests.engine.projects import COMMAND, MB, MIB, Project
from tests.engine_access import Engine


@pytest.fixture
def project(tmp_path: Path, busybox_base: str) -> Project:
    """An empty project whose base image is there."""
    return Project(folder=tmp_path / "project")


def test_three_stages_are_built_measured_and_judged(project: Project, leftovers: LeftoverWatch) -> None:
    project.write(
        "FROM test/busybox AS tools\n"
        "RUN dd if=/dev/zero of=/tool bs=1M count=20\n"
        "FROM test/busybox AS unused\n"
        "RUN false\n"
        "FROM test/busybox AS run\n"
        "WORKDIR /app\n"
        "COPY --from=tools /tool /tool\n"
        "COPY data /app/data\n",
        target="run",
        budgets={"peak_disk": "300MB", "image_size": "30MB", "layers": 8, "context_size": "1MB"},
        smoke={"command": ["/bin/sh", "-c", "test -s /tool && test -s /app/data"]},
    )
    (project.folder / "data").write_bytes(b"x" * 50_000)
    (project.folder / ".dockerignore").write_text("*\n!data\n")

    done = project.check()

    assert done.exit_code == 0, done.stdout + done.stderr
    assert done.report["verdict"] == "pass"
    assert {name: done.metric(name)["verdict"] for name in ("peak_disk", "image_size", "layers", "context_size")} == {
        "peak_disk": "pass",
        "image_size": "pass",
        "layers": "pass",
        "context_size": "pass",
    }
    assert done.metric("context_size")["value"] == 50_000
    assert done.metric("context_size")["context_files"] == 1
    assert done.metric("context_size")["referenced"] == 50_000
    base = done.image["bases"][0]
    assert base["reference"] == "docker.io/test/busybox:latest"
    assert done.metric("image_size")["value"] == base["size"] + 20 * MIB + 50_000
    assert done.metric("layers")["value"] == 4
    assert (done.metric("layers")["inherited"], done.metric("layers")["own"]) == (1, 3)
    assert [(stage["name"], stage["reached"]) for stage in done.image["stages"]] == [
        ("tools", True),
        ("unused", False),
        ("run", True),
    ]
    assert done.stage("tools")["metrics"]["image_size"]["value"] == base["size"] + 20 * MIB
    assert done.stage("tools")["metrics"]["layers"]["value"] == 2
    steps = [(step["stage"], step["line"]) for step in done.image["steps"] if not step["name"].startswith("exporting")]
    assert steps == [("tools", 1), ("tools", 2), ("run", 6), ("run", 7), ("run", 8)]
    assert done.image["smoke"]["passed"] is True
    assert done.image["image_id"].startswith("sha256:")
    assert "web: pass" in done.stdout
    assert "building stage tools" in done.stderr


def test_three_times_the_budget_is_stopped_by_the_kernel(project: Project, leftovers: LeftoverWatch) -> None:
    project.write(
        "FROM test/busybox AS first\nRUN true\nFROM first AS heavy\nRUN dd if=/dev/zero of=/x bs=1M count=1200\n"
    )

    done = project.check()

    assert done.exit_code == 1, done.stdout + done.stderr
    failure = done.image["failure"]
    assert (failure["kind"], failure["stage"], failure["line"]) == ("ceiling", "heavy", 4)
    peak = done.metric("peak_disk")
    assert peak["at_least"] is True
    assert peak["value"] == 400 * MB // 4096 * 4096
    assert peak["observed"] <= peak["value"]
    assert "Dockerfile:4: stage heavy, `[heavy 1/1] RUN dd" in done.words

    project.write(
        "FROM test/busybox AS first\nRUN true\nFROM first AS heavy\nRUN dd if=/dev/zero of=/x bs=1M count=12\n"
    )
    assert project.check().exit_code == 0


@pytest.mark.parametrize(
    ("step", "exit_code", "kind", "said"),
    [
        ("dd if=/dev/zero of=/x bs=1M count=1200 || true", 1, "ceiling", "touched the ceiling of 400 MB"),
        ("dd if=/dev/zero of=/x bs=1M count=1200 2>/dev/null || rm /x", 1, "ceiling", "touched the ceiling"),
        ("fallocate -l 900000000 /x", 4, "build", "it may have asked for more than the 398 MB left"),
        (
            "mkdir /d && cd /d && seq 1 400000 | xargs -n 4000 touch",
            1,
            "ceiling",
            "has no free inodes left",
        ),
        ("exit 7", 4, "build", "exit code: 7"),
    ],
    ids=["hidden", "hidden-and-removed", "fallocate", "inodes", "plain-failure"],
)
def test_what_touches_the_ceiling(
    project: Project, leftovers: LeftoverWatch, step: str, exit_code: int, kind: str, said: str
) -> None:
    budget = "200MB" if "inodes" in said else "400MB"  # which brings half as many, and takes half as long
    project.write(f"FROM test/busybox\nRUN true\nRUN {step}\n", disk={"budget": budget})

    done = project.check()

    assert done.exit_code == exit_code, done.stdout + done.stderr
    assert done.image["failure"]["kind"] == kind
    assert done.image["failure"]["line"] == 3
    assert said in done.image["failure"]["message"]


def test_peaks_of_cold_runs_agree_and_are_what_was_written(
    project: Project, tmp_path: Path, leftovers: LeftoverWatch
) -> None:
    project.budget = "500MB"
    project.write(
        "FROM test/busybox\n"
        "RUN dd if=/dev/zero of=/big bs=1M count=320 && sync && rm /big && dd if=/dev/zero of=/kept bs=1M count=32\n"
    )
    noise = tmp_path / "noise"
    peaks = []
    for _ in range(3):
        with subprocess.Popen(["dd", "if=/dev/zero", f"of={noise}", "bs=1M", "count=2000"], stderr=subprocess.DEVNULL):
            done = project.check()
        noise.unlink()
        assert done.exit_code == 0, done.stdout + done.stderr
        peak = done.metric("peak_disk")
        assert peak["observed"] <= peak["value"] <= peak["upper_bound"] <= 500 * MB
        assert peak["widest_gap_ms"] < 500
        parts = peak["composition"]
        assert sum(parts.values()) == peak["value"]
        peaks.append(peak["value"])
        known = done.image["bases"][0]["size"] + 320 * MIB
        assert abs(peak["value"] - known) <= 0.01 * known
        assert max(point["used"] for point in done.image["timeline"]) == peak["value"]
    assert max(peaks) - min(peaks) <= max(MB, 0.001 * max(peaks))


def test_a_sandbox_nearly_full_rebuilds_no_step(project: Project, leftovers: LeftoverWatch) -> None:
    project.write(
        "FROM test/busybox AS one\n"
        "RUN cat /proc/sys/kernel/random/uuid > /id && dd if=/dev/zero of=/a bs=1M count=110\n"
        "FROM one AS two\n"
        "RUN dd if=/dev/zero of=/b bs=1M count=110\n"
        "FROM two AS three\n"
        "RUN dd if=/dev/zero of=/c bs=1M count=120\n"
    )

    done = project.check()

    assert done.exit_code == 0, done.stdout + done.stderr
    assert done.metric("peak_disk")["value"] > 0.88 * 400 * MB
    ran = [step["line"] for step in done.image["steps"] if not step["cached"] and step["line"] in (2, 4, 6)]
    assert ran == [2, 4, 6]
    sizes = [done.stage(name)["metrics"]["image_size"]["value"] for name in ("one", "two", "three")]
    assert sizes[1] - sizes[0] == 110 * MIB
    assert sizes[2] - sizes[1] == 120 * MIB


def test_a_missing_base_is_no_build_failure(project: Project, leftovers: LeftoverWatch) -> None:
    project.write("FROM no-such.invalid/base:1\nRUN true\n")

    done = project.check()

    assert done.exit_code == 3, done.stdout + done.stderr
    assert done.image["failure"]["kind"] == "environment"
    assert "no-such.invalid/base:1 is not to be had" in done.words


def test_bases_larger_than_the_budget_fail_the_gate(
    project: Project, leftovers: LeftoverWatch, debian_base: str
) -> None:
    project.budget = "100MB"
    project.write(f"FROM {debian_base}\nRUN true\n")

    done = project.check()

    assert done.exit_code == 1, done.stdout + done.stderr
    assert done.image["failure"]["kind"] == "ceiling"
    assert "base images alone" in done.image["failure"]["message"]


def test_a_build_that_hangs_is_ended(project: Project, leftovers: LeftoverWatch) -> None:
    project.write("FROM test/busybox\nRUN sleep 600\n", timeout="6s")

    done = project.check()

    assert done.exit_code == 4, done.stdout + done.stderr
    assert done.image["failure"]["kind"] == "timeout"
    assert done.image["failure"]["line"] == 2
    assert "ran longer than its timeout of 6.0 s" in done.image["failure"]["message"]


def test_an_image_without_layers(project: Project, leftovers: LeftoverWatch) -> None:
    project.write("FROM scratch\nENV A=b\n", budgets={"layers": 0, "image_size": 0, "wasted_bytes": 0})

    done = project.check()

    assert done.exit_code == 0, done.stdout + done.stderr
    values = {name: done.metric(name)["value"] for name in ("layers", "image_size", "wasted_bytes")}
    assert values == {"layers": 0, "image_size": 0, "wasted_bytes": 0}
    for words in (["baseline", "update", "--report", done.folder], ["explain", done.folder]):
        told = subprocess.run([*COMMAND, *words], cwd=project.folder, capture_output=True, text=True)
        assert told.returncode == 0, told.stderr
    assert "0 B in 0 layers; 0 files" in told.stdout


def test_a_smoke_test_that_fails_fails_the_image(project: Project, leftovers: LeftoverWatch) -> None:
    project.write("FROM test/busybox\nRUN true\n", smoke={"command": ["/bin/sh", "-c", "echo broken; exit 3"]})

    done = project.check()

    assert done.exit_code == 1, done.stdout + done.stderr
    assert done.image["failure"]["kind"] == "smoke"
    assert "exit code 3: broken" in done.image["failure"]["message"]


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("nosuch", 'the smoke test failed with exit code 127: exec: "nosuch": executable file not found in $PATH'),
        ("/no/such", 'the smoke test failed with exit code 127: exec: "/no/such": stat /no/such: no such file or'),
        ("/bin", 'the smoke test failed with exit code 126: exec: "/bin": '),
    ],
)
def test_a_smoke_test_whose_program_is_not_in_the_image(
    engine: Engine, busybox_base: str, program: str, said: str
) -> None:
    with contextlib.closing(DockerEngine(engine.docker_host)) as client:
        report = run_smoke_test(client, busybox_base, Smoke(command=[program, "-x"]), None, "test")

    assert not report.passed
    assert report.message.startswith(said)


def test_a_gpu_that_is_required_and_missing_stops_before_building(project: Project, leftovers: LeftoverWatch) -> None:
    project.write("FROM test/busybox\nRUN true\n", smoke={"command": ["/bin/true"], "gpu": "required"})

    done = project.check(env={"PATH": _path_without("nvidia-smi")})

    assert done.exit_code == 3, done.stdout + done.stderr
    assert "needs a GPU" in done.stdout
    assert "building stage" not in done.stderr


def test_a_smoke_test_without_a_gpu_says_that_it_ran_on_the_cpu(project: Project, leftovers: LeftoverWatch) -> None:
    command = ["/bin/sh", "-c", "! ping -c 1 -W 1 192.0.2.1 && test $(ip -o link | wc -l) = 1"]
    project.write("FROM test/busybox\nRUN true\n", smoke={"command": command, "gpu": "auto"})

    done = project.check(env={"PATH": _path_without("nvidia-smi")})

    assert done.exit_code == 0, done.stdout + done.stderr
    assert done.image["smoke"]["gpu"] == "no GPU on this runner: ran on the CPU"


def _path_without(program: str) -> str:
    folders = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if not (Path(folder) / program).exists())
