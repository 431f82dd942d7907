"""`doctor` on this machine, with its engine and without one."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.engine.projects import run_tool
from tests.engine_access import Engine

CHECKS = {
    "engine", "buildx", "buildkit", "partition", "largest-image", "log-limits", "cache-limits", "prune-schedule",
    "sandbox", "loop-devices", "leftovers", "gpu",
}  # fmt: skip
LENIENT = ("--disk-warn=100", "--disk-critical=100", "--inodes-warn=100", "--inodes-critical=100")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with no config, and a state directory of its own beside it."""
    (tmp_path / "empty" / ".git").mkdir(parents=True)
    return tmp_path / "empty"


def doctor(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    own = {"CI_BUDGET_STATE": str(folder.parent / "ci-budget-state"), **env}
    return run_tool(folder, "doctor", *arguments, env=own)


def checks(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {one["check"]: one for one in json.loads(done.stdout)["checks"]}


def test_every_check_answers(folder: Path, busybox_base: str, engine: Engine) -> None:
    done = doctor(folder, "--format=json", *LENIENT)
    found = checks(done)
    data = json.loads(done.stdout)
    assert set(found) == CHECKS | {
        f"{kind}:{disk['mount_point']}" for kind in ("disk", "inodes") for disk in data["disks"]
    }
    statuses = {one["status"] for one in found.values()}
    assert done.returncode == data["exit_code"] == (2 if "critical" in statuses else 1 if "warn" in statuses else 0)
    assert all((one["mend"] is not None) == (one["status"] in ("warn", "critical")) for one in found.values())
    for healthy in ("engine", "buildx", "buildkit", "sandbox", "loop-devices", "leftovers", "log-limits"):
        assert found[healthy]["status"] == "ok", found[healthy]
    assert engine.docker("version", "--format={{.Server.Version}}").strip() in found["engine"]["message"]
    assert found["sandbox"]["message"] == "auto takes sandbox: this user is root"


def test_levels_are_those_of_df(folder: Path) -> None:
    done = doctor(folder, "--format=json")
    for disk in json.loads(done.stdout)["disks"]:
        shown = subprocess.run(
            ["df", "--output=size,itotal", "-B1", disk["mount_point"]], capture_output=True, text=True, check=True
        )
        # What is free changes all the time: others work on this disk as well.
        assert [disk["total"], disk["inodes"]] == [int(word) for word in shown.stdout.split()[-2:]]
        assert 0 < disk["available"] < disk["total"]
        assert 0 < disk["free_inodes"] < disk["inodes"]


def test_thresholds_decide(folder: Path) -> None:
    done = doctor(folder, "--disk-warn=0", "--disk-critical=0.001%", "--format=json")
    assert done.returncode == 2
    assert {one["status"] for name, one in checks(done).items() if name.startswith("disk:")} == {"critical"}
    done = doctor(folder, "--free-factor=999", "--disk-critical=100", "--disk-warn=100", "--format=json")
    assert checks(done)["largest-image"]["status"] in ("warn", "critical")


def test_without_an_engine_it_still_examines_the_host(folder: Path) -> None:
    done = doctor(folder, "--format=json", DOCKER_HOST=f"unix://{folder}/none.sock")
    found = checks(done)
    assert done.returncode == 2
    assert found["engine"]["status"] == "critical"
    assert found["engine"]["message"].startswith(f"no Docker engine answers at unix://{folder}/none.sock")
    assert found["partition"]["status"] == found["largest-image"]["status"] == "skipped"
    assert found["loop-devices"]["status"] == "ok"
    assert "Traceback" not in done.stderr


def test_without_even_a_docker_command(folder: Path) -> None:
    done = doctor(folder, PATH="/nonexistent", DOCKER_HOST="")
    assert done.returncode == 2
    assert done.stdout.startswith("critical  engine")
    assert "Traceback" not in done.stderr


def test_the_table_has_the_command_that_mends(folder: Path) -> None:
    done = doctor(folder, "--disk-warn=0", "--disk-critical=100")
    lines = done.stdout.splitlines()
    row = next(index for index, line in enumerate(lines) if line.split()[0:1] == ["warn"] and " disk:" in line)
    assert any("mend: ci-budget prune --engine" in line for line in lines[row + 1 : row + 3])
    assert lines[-1].startswith(("warn: ", "critical: "))


def test_the_config_says_which_gpu_is_needed_and_how_much_room(folder: Path) -> None:
    config = (
        "version: 1\ndisk: {free_factor: 100}\nimages:\n"
        "  web: {smoke: {command: [a], gpu: required}}\n  api: {smoke: {command: [a], gpu: auto}}\n"
    )
    (folder / "ci-budget.yml").write_text(config)
    stand_in = folder / "nvidia-smi"
    stand_in.write_text("#!/bin/sh\nexit 9\n")  # a driver without a card
    stand_in.chmod(0o755)
    found = checks(doctor(folder, "--format=json", PATH=f"{folder}:{os.environ['PATH']}"))
    assert found["gpu"]["message"] == "web requires a GPU: no GPU, or no driver for one"
    assert found["gpu"]["status"] == "critical"
    assert "; 100x the largest image" in found["largest-image"]["message"]
    assert "config" not in found


def test_a_broken_config_is_a_finding(folder: Path) -> None:
    (folder / "ci-budget.yml").write_text("version: 1\nimagse: {}\n")
    done = doctor(folder, "--format=json")
    assert done.returncode == 2
    assert checks(done)["config"]["status"] == "critical"
    assert checks(done)["config"]["message"].startswith(f"{folder}/ci-budget.yml:2: ")


def test_metrics_are_written_whole_and_readable(folder: Path) -> None:
    file = folder / "ci-budget.prom"
    file.write_text("old")
    done = doctor(folder, f"--prometheus={file}", "--format=json")
    lines = file.read_text().splitlines()
    assert f"ci_budget_doctor_worst {done.returncode}" in lines
    assert 'ci_budget_doctor_status{check="engine"} 0' in lines
    assert file.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in folder.iterdir()) == [".git", "ci-budget.prom"]


def test_metrics_that_cannot_be_written(folder: Path) -> None:
    done = doctor(folder, f"--prometheus={folder}/none/x.prom")
    assert done.returncode == 2
    assert done.stderr == (
        f"ci-budget: cannot write {folder}/none/x.prom: No such file or directory\n"
        "  Name a file in a folder that you may write.\n"
    )


def test_the_recommended_daemon_json_is_valid_and_keeps_what_is_there(folder: Path, engine: Engine) -> None:
    done = doctor(folder, "--daemon-json")
    assert done.returncode == 0, done.stderr
    assert "dockerd --validate: configuration OK" in done.stderr
    advice = json.loads(done.stdout)
    assert advice["log-opts"]["max-size"]
    assert advice["builder"]["gc"]["enabled"] is True
    assert advice["data-root"] == engine.docker("info", "--format={{.DockerRootDir}}").strip()
    file = folder / "daemon.json"
    file.write_text(done.stdout)
    subprocess.run(["dockerd", "--validate", "--config-file", file], check=True, capture_output=True)
