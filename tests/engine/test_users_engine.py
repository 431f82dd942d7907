"""What a new user meets: mistakes, several images, outputs, a baseline of their own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.engine.leftovers import LeftoverWatch
from tests.engine.projects import MIB, Project, assert_refused, run_tool

pytestmark = pytest.mark.beside


@pytest.fixture
def project(tmp_path: Path, busybox_base: str) -> Project:
    """A project of one small image."""
    made = Project(folder=tmp_path / "project")
    made.write("FROM test/busybox AS run\nRUN dd if=/dev/zero of=/a bs=1M count=5\n")
    return made


def test_no_config(project: Project) -> None:
    (project.folder / "ci-budget.yml").unlink()
    assert_refused(project.check(), 2, "there is no ci-budget.yml", "ci-budget init")


def test_an_unknown_image(project: Project) -> None:
    assert_refused(project.check("--image", "wep"), 2, "there is no image 'wep'", "did you mean 'web'?")


@pytest.mark.parametrize("way", ["config", "option"])
def test_a_stage_that_is_not_there(project: Project, way: str) -> None:
    if way == "option":
        done = project.check("--target", "rum")
    else:
        project.write((project.folder / "Dockerfile").read_text(), target="rum")
        done = project.check()
    assert_refused(done, 2, "'rum'", "did you mean 'run'?")


def test_a_report_inside_the_context(project: Project) -> None:
    done = project.check("--report", str(project.folder / "report"))
    assert_refused(done, 2, "lies inside the context", "Name a folder outside of every image's context.")
    assert not (project.folder / "report").exists()


def test_a_report_folder_that_cannot_be_written(project: Project) -> None:
    assert_refused(project.check("--report", "/proc/no-such-report"), 2, "/proc/no-such-report")


def test_no_engine_and_no_programs(project: Project, tmp_path: Path) -> None:
    env = {"PATH": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    assert_refused(project.check(env=env), 3, "a sandbox needs dockerd, containerd, runc,", "Install docker")
    assert_refused(project.check("--disk-mode", "host", env=env), 3, "no Docker engine answers at unix://")


def test_several_images_end_as_the_worst(project: Project, leftovers: LeftoverWatch) -> None:
    texts = {
        "fine": "FROM test/busybox\nRUN true\n",
        "broken": "FROM test/busybox\nRUN exit 9\n",
        "unmeasured": "FROM no-such.invalid/base:1\n",
        "heavy": "FROM test/busybox\nRUN dd if=/dev/zero of=/a bs=1M count=5\n",
    }
    for name, text in texts.items():
        (project.folder / f"{name}.Dockerfile").write_text(text)
    images = {name: {"dockerfile": f"{name}.Dockerfile", "budgets": {"image_size": "3MB"}} for name in texts}
    config = {"version": 1, "disk": {"budget": "300MB", "reserve": "1GB"}, "images": images}
    (project.folder / "ci-budget.yml").write_text(yaml.safe_dump(config, sort_keys=False))

    done = project.check()

    assert done.exit_code == 1, done.stdout + done.stderr
    assert [(image["name"], image["exit_code"]) for image in done.report["images"]] == [
        ("fine", 0),
        ("broken", 4),
        ("unmeasured", 3),
        ("heavy", 1),
    ]
    assert done.report["exit_code"] == 1
    assert project.check("--exit-zero", "--image", "broken", "--image", "unmeasured", "--image", "heavy").exit_code == 4


def test_warnings_fail_where_they_are_asked_to(project: Project, leftovers: LeftoverWatch) -> None:
    text = (project.folder / "Dockerfile").read_text()
    project.write(text, budgets={"image_size": "8MB"}, warn_at="80%")

    done = project.check()

    assert done.exit_code == 0, done.stdout + done.stderr
    assert done.metric("image_size")["verdict"] == "warn"
    assert project.check("--fail-on", "warn").exit_code == 1


def test_the_output_in_every_form(project: Project, leftovers: LeftoverWatch) -> None:
    file = project.folder.parent / "deep" / "output.json"

    done = project.check("--format", "json", "--output", str(file))

    assert done.exit_code == 0, done.stdout + done.stderr
    assert done.stdout == ""
    assert json.loads(file.read_text()) == done.report
    done = project.check("--format", "markdown")
    assert done.stdout == (done.folder / "report.md").read_text()
    assert "| `peak_disk` |" in done.stdout


def test_a_baseline_is_accepted_and_held(project: Project, leftovers: LeftoverWatch) -> None:
    def update(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run_tool(project.folder, "baseline", "update", "--report", project.report_folder, *arguments)

    (project.folder / ".dockerignore").write_text(".ci-budget\n")
    first = project.check()
    assert first.exit_code == 0, first.stdout + first.stderr
    assert first.metric("peak_disk")["verdict"] == "no-baseline"
    assert update().returncode == 0

    again = project.check("--require-baseline")
    assert again.exit_code == 0, again.stdout + again.stderr
    gated = ("peak_disk", "image_size", "layers", "context_size")
    assert {again.metric(name)["verdict"] for name in gated} == {"pass"}

    project.write((project.folder / "Dockerfile").read_text().replace("count=5", "count=30"))
    worse = project.check()
    assert worse.exit_code == 1, worse.stdout + worse.stderr
    assert worse.metric("peak_disk")["verdict"] == worse.metric("image_size")["verdict"] == "fail"
    assert worse.metric("image_size")["delta"] == 25 * MIB
    kept = update()
    assert "--raise" in kept.stdout + kept.stderr
    accepted = json.loads((project.folder / ".ci-budget" / "baseline.json").read_text())["images"]["web"][0]["metrics"]
    assert accepted["image_size"] == first.metric("image_size")["value"]
    assert update("--raise", "peak_disk", "--raise", "image_size").returncode == 0
    assert project.check().exit_code == 0
