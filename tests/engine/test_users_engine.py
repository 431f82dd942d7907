"""What a new user meets: mistakes, missing rights, several images, outputs, a baseline of their own, sudo."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.engine.leftovers import LeftoverWatch
from tests.engine.projects import COMMAND, MIB, Project, Result
from tests.engine_access import CLONE

pytestmark = pytest.mark.beside

NOBODY = 65534
PYTHON = "/usr/bin/python3"
"""An interpreter that every user may run; the one of these tests may lie in root's home."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may pass: pytest closes its own to all but root whenever a session starts."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def project(folder: Path, busybox_base: str) -> Project:
    """A project of one small image."""
    made = Project(folder=folder / "project")
    made.write("FROM test/busybox AS run\nRUN dd if=/dev/zero of=/a bs=1M count=5\n")
    return made


def _assert_refused(done: Result, exit_code: int, *said: str) -> None:
    """It said why, in words for a person, and built nothing."""
    assert done.exit_code == exit_code, done.stdout + done.stderr
    words = " ".join(done.stderr.split())
    assert [part for part in said if part not in words] == [], words
    assert "Traceback" not in done.stderr
    assert "building stage" not in done.stderr
    assert done.report == {}


def test_no_config(project: Project) -> None:
    (project.folder / "ci-budget.yml").unlink()
    _assert_refused(project.check(), 2, "there is no ci-budget.yml", "ci-budget init")


def test_an_unknown_image(project: Project) -> None:
    _assert_refused(project.check("--image", "wep"), 2, "there is no image 'wep'", "did you mean 'web'?")


@pytest.mark.parametrize("way", ["config", "option"])
def test_a_stage_that_is_not_there(project: Project, way: str) -> None:
    if way == "option":
        done = project.check("--target", "rum")
    else:
        project.write((project.folder / "Dockerfile").read_text(), target="rum")
        done = project.check()
    _assert_refused(done, 2, "'rum'", "did you mean 'run'?")


def test_a_report_inside_the_context(project: Project) -> None:
    done = project.check("--report", str(project.folder / "report"))
    _assert_refused(done, 2, "lies inside the context", "Name a folder outside of every image's context.")
    assert not (project.folder / "report").exists()


def test_a_report_folder_that_cannot_be_written(project: Project) -> None:
    _assert_refused(project.check("--report", "/proc/no-such-report"), 2, "/proc/no-such-report")


def test_no_engine_and_no_programs(project: Project, tmp_path: Path) -> None:
    env = {"PATH": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    _assert_refused(project.check(env=env), 3, "a sandbox needs dockerd, containerd, runc,", "Install docker")
    _assert_refused(project.check("--disk-mode", "host", env=env), 3, "no Docker engine answers at unix://")


@dataclass(frozen=True, kw_only=True)
class User:
    """How to be a user without root: what stands before the command, and the environment."""

    prefix: tuple[str, ...]
    env: dict[str, str]
    uid: int

    def check(self, project: Project, *arguments: str) -> Result:
        """The gate as this user, by an interpreter that it may run."""
        done = subprocess.run(
            [*self.prefix, PYTHON, "-P", *project.command(*arguments)[1:]],
            cwd=project.folder,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            timeout=280,
        )
        return project.result(done.returncode, done.stdout, done.stderr)


def _user(uid: int, gid: int, folder: Path) -> User:
    home = folder / "home"
    home.mkdir()
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid)
    site = Path(sys.modules["yaml"].__file__ or "").resolve().parent.parent
    return User(
        prefix=("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"),
        env={"HOME": str(home), "PYTHONPATH": f"{CLONE}:{site}", "CI_BUDGET_STATE": ""},
        uid=uid,
    )


def test_a_user_without_any_right(project: Project, folder: Path) -> None:
    user = _user(NOBODY, NOBODY, folder)
    _assert_refused(user.check(project), 3, "a sandbox needs root here", "`sudo` without a password")
    _assert_refused(
        user.check(project, "--disk-mode", "host"), 3, "this user may not use the Docker engine at unix://", "Start one"
    )


@pytest.fixture
def sudoer(project: Project, folder: Path) -> Iterator[User]:
    """A user made for the test who may become root without a password, and nothing else."""
    subprocess.run([CLONE / "scripts" / "debian-packages.sh", "sudo", "passwd"], check=True)
    name = f"ci-budget-{secrets.token_hex(4)}"
    rule = Path("/etc/sudoers.d") / name
    subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", name], check=True)
    try:
        rule.write_text(f"{name} ALL=(ALL) NOPASSWD: ALL\n")
        rule.chmod(0o440)
        entry = pwd.getpwnam(name)
        yield _user(entry.pw_uid, entry.pw_gid, folder)
    finally:
        rule.unlink(missing_ok=True)
        subprocess.run(["userdel", name], check=True)


def test_a_user_with_sudo_gets_the_sandbox(project: Project, sudoer: User, leftovers: LeftoverWatch) -> None:
    """Nothing in the working directory runs as root, and what was written belongs to the user."""
    (project.folder / "ci_budget").mkdir()
    (project.folder / "ci_budget" / "__init__.py").write_text("raise SystemExit(0)\n")
    project.write(
        "FROM test/busybox\nARG FROM_ENVIRONMENT\nRUN --mount=type=secret,id=TOKEN "
        'test "$FROM_ENVIRONMENT $(cat /run/secrets/TOKEN)" = "given secret-given"\n',
        build_args={"FROM_ENVIRONMENT": ""},
        secrets=["id=TOKEN"],
    )
    output = project.folder.parent / "output.md"
    state = project.folder.parent / "home" / "ci-budget-state"
    sudoer.env.update(FROM_ENVIRONMENT="given", TOKEN="secret-given", CI_BUDGET_STATE=str(state))

    done = sudoer.check(project, "--format", "markdown", "--output", str(output))

    assert done.exit_code == 0, done.stdout + done.stderr
    assert done.image["disk"]["mode"] == "sandbox"
    assert done.image["disk"]["enforced"] is True
    assert done.image["disk"]["reason"] == "this user may become root by sudo"
    written = [done.folder, *done.folder.rglob("*"), output]
    assert len(written) > 4
    assert {path.stat().st_uid for path in written} == {sudoer.uid}
    assert "secret-given" not in done.stdout + done.stderr + output.read_text()
    assert {path.name for path in state.iterdir()} >= {"root"}
    met = [path for path in (state, *state.rglob("*")) if not path.is_relative_to(state / "root")]
    assert {path.stat().st_uid for path in met} == {sudoer.uid}


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
        return subprocess.run(
            [*COMMAND, "baseline", "update", "--report", project.report_folder, *arguments],
            cwd=project.folder,
            capture_output=True,
            text=True,
        )

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
