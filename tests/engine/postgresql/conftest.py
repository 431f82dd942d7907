"""A PostgreSQL server for the tests in this folder: Debian's, in an image built here, run by pytest-docker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from pytest_docker.plugin import Services

COMPOSE = Path(__file__).parent / "compose.yaml"
PASSWORD = "a pass:word/with@signs"
_NUMBERS = count(1)


@pytest.fixture(scope="session")
def docker_compose_file(debian_base: str) -> Path:
    """What pytest-docker starts; the image stays in the engine for the next session."""
    return COMPOSE


@pytest.fixture(scope="session")
def docker_compose_project_name() -> str:
    return f"test-{os.getpid()}"


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    return ["down --volumes --timeout 0"]


@pytest.fixture(scope="session")
def server(docker_ip: str, docker_services: Services) -> str:
    """`host:port` of a server that answers."""
    place = f"{docker_ip}:{docker_services.port_for('postgresql', 5432)}"
    docker_services.wait_until_responsive(timeout=240, pause=0.1, check=lambda: _answers(place))
    return place


@pytest.fixture
def database(server: str) -> Iterator[str]:
    """The URL of an empty database, with its password."""
    name = f"history_{next(_NUMBERS)}"
    with psycopg.connect(url(server, "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield url(server, name)


@pytest.fixture
def on_server(server: str) -> Iterator[Callable[[str], None]]:
    """Run a statement as the server's owner."""
    with psycopg.connect(url(server, "postgres"), autocommit=True) as connection:
        yield lambda statement: connection.execute(statement) and None


def url(server: str, name: str, *, user: str = "ci", password: str = PASSWORD) -> str:
    return f"postgresql://{user}:{quote(password, safe='')}@{server}/{name}"


def _answers(place: str) -> bool:
    try:
        psycopg.connect(url(place, "postgres"), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
