"""Crash reports: a few are kept, and not for ever."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ci_budget.edges.files.crash_reports import keep_crash_report, old_crash_reports
from ci_budget.edges.sites.leftovers import find_leftovers, remove_leftovers

DAY = 24 * 3600


def test_the_oldest_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI_BUDGET_STATE", str(tmp_path / "ci-budget"))
    kept = []
    for number in range(25):
        path = keep_crash_report(f"crash {number}")
        assert path is not None
        os.utime(path, (number, number))
        kept.append(path)
    assert [path for path in kept if path.exists()] == kept[5:]
    assert kept[-1].read_text() == "crash 24"


def test_old_ones_are_leftovers_and_go(tmp_path: Path) -> None:
    (tmp_path / "crashes").mkdir()
    old, new = tmp_path / "crashes" / "crash-aa.txt", tmp_path / "crashes" / "crash-bb.txt"
    for path, age in ((old, 31 * DAY), (new, 29 * DAY)):
        path.write_text("x")
        os.utime(path, (time.time() - age, time.time() - age))
    assert old_crash_reports(tmp_path, time.time()) == [old]
    assert [one.label for one in find_leftovers(tmp_path, None)] == ["crash report aa"]
    remove_leftovers(tmp_path, None)
    assert sorted((tmp_path / "crashes").iterdir()) == [new]
    assert old_crash_reports(tmp_path / "none", time.time()) == []
