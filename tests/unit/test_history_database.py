"""The history in SQLite, and where it lies."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_budget.commands.history_recording import record_check
from ci_budget.edges.history.address import Address, history_address, kept_by_root
from ci_budget.edges.history.database import open_history
from ci_budget.errors import ConfigError, UnmeasuredError
from tests import history_cases
from tests.unit.history_samples import built, night, recorded


@pytest.fixture
def address(tmp_path: Path) -> Address:
    return history_address(None, tmp_path / "state")


@pytest.mark.parametrize("case", history_cases.ALL, ids=lambda case: case.__name__)
def test_in_sqlite(case: Callable[[Address], None], address: Address) -> None:
    case(address)


def test_an_older_database_is_brought_up_and_a_newer_one_is_refused(tmp_path: Path) -> None:
    address = history_address(None, tmp_path)
    history_cases.an_older_database_is_brought_up(address)
    with pytest.raises(UnmeasuredError) as found, open_history(address, "", write=True):
        pass
    assert str(found.value) == (
        f"the history {tmp_path}/history.sqlite was written by a newer ci-budget: its schema is version 4, and this "
        "one knows version 3\n  Upgrade ci-budget to the release that wrote it."
    )


def test_nothing_is_made_for_a_reader(address: Address) -> None:
    with pytest.raises(UnmeasuredError) as found, open_history(address, "", write=False):
        pass
    assert str(found.value) == (
        f"the history {address.file} does not exist yet: no run was recorded\n  `ci-budget check` records into it; "
        "`ci-budget report --import FOLDER` takes kept report.json files in."
    )
    assert address.file is not None
    assert not address.file.parent.exists()


def test_a_locked_one_says_so_and_does_not_touch_the_run(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ci_budget.edges.history.database.WAIT", 0.2)
    with open_history(address, "", write=True):
        pass
    assert address.file is not None
    said: list[str] = []
    holder = sqlite3.connect(address.file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    report = night(0, built())
    record_check(report, {}, address, repository="", say=said.append)
    holder.execute("ROLLBACK")
    holder.close()
    assert said == [
        f"this run is not recorded: the history {address.file} is locked by another process, for longer than 10 s "
        f"(database is locked)\n  Try again when it has ended; `fuser {address.file}` names it."
    ]


@pytest.mark.parametrize("damage", ["overwritten", "cut", "no database"])
def test_a_damaged_one_says_so_and_stays(address: Address, damage: str) -> None:
    with open_history(address, "", write=True) as history:
        for index in range(30):
            history.record(*recorded(night(index, built())))
    file = address.file
    assert file is not None
    whole = file.read_bytes()
    hurt = {
        "overwritten": whole[:100] + b"\xff" * (len(whole) - 100),
        "cut": whole[: len(whole) // 2],
        "no database": b"this is my shopping list, please keep it\n" * 30,
    }[damage]
    file.write_bytes(hurt)
    with pytest.raises(UnmeasuredError) as found, open_history(address, "", write=True) as history:
        history.record(*recorded(night(40, built())))
    assert str(found.value).startswith(f"the history {file} is damaged, or no history of ci-budget (")
    assert str(found.value).endswith(
        f")\n  Move it away (`mv {file} {file}.damaged`); `ci-budget report --import FOLDER` fills a new one from kept "
        "report.json files."
    )
    assert file.read_bytes() == hurt


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////srv/history.db", "/srv/history.db"),
        ("sqlite:///history%20of%20us.db", "history of us.db"),
        ("postgresql://ci@db.example:5433/builds", "postgresql://ci@db.example:5433/builds"),
        ("postgres://ci:secret@db/builds?sslmode=require", "postgresql://ci@db/builds"),
        ("postgresql:///builds?host=/run/postgresql&password=secret", "postgresql:///run/postgresql/builds"),
        ("postgresql://ci:s%40ecret@[::1]:5432/builds", "postgresql://ci@::1:5432/builds"),
    ],
)
def test_an_address_shows_no_password(url: str, shown: str, tmp_path: Path) -> None:
    address = history_address(url, tmp_path)
    assert address.shown == shown
    assert "ecret" not in repr(address)


def test_what_a_driver_says_is_shown_without_the_password(tmp_path: Path) -> None:
    address = history_address("postgresql://ci:s%40ecret@db/builds?sslpassword=hidden", tmp_path)
    said = address.scrub("no login with s%40ecret (s@ecret), key hidden")
    assert said == "no login with *** (***), key ***"


@pytest.mark.parametrize(
    "url",
    [
        "mysql://ci:secret@db/builds",
        "secret",
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql://ci:se/secret@db/builds",
        "postgresql://ci:12/secret@db/builds",
        "postgresql://ci:se#secret@db/builds",
        "postgresql://ci:12?secret@db/builds",
        "postgresql://ci@db:port/secret",
    ],
)
def test_a_url_that_cannot_be_used_is_not_quoted(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as found:
        history_address(url, tmp_path)
    assert "secret" not in str(found.value)


def test_runs_of_root_are_found_by_a_user_who_has_none(tmp_path: Path) -> None:
    system, own = tmp_path / "var", tmp_path / "home"
    for folder in (system, own):
        folder.mkdir()
    mine = history_address(None, own)
    assert kept_by_root(mine, system) == mine
    (system / "history.sqlite").touch()
    assert kept_by_root(mine, system).file == system / "history.sqlite"
    (own / "history.sqlite").touch()
    assert kept_by_root(mine, system) == mine
