"""Host mode: the runner's own engine, its disk watched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.leftovers import LeftoverWatch
from tests.engine.projects import MB, MIB, Project
from tests.engine.quiet_host import QuietHost, quiet_host
from tests.engine_access import Engine


@pytest.fixture(scope="module")
def host(engine: Engine, busybox_base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuietHost]:
    """The engine of this file."""
    with quiet_host(tmp_path_factory.mktemp("state")) as found:
        yield found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project that is checked in host mode."""
    return Project(folder=tmp_path / "project")


def test_every_stage_is_built_cold_and_once_and_nothing_is_left(
    project: Project, host: QuietHost, leftovers: LeftoverWatch
) -> None:
    project.write(
        "FROM test/busybox AS tools\n"
        "RUN dd if=/dev/zero of=/tool bs=1M count=30\n"
        "FROM tools\n"
        "RUN dd if=/dev/zero of=/big bs=1M count=60 && sync && rm /big\n"
        "FROM test/busybox\n"
        "COPY --from=tools /tool /tool\n"
        "COPY --from=1 /tool /second\n"
        "RUN dd if=/dev/zero of=/last bs=1M count=10\n",
        disk={"reserve": "50MB"},
    )
    host.build(project.folder)
    cache, images, used = host.cache(), host.images(), host.used()

    for _ in range(2):
        done = project.check("--disk-mode", "host", env=host.env)
        print(done.stdout, done.stderr)
        for step in done.image["steps"]: print(step)
        print(done.metric("peak_disk"))
        print(host.cache() - cache, cache - host.cache(), host.images() ^ images, host.used() - used)
    assert 0
