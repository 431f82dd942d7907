"""The versions of what builds, asked before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_budget.commands.preflight import check_tools
from ci_budget.edges.sites.disk_mode import DiskMode
from ci_budget.errors import UnmeasuredError

SANDBOX = DiskMode(mode="sandbox", reason="this user is root")
NEW = "Docker version 28.5.2+dfsg4, build 7e0b1ee"
BUILDX = "github.com/docker/buildx v0.29.1 x"


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, *, dockerd: str, buildx: str) -> None:
    """Programs that say these versions are the only ones there are."""
    for path, text in ((folder / "dockerd", dockerd), (folder / "cli-plugins" / "docker-buildx", buildx)):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\necho '{text}'\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")


def test_new_ones_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch, dockerd=NEW, buildx=BUILDX)
    assert check_tools(SANDBOX, None) == "engine 28.5.2+dfsg4, buildx 0.29.1"


@pytest.mark.parametrize(
    ("dockerd", "buildx", "said"),
    [
        ("Docker version 20.10.24+dfsg1, build x", BUILDX, "the dockerd of this machine is 20.10.24+dfsg1; a sandbox"),
        ("what?", BUILDX, "the dockerd of this machine is of an unknown version; a sandbox needs 23.0 or newer"),
        (NEW, "github.com/docker/buildx v0.14.1 x", "buildx is v0.14.1; ci-budget needs 0.15 or newer"),
        (NEW, "docker: 'buildx' is not a docker command.", "docker has no buildx plugin here"),
    ],
)
def test_old_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dockerd: str, buildx: str, said: str
) -> None:
    programs(tmp_path, monkeypatch, dockerd=dockerd, buildx=buildx)
    with pytest.raises(UnmeasuredError) as refused:
        check_tools(SANDBOX, None)
    assert refused.value.what.startswith(said)
    assert refused.value.mend
