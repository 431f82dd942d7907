"""Users other than root: one without any right, and one who may become root. Root's own state directory is theirs."""

from __future__ import annotations

import os
import pwd
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engine.leftovers import LeftoverWatch
from tests.engine.projects import Project, Result, assert_refused
from tests.engine_access import CLONE

NOBODY = 65534
PYTHON = "/usr/bin/python3"
"""An interpreter that every user may run; the one of these tests may lie in root's home."""


@pytest.fixture
def project(open_folder: Path, busybox_base: str) -> Project:
    """A project of one small image."""
    made = Project(folder=open_folder / "project")
    made.write("FROM test/busybox AS run\nRUN dd if=/dev/zero of=/a bs=1M count=5\n")
    return made


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
            timeout=500,
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


def test_a_user_without_any_right(project: Project, open_folder: Path) -> None:
    user = _user(NOBODY, NOBODY, open_folder)
    assert_refused(user.check(project), 3, "a sandbox needs root here", "`sudo` without a password")
    assert_refused(
        user.check(project, "--disk-mode", "host"), 3, "this user may not use the Docker engine at unix://", "Start one"
    )


@pytest.fixture
def sudoer(project: Project, open_folder: Path) -> Iterator[User]:
    """A user made for the test who may become root without a password, and nothing else."""
    subprocess.run([CLONE / "scripts" / "debian-packages.sh", "sudo", "passwd"], check=True)
    name = f"ci-budget-{secrets.token_hex(4)}"
    rule = Path("/etc/sudoers.d") / name
    subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", name], check=True)
    try:
        rule.write_text(f"{name} ALL=(ALL) NOPASSWD: ALL\n")
        rule.chmod(0o440)
        entry = pwd.getpwnam(name)
        yield _user(entry.pw_uid, entry.pw_gid, open_folder)
    finally:
        rule.unlink(missing_ok=True)
        subprocess.run(["userdel", "--force", name], check=True)  # whatever of it may still be ending


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
