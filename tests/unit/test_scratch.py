"""Folders for a moment: gone with their run, or with the next one after a SIGKILL; nobody else's are touched."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ci_budget.edges.sites.scratch import scratch_folder, sweep_scratch

_KILLED = """
import os, signal
from ci_budget.edges.sites.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "secret").write_text("x")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_goes_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    done = subprocess.run([sys.executable, "-c", _KILLED], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    left = Path(done.stdout.strip())
    namespace, pid, started, name = left.name.removeprefix("ci-budget-").split("-")
    foreign = tmp_path / f"ci-budget-{int(namespace) + 1}-{pid}-{started}-{name}"
    foreign.mkdir()
    (tmp_path / "ci-budget-mine").mkdir()
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (tmp_path / f"ci-budget-{namespace}-{pid}-1-link").symlink_to(precious)
    with scratch_folder() as own:
        assert (left / "secret").exists()
        sweep_scratch()
        assert own.is_dir()
        assert own.parent == tmp_path
    assert not own.exists()
    assert not left.exists()
    assert foreign.is_dir()
    assert (tmp_path / "ci-budget-mine").is_dir()
    assert (precious / "file").exists()
