"""What all tests share: a clean environment, and the engine for those that ask for it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine_access import LANE, STATES, Engine, find_engine

# A CI job's own variables would change what the tool does; the tests that are about them set them.
_FOREIGN = ("GITHUB_", "RUNNER_", "ACTIONS_", "INPUT_", "CI_BUDGET_", "BUILDX_", "BUILDKIT_")
_FOREIGN_NAMES = ("CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "DOCKER_BUILDKIT")

_LACKING = pytest.StashKey[list[str]]()


def pytest_configure() -> None:
    """A background job of a script inherits that SIGINT is ignored, and so would all that the tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make test` wants every test run."""
    parser.addoption("--fail-on-skip", action="store_true", help="a skipped test fails the whole run")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what this machine's kernel lacks, by the marker `kernel("feature")`; the summary names it."""
    lacking: dict[pytest.Item, str] = {}
    for item in items:
        for marker in item.iter_markers("kernel"):
            (feature,) = marker.args
            if not kernel_has(feature):
                lacking[item] = feature
    config.stash[_LACKING] = [f"{item.nodeid}: the kernel has no {feature}" for item, feature in lacking.items()]
    if lacking:
        config.hook.pytest_deselected(items=list(lacking))
        items[:] = [item for item in items if item not in lacking]


def kernel_has(feature: str) -> bool:
    """Whether `feature` is a filesystem, a miscellaneous device or a loaded module of this kernel."""
    lists = Path("/proc/filesystems").read_text() + Path("/proc/misc").read_text()
    return feature in lists.split() or Path("/sys/module", feature.replace("-", "_")).exists()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was deselected for the kernel's sake, and what was skipped against the rule."""
    for line in config.stash.get(_LACKING, []):
        terminalreporter.write_line(f"DESELECTED {line}")
    if _forbidden_skips(config):
        terminalreporter.write_line("skipped tests are failures here (--fail-on-skip)", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With `--fail-on-skip` a skipped test fails the run."""
    if _forbidden_skips(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _forbidden_skips(config: pytest.Config) -> bool:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return bool(config.getoption("--fail-on-skip") and reporter and reporter.stats.get("skipped"))


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> Iterator[None]:
    """The environment without the variables that steer the tool; its state lies in the clone and is kept for seeds."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_FOREIGN) or name in _FOREIGN_NAMES:
                patch.delenv(name)
        patch.setenv("CI_BUDGET_STATE", str(STATES[LANE]))
        yield


@pytest.fixture(scope="session")
def engine(clean_environment: None) -> Iterator[Engine]:
    """The Docker engine of `make engine`; its variables stand in `os.environ` for the rest of the session.

    Raises RuntimeError, so that the tests end in an error and not in a skip, when there is none.
    """
    found = find_engine()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found.env.items():
            if os.environ.get(name) != value:
                patch.setenv(name, value)
        yield found


@pytest.fixture(scope="session")
def busybox_base(engine: Engine) -> str:
    """Name of a local 2 MB image: a static busybox with all its applets."""
    return engine.make_base("busybox")


@pytest.fixture(scope="session")
def debian_base(engine: Engine) -> str:
    """Name of a local Debian image with Python 3.11, pip and venv; `apt-get` and `pip` reach the network in builds."""
    return engine.make_base("python")
