"""What goes along when a run becomes root."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.sandbox import privileged_container
from ci_budget.edges.sandbox.privileges import kept_names


def test_the_user_s_builders_are_known_to_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A builder by its name is looked up in buildx's folder; the container sees that folder, and what it writes there
    is the user's."""
    monkeypatch.setenv("BUILDX_CONFIG", str(tmp_path))
    monkeypatch.setenv("UNRELATED", "1")
    kept = kept_names(["MY_TOKEN"])
    assert "BUILDX_CONFIG" in kept
    assert "UNRELATED" not in kept

    engine = object.__new__(DockerEngine)
    engine.docker_host = "unix:///run/docker.sock"
    words = privileged_container._container_words(engine, "image", ["check"], also_kept=(), folders=())

    assert "--env=BUILDX_CONFIG" in words
    assert f"--volume={tmp_path}:{tmp_path}" in words
    assert "--env=SUDO_COMMAND=ci-budget" in words
