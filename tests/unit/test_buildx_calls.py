"""How buildx is found and asked: as docker finds it, no oftener than needed, and never beyond the run that asks."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ci_budget.edges.engine.buildx import BuildRequest, Buildx
from ci_budget.edges.engine.plugins import buildx_command
from ci_budget.errors import BuildFailedError, UnmeasuredError

THROUGH_DOCKER = ["docker", "buildx"]


@pytest.fixture(autouse=True)
def system_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Docker's own folder for plugins, and two instead of the system's."""
    folders = [tmp_path / name / "cli-plugins" for name in ("docker", "local", "lib")]
    monkeypatch.setenv("DOCKER_CONFIG", str(folders[0].parent))
    monkeypatch.setattr("ci_budget.edges.engine.plugins._SYSTEM", tuple(map(str, folders[1:])))
    return folders


def plugin(folder: Path, text: str = "exit 1", mode: int = 0o755) -> Path:
    """A plugin in that folder, a shell script."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / "docker-buildx"
    made.write_text(f"#!/bin/sh\n{text}\n")
    made.chmod(mode)
    return made


def test_the_plugin_that_docker_would_take_is_run(system_folders: list[Path]) -> None:
    found = [buildx_command()]
    for folder in reversed(system_folders):
        found.append([str(plugin(folder))])
        assert buildx_command() == found[-1]
    assert found[0] == THROUGH_DOCKER


def test_the_folders_of_the_configuration_come_first(tmp_path: Path, system_folders: list[Path]) -> None:
    plugin(system_folders[0])
    named = plugin(tmp_path / "named")
    settings = {"cliPluginsExtraDirs": [str(tmp_path / "none"), str(named.parent)]}
    (system_folders[0].parent / "config.json").write_text(json.dumps(settings))
    assert buildx_command() == [str(named)]


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"cliPluginsExtraDirs": "x"}', '{"cliPluginsExtraDirs": [1]}'])
def test_a_configuration_that_names_none_is_passed_over(text: str, system_folders: list[Path]) -> None:
    own = plugin(system_folders[0])
    (system_folders[0].parent / "config.json").write_text(text)
    assert buildx_command() == [str(own)]


def test_without_a_configuration_of_its_own_it_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_CONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    own = plugin(tmp_path / ".docker" / "cli-plugins")
    assert buildx_command() == [str(own)]


def test_docker_says_what_is_wrong_with_a_plugin_that_cannot_be_run(system_folders: list[Path]) -> None:
    plugin(system_folders[0], mode=0o644)
    plugin(system_folders[1])
    assert buildx_command() == THROUGH_DOCKER


def test_the_version_is_asked_once(tmp_path: Path, system_folders: list[Path]) -> None:
    calls = tmp_path / "calls"
    plugin(system_folders[0], f'echo "$*" >> {calls}; echo github.com/docker/buildx v0.29.1 x')
    for host in ("unix:///a", "unix:///b"):
        assert Buildx(host).version() == "0.29.1"
    assert calls.read_text() == "version\n"


def test_another_plugin_in_its_place_is_asked_anew(system_folders: list[Path]) -> None:
    os.utime(plugin(system_folders[0], "echo v0.29.1"), ns=(1, 1))
    assert Buildx("unix:///a").version() == "0.29.1"
    os.utime(plugin(system_folders[0], "echo v0.30.0"), ns=(2, 2))
    assert Buildx("unix:///a").version() == "0.30.0"


def test_buildkits_version_is_that_of_the_builder(tmp_path: Path, system_folders: list[Path]) -> None:
    said = "Name: far\nNodes:\nBuildKit version: v0.23.1\nPlatforms: linux/amd64"
    plugin(system_folders[0], f"test \"$DOCKER_HOST $*\" = 'unix:///a inspect far' && echo '{said}'")
    assert Buildx("unix:///a", "far").buildkit_version() == "0.23.1"
    assert Buildx("unix:///a", "other").buildkit_version() is None


def test_a_question_that_nobody_waits_for_ends_with_the_block(tmp_path: Path, system_folders: list[Path]) -> None:
    started = tmp_path / "pid"
    os.mkfifo(started)
    plugin(system_folders[0], f"echo $$ > {started}; exec sleep 300")
    with Buildx("unix:///a").asking_buildkit():
        pid = int(started.read_text())
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("printed", "reason"),
    [("#1 ERROR: lost\n------\n   1 | FROM a\nERROR: no such host\n", "no such host"), ("killed", "killed")],
)
def test_stages_that_cannot_be_listed_are_told_by_the_last_error(
    tmp_path: Path, system_folders: list[Path], printed: str, reason: str
) -> None:
    plugin(system_folders[0], f"cat >&2 <<'E'\n{printed}\nE\nexit 1")
    with pytest.raises(UnmeasuredError) as caught:
        Buildx("unix:///a").targets(BuildRequest(context=tmp_path, dockerfile=Path("D")))
    assert caught.value.what == f"the engine could not list the stages of D: {reason}"


def test_what_the_engine_cannot_read_is_the_dockerfiles_fault(tmp_path: Path, system_folders: list[Path]) -> None:
    said = "ERROR: failed to build: failed to solve: dockerfile parse error on line 20: unknown flag: --x"
    plugin(system_folders[0], f"echo '{said}' >&2; exit 1")
    with pytest.raises(BuildFailedError) as caught:
        Buildx("unix:///a").targets(BuildRequest(context=tmp_path, dockerfile=Path("D")))
    assert (caught.value.what, caught.value.line) == ("the engine cannot read the Dockerfile: unknown flag: --x", 20)
