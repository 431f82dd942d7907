"""The runner's own engine."""

from __future__ import annotations

from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.errors import UnmeasuredError


def open_host_engine() -> tuple[DockerEngine | None, str]:
    """The runner's own engine where one answers, else None and the problem."""
    from ci_budget.edges.engine.docker_host import current_docker_host

    try:
        return DockerEngine(current_docker_host()), ""
    except UnmeasuredError as error:
        return None, error.what
