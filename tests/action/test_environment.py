"""The private virtual environment: made once, reused, shared by jobs that start together, never used half made."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.action.conftest import REPOSITORY, Ran, Runner, run

pytestmark = pytest.mark.beside

MAKING = "::group::ci-budget: make the Python environment"


def run_action(action: Path, runner: Runner, **more: str) -> Ran:
    return run(["bash", action / "action" / "run.sh", "--version"], env={**runner.env, **more}, cwd=runner.home)


def test_two_jobs_at_once_share_one_environment(runner: Runner) -> None:
    assert [ran.exit_code for ran in runner.first_runs] == [0, 0], runner.first_runs
    for ran in runner.first_runs:
        assert MAKING in ran.text
        assert ran.text.splitlines()[-1].startswith("ci-budget ")
    (only,) = runner.environments()
    assert only.name.startswith("venv-")


def test_the_next_job_reuses_it(action_folder: Path, runner: Runner) -> None:
    (before,) = runner.environments()
    identity = before.stat().st_ino
    ran = run_action(action_folder, runner)
    assert ran.exit_code == 0, ran.text
    assert ran.text.startswith("ci-budget ")
    (after,) = runner.environments()
    assert (after, after.stat().st_ino) == (before, identity)


def test_modules_of_the_working_directory_are_not_imported(action_folder: Path, runner: Runner, tmp_path: Path) -> None:
    for name in ("click", "ci_budget", "venv", "hashlib"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken over')\n")
    ran = run(
        ["bash", action_folder / "action" / "run.sh", "--version"],
        env={**runner.env, "PYTHONPATH": ""},
        cwd=tmp_path,
    )
    assert (ran.exit_code, ran.text.startswith("ci-budget ")) == (0, True), ran.text


@pytest.fixture(scope="module")
def small_action(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The action's scripts around a package that needs nothing, so that its environment is made quickly."""
    folder = tmp_path_factory.mktemp("small")
    shutil.copytree(REPOSITORY / "action", folder / "action")
    (folder / "ci_budget").mkdir()
    (folder / "ci_budget" / "__init__.py").write_text("")
    (folder / "ci_budget" / "cli.py").write_text("")
    (folder / "ci_budget" / "__main__.py").write_text("import os, sys; print('ran', sys.argv[1:], os.getpid())\n")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "ci-budget"\nversion = "0"\n[tool.hatch.build.targets.wheel]\npackages = ["ci_budget"]\n'
    )
    (folder / "requirements.lock").write_text("# nothing\n")
    shutil.copy(REPOSITORY / "requirements-build.lock", folder / "requirements-build.lock")
    return folder


def test_broken_and_half_made_environments_are_never_used(small_action: Path, tmp_path: Path) -> None:
    runner = Runner(home=tmp_path)
    first = run_action(small_action, runner)
    assert first.exit_code == 0, first.text
    assert first.text.splitlines()[-1].startswith("ran ['--version'] ")
    (made,) = runner.environments()
    # its interpreter goes away, as after an upgrade of the system's Python; others were killed, or lie unused
    (made / "bin" / "python").unlink()
    for name, days in (("making-now", 0.1), ("making-killed", 2), ("venv-used", 20), ("venv-unused", 40)):
        other = runner.tool_cache / "ci-budget" / name
        (other / "bin").mkdir(parents=True)
        (other / "bin" / "python").symlink_to("/bin/false")
        os.utime(other, (0, other.stat().st_mtime - days * 24 * 3600))
    second = run_action(small_action, runner)
    assert (second.exit_code, MAKING in second.text) == (0, True), second.text
    assert [path.name for path in runner.environments()] == sorted(["making-now", made.name, "venv-used"])
    # the program takes the place of the step's shell, so that a cancelled job's signals reach it
    shell = ["bash", "-c", 'echo $$; exec bash "$0" "a b"', small_action / "action" / "run.sh"]
    third = run(shell, env=runner.env, cwd=runner.home)
    pid, said = third.text.splitlines()
    assert (third.exit_code, said) == (0, f"ran ['a b'] {pid}")


def test_a_lock_whose_hash_is_wrong_is_refused(small_action: Path, tmp_path: Path) -> None:
    action = tmp_path / "action"
    shutil.copytree(small_action, action)
    lock = action / "requirements-build.lock"
    lines = [
        f"    --hash=sha256:{'0' * 64}" + (" \\" if line.endswith("\\") else "") if "--hash=" in line else line
        for line in lock.read_text().splitlines()
    ]
    lock.write_text("\n".join(lines) + "\n")
    runner = Runner(home=tmp_path)
    outputs = tmp_path / "outputs"
    ran = run_action(action, runner, GITHUB_OUTPUT=str(outputs))
    assert ran.exit_code == 3, ran.text
    assert "::error title=ci-budget::the locked dependencies could not be installed." in ran.text
    assert "HASHES" in ran.text
    assert outputs.read_text() == "verdict=not-measured\nexit-code=3\n"
    assert runner.environments() == []


def write_script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH with a shell and no Python at all."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "dirname"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


INSTALL = (
    " Install it (Debian, Ubuntu: apt-get install python3 python3-venv), or put actions/setup-python before this step."
)


def run_bare(path: Path, tmp_path: Path) -> tuple[Ran, str, str]:
    env = {
        "PATH": str(path),
        "HOME": str(tmp_path),
        "GITHUB_OUTPUT": str(tmp_path / "outputs"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    ran = run([path / "bash", REPOSITORY / "action" / "run.sh", "--version"], env=env, cwd=tmp_path)
    return ran, (tmp_path / "outputs").read_text(), (tmp_path / "summary").read_text()


def test_no_python_gets_a_clear_message(bare_path: Path, tmp_path: Path) -> None:
    ran, outputs, summary = run_bare(bare_path, tmp_path)
    message = f"ci-budget needs Python 3.11 or newer on this runner; none was found.{INSTALL}"
    assert (ran.exit_code, ran.text) == (3, f"::error title=ci-budget::{message}\n")
    assert outputs == "verdict=not-measured\nexit-code=3\n"
    assert summary == f"### ci-budget: exit 3\n\n{message}\n"


def test_an_old_python_gets_a_clear_message(bare_path: Path, tmp_path: Path) -> None:
    write_script(bare_path / "python3", "#!/bin/sh\necho 3.9.18\nexit 1\n")
    write_script(bare_path / "python3.12", "#!/bin/sh\necho 'command not found' >&2\nexit 127\n")
    ran, outputs, _ = run_bare(bare_path, tmp_path)
    message = f"ci-budget needs Python 3.11 or newer on this runner; python3 is 3.9.18.{INSTALL}"
    assert (ran.exit_code, ran.text) == (3, f"::error title=ci-budget::{message}\n")
    assert outputs == "verdict=not-measured\nexit-code=3\n"


def test_a_newer_python_beside_an_old_one_is_found(bare_path: Path, tmp_path: Path) -> None:
    write_script(bare_path / "python3", "#!/bin/sh\necho 3.9.18\nexit 1\n")
    write_script(
        bare_path / "python3.12",
        '#!/bin/sh\nif [ "$2" = -c ]; then echo 3.12.1; else echo "took $0 $1 ${2##*/} $3"; fi\n',
    )
    env = {"PATH": str(bare_path), "HOME": str(tmp_path)}
    ran = run([bare_path / "bash", REPOSITORY / "action" / "run.sh", "--version"], env=env, cwd=tmp_path)
    assert (ran.exit_code, ran.text) == (0, f"took {bare_path}/python3.12 -I environment.py --version\n")
