"""Where the state lies, by who runs and what the environment says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ci_budget.edges.sites.state import root_state, state_directory

NOBODY = 65534


def _is(uid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user without root, which CI_BUDGET_STATE names."""
    folder = tmp_path / "home" / "ci-budget"
    folder.mkdir(parents=True)
    if os.geteuid() == 0:
        for path in (folder, folder.parent):
            os.chown(path, NOBODY, NOBODY)
    monkeypatch.setenv("CI_BUDGET_STATE", str(folder))
    return folder


def test_root_s_part_of_a_user_s_folder_lies_in_one_of_its_own(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _is(NOBODY, monkeypatch)
    assert state_directory() == named
    assert root_state() == named / "root"
    _is(0, monkeypatch)
    assert state_directory() == named / "root"
    assert (named / "root").is_dir()


def test_the_folder_need_not_be_there(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI_BUDGET_STATE", str(named.parent / "deep" / "er"))
    assert root_state() == named.parent / "deep" / "er" / "ci-budget" / "root"


def test_root_s_own_folder_has_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI_BUDGET_STATE", "/root-s/ci-budget")
    assert root_state() == Path("/root-s/ci-budget")


def test_without_a_name_root_and_users_have_nothing_in_common(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI_BUDGET_STATE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert root_state() == Path("/var/lib/ci-budget")
    _is(NOBODY, monkeypatch)
    assert state_directory() == tmp_path / "xdg" / "ci-budget"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert state_directory() == tmp_path / "home" / ".local" / "state" / "ci-budget"
