"""Tests against a real engine: it is in the environment of every one of them, and they can ask what was left behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command_server import command_server
from tests.engine import projects
from tests.engine.leftovers import MARKER, LeftoverWatch
from tests.engine_access import Engine

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs an engine."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="session", autouse=True)
def engine_in_environment(engine: Engine) -> Iterator[Engine]:
    """`docker` speaks to the engine, in this process and in its children; they bear a mark that `leftovers` knows.

    So does the server that runs `ci-budget` for `run_tool`.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARKER.name, MARKER.value)
        with command_server() as server:
            patch.setattr(projects, "SERVER", server)
            yield engine


@pytest.fixture(scope="session", autouse=True)
def nothing_left(engine: Engine, engine_in_environment: Engine) -> Iterator[None]:
    """Fails the run when any of its tests, with a watch of its own or without, left something of the tool."""
    watch = LeftoverWatch.start(engine)
    yield
    watch.assert_none()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may pass: pytest closes its own to all but root whenever a session starts."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def leftovers(engine: Engine) -> Iterator[LeftoverWatch]:
    """Fails the test when something of the tool is left after it; call `assert_none()` for a look in the middle."""
    watch = LeftoverWatch.start(engine)
    yield watch
    watch.assert_none()
