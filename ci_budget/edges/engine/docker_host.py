"""The address of the runner's own engine."""

from __future__ import annotations

import os

from ci_budget.edges.processes import run


def current_docker_host() -> str:
    """The engine that the user's docker command talks to: $DOCKER_HOST, else the current context's address."""
    named = os.environ.get("DOCKER_HOST")
    if named:
        return named
    done = run(["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], check=False)
    return done.text.strip() or "unix:///var/run/docker.sock"
