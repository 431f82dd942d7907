"""The history in a real PostgreSQL server."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from ci_budget.edges.history.address import Address, history_address
from ci_budget.edges.history.database import open_history
from ci_budget.errors import UnmeasuredError
from tests import history_cases
from tests.engine.postgresql.conftest import PASSWORD, url
from tests.engine.projects import run_tool
from tests.unit.history_samples import GB, built, night, recorded, write_report

pytestmark = pytest.mark.beside


@pytest.fixture
def address(database: str, tmp_path: Path) -> Address:
    return history_address(database, tmp_path)


@pytest.mark.parametrize("case", history_cases.ALL, ids=lambda case: case.__name__)
def test_in_postgresql(case: Callable[[Address], None], address: Address) -> None:
    case(address)


def test_an_older_database_is_brought_up_and_a_newer_one_is_refused(address: Address) -> None:
    history_cases.an_older_database_is_brought_up(address)
    assert complaint(address) == (
        f"the history {address.shown} was written by a newer ci-budget: its schema is version 4, and this one knows "
        "version 3\n  Upgrade ci-budget to the release that wrote it."
    )


def test_an_empty_one_has_nothing_to_read(address: Address) -> None:
    assert f"the history {address.shown} does not exist yet" in complaint(address, write=False)


def test_a_locked_one(address: Address, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ci_budget.edges.history.database.WAIT", 1)
    with open_history(address, "", write=True):
        pass
    with psycopg.connect(database) as holder:
        holder.execute("LOCK TABLE ci_budget_images IN ACCESS EXCLUSIVE MODE")
        assert f"the history {address.shown} is locked by another process" in complaint(address)


def test_a_read_only_one(address: Address, on_server: Callable[[str], None]) -> None:
    with open_history(address, "", write=True) as history:
        history.record(*recorded(night(0, built())))
    on_server(f"ALTER DATABASE {address.shown.rpartition('/')[2]} SET default_transaction_read_only = on")
    assert complaint(address) == (
        f"the history {address.shown} may not be written (cannot execute INSERT in a read-only transaction)\n  Give "
        "this user the right to create and write tables there."
    )
    with open_history(address, "", write=False) as history:
        assert history.images() == ["web"]


def test_a_login_that_fails_shows_no_password(server: str, tmp_path: Path) -> None:
    done = report(url(server, "postgres", password="not the password"), tmp_path)
    assert done.returncode == 3
    assert f"ci-budget: the history postgresql://ci@{server}/postgres does not let this user in (" in done.stderr
    assert "Give the right user in history.url and the password in PGPASSWORD or ~/.pgpass." in done.stderr
    assert "not the password" not in done.stderr + done.stdout
    assert "not%20the%20password" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("place", "said", "mend"),
    [
        ("127.0.0.1:1/builds", "cannot be reached", "Start the server, or correct history.url."),
        ("SERVER/nothing", "cannot be opened", "Create the database, or correct history.url."),
    ],
)
def test_a_database_that_is_not_there(server: str, tmp_path: Path, place: str, said: str, mend: str) -> None:
    place = place.replace("SERVER", server)
    told = complaint(history_address(url(*place.split("/")), tmp_path))
    assert told.startswith(f"the history postgresql://ci@{place} {said} (")
    assert told.endswith(f")\n  {mend}")
    assert PASSWORD not in told


def test_reports_of_a_fleet_are_imported_and_reported(database: str, tmp_path: Path) -> None:
    for index in range(3):
        write_report(tmp_path / "reports" / str(index), night(index, built(size=GB + index * GB // 2)))
    words = ("--import", str(tmp_path / "reports"), "--days", "3650", "--repository", "acme/shop")
    done = report(database.replace(quote(PASSWORD, safe=""), ""), tmp_path, *words, PGPASSWORD=PASSWORD)
    shown = database.replace(f":{quote(PASSWORD, safe='')}", "")
    assert done.stderr == f"imported 3 new of 3 measurements from 3 reports into {shown}\n"
    assert "| `web` | pass | image_size | 2.00 GB | +1.00 GB (+100.0 %) | - | - | - | - |" in done.stdout
    assert (
        report(database, tmp_path, *words).stderr == f"imported 0 new of 3 measurements from 3 reports into {shown}\n"
    )


def complaint(address: Address, *, write: bool = True) -> str:
    """What a writer, or a reader, is told."""
    with pytest.raises(UnmeasuredError) as found, open_history(address, "", write=write) as history:
        history.record(*recorded(night(50, built("new"))))
    return str(found.value)


def report(history: str, folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return run_tool(folder, "report", *words, env={"CI_BUDGET_REPORT_HISTORY": history, **env})
