"""What a private engine takes over from the host's own: which file is read, which keys count, what is refused."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ci_budget.edges.engine.host_daemon import config_file, inherited_settings, read_config
from ci_budget.errors import UnmeasuredError

TAKEN_OVER: dict[str, Any] = {
    "registry-mirrors": ["http://127.0.0.1:5000"],
    "insecure-registries": ["192.0.2.0/24"],
    "proxies": {"http-proxy": "http://192.0.2.9:3128", "no-proxy": "localhost"},
    "dns": ["192.0.2.53"],
    "dns-opts": ["ndots:2"],
    "dns-search": ["example.test"],
    "runtimes": {"nvidia": {"path": "/usr/bin/nvidia-container-runtime", "args": []}},
    "cdi-spec-dirs": ["/etc/cdi", "/opt/cdi"],
    "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 4096, "Soft": 1024}},
}
HOSTS_OWN: dict[str, Any] = {
    "data-root": "/srv/docker",
    "exec-root": "/run/elsewhere",
    "hosts": ["tcp://0.0.0.0:2375"],
    "bridge": "docker7",
    "bip": "10.9.0.1/24",
    "iptables": True,
    "storage-driver": "btrfs",
    "containerd": "/run/containerd/containerd.sock",
    "builder": {"gc": {"enabled": True, "defaultKeepStorage": "1GB"}},
    "live-restore": True,
    "userns-remap": "default",
}


def write(folder: Path, config: object) -> Path:
    """A daemon.json with this content."""
    file = folder / "daemon.json"
    file.write_text(json.dumps(config))
    return file


def test_what_decides_how_builds_reach_the_world_is_taken_over_and_nothing_else(tmp_path: Path) -> None:
    features = {"cdi": True, "containerd-snapshotter": True, "buildkit": True}

    settings = inherited_settings(write(tmp_path, {**HOSTS_OWN, **TAKEN_OVER, "features": features}))

    assert settings == {**TAKEN_OVER, "features": {"cdi": True}}


def test_features_without_cdi_are_left_out(tmp_path: Path) -> None:
    assert inherited_settings(write(tmp_path, {"features": {"containerd-snapshotter": True}})) == {}
    assert inherited_settings(write(tmp_path, {"features": ["cdi"]})) == {}


@pytest.mark.parametrize("text", ["", " \n", "{}"])
def test_an_empty_file_says_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "daemon.json"
    file.write_text(text)
    assert inherited_settings(file) == {}


def test_a_missing_file_says_nothing(tmp_path: Path) -> None:
    assert read_config(tmp_path / "none.json") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"dns": [', "the engine's configuration cannot be read: Expecting value: line 1 column 10 (char 9)"),
        ("[1, 2]", "the engine's configuration is no JSON object"),
        (" " * 999_990 + '{"dns": ["192.0.2.53"]}', "the engine's configuration cannot be read: "),
    ],
    ids=["cut-off", "a-list", "endless"],
)
def test_a_broken_file_stops_the_run_and_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "daemon.json"
    file.write_text(text)
    with pytest.raises(UnmeasuredError) as caught:
        inherited_settings(file)
    assert caught.value.what.startswith(said)
    assert caught.value.file == str(file)


def test_a_folder_in_its_place_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(UnmeasuredError, match="Is a directory"):
        inherited_settings(tmp_path)


class TestWhichFile:
    """The running dockerd's command line decides."""

    @staticmethod
    def ask(folder: Path, *words: str) -> Path:
        """What `config_file` answers while a process with this command line runs in `folder`."""
        pid_file = folder / "docker.pid"
        # The first word is only a name: what runs is a shell that waits for its input to end.
        with subprocess.Popen(
            [words[0], "-c", "echo; read _", *words[1:]],
            executable="/bin/sh",
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()  # its command line is in place
            pid_file.write_text(f"{child.pid}\n")
            return config_file(pid_file=pid_file)

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            (("dockerd", "--config-file", "/srv/daemon.json", "--debug"), "/srv/daemon.json"),
            (("/usr/bin/dockerd", "--debug", "--config-file=/srv/a=b.json"), "/srv/a=b.json"),
            (("dockerd", "--config-file", "own.json"), "HERE/own.json"),
            (("dockerd", "--debug"), "/etc/docker/daemon.json"),
            (("postgres", "--config-file=/etc/postgres.conf"), "/etc/docker/daemon.json"),
        ],
        ids=["two-words", "one-word", "relative", "not-named", "stale-pid"],
    )
    def test_command_lines(self, tmp_path: Path, words: tuple[str, ...], found: str) -> None:
        assert str(self.ask(tmp_path, *words)) == found.replace("HERE", str(tmp_path))

    @pytest.mark.parametrize("text", ["", "many", "4194305"])
    def test_without_a_daemon_it_is_the_usual_one(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "docker.pid").write_text(text)
        assert config_file(pid_file=tmp_path / "docker.pid") == Path("/etc/docker/daemon.json")
        assert config_file(pid_file=tmp_path / "none") == Path("/etc/docker/daemon.json")
