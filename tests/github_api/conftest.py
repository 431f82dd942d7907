"""GitHub as the tests have it: a server that remembers, behind Prism, which holds each call against the description."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci_budget.edges.web.github_api import GitHubApi
from tests.github_api.description import TOOLS, cut_description
from tests.github_api.server import TOKEN, StandIn, serving, storage
from tests.ports import free_port

PRISM = TOOLS / "node_modules" / ".bin" / "prism"


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """The same GitHub: checked by Prism, and without it, for answers that the description does not know."""

    checked: str
    bare: str
    enterprise: str


@pytest.fixture(scope="session")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StandIn, Addresses]]:
    """Both servers and Prism, once for all tests."""
    if not PRISM.exists():
        raise RuntimeError("Prism is not there; scripts/node-tools.sh installs it (make test does)")
    state = StandIn()
    with (
        serving(state) as bare,
        serving(state, prefix="/api/v3") as enterprise,
        storage(state) as archives,
        _Prism(bare, tmp_path_factory.mktemp("prism")) as checked,
    ):
        state.storage = archives
        yield state, Addresses(checked=checked, bare=bare, enterprise=enterprise)


@pytest.fixture
def github(addresses: tuple[StandIn, Addresses]) -> Iterator[StandIn]:
    """The state, empty, and every request at the checked address."""
    state, found = addresses
    state.reset()
    state.base = found.checked
    yield state


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Time that passes only where it is slept away."""

    slept: list[float]

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def now(self) -> float:
        return 1_000_000.0 + sum(self.slept)


@pytest.fixture
def clock() -> Clock:
    return Clock(slept=[])


@pytest.fixture
def api(addresses: tuple[StandIn, Addresses], github: StandIn, clock: Clock) -> Iterator[GitHubApi]:
    """The client, each call of which Prism checks."""
    github.storage_refuses_tokens = False  # Prism follows redirects by itself, with all headers
    with _client(addresses[1].checked, clock) as made:
        yield made


@pytest.fixture
def bare(addresses: tuple[StandIn, Addresses], github: StandIn, clock: Clock) -> Iterator[GitHubApi]:
    """The client without Prism in between."""
    github.base = addresses[1].bare
    with _client(addresses[1].bare, clock) as made:
        yield made


def _client(url: str, clock: Clock) -> GitHubApi:
    return GitHubApi(url=url, repository="acme/widgets", token=TOKEN, sleep=clock.sleep, now=clock.now)


class _Prism:
    def __init__(self, upstream: str, folder: Path) -> None:
        description = folder / "github.json"
        description.write_text(json.dumps(cut_description()))
        port = free_port("127.0.0.1")
        self.address = f"http://127.0.0.1:{port}"
        self.log = folder / "prism.log"
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen(
                [PRISM, "proxy", description, upstream, "--errors", "-h", "127.0.0.1", "-p", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )

    def __enter__(self) -> str:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.address}/user", timeout=5):
                    return self.address
            except urllib.error.HTTPError:
                return self.address
            except OSError:
                time.sleep(0.05)
        self.__exit__()
        raise RuntimeError(f"Prism does not start: {self.log.read_text()}")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=120)
