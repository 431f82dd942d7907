"""The process behind the engine's socket, and the configuration that it was started with."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
from pathlib import Path
from typing import Any

from ci_budget.core.health.facts import DaemonConfig
from ci_budget.edges.engine.host_daemon import config_file, read_config
from ci_budget.edges.processes import run
from ci_budget.errors import UnmeasuredError

_LOCAL = "unix://"
_CREDENTIALS = struct.Struct("3i")


def daemon_config(docker_host: str) -> DaemonConfig:
    """daemon.json of the engine at that address, with the log options of its command line laid over it.

    An engine started by socket activation cannot be told from systemd; the usual file is then read.
    """
    words = _command_line(docker_host)
    path = _config_path(words) or (config_file() if not words else Path("/etc/docker/daemon.json"))
    try:
        settings = read_config(path)
    except UnmeasuredError as error:
        return DaemonConfig(path=str(path), problem=error.what)
    return DaemonConfig(path=str(path), settings=_overlaid(settings, words))


def validate_config(text: str, folder: Path) -> str | None:
    """What the engine itself says of such a file: its complaint, or None when it is content.

    Raises UnmeasuredError where there is no dockerd to ask. `folder` takes the file for the moment.
    """
    if shutil.which("dockerd") is None:
        raise UnmeasuredError("there is no dockerd here to validate the file with")
    file = folder / "daemon.json"
    file.write_text(text, encoding="utf-8")
    done = run(["dockerd", "--validate", "--config-file", file], check=False, timeout=60)
    return None if done.exit_code == 0 else (done.complaint or f"dockerd --validate exited with {done.exit_code}")


def _command_line(docker_host: str) -> list[str]:
    """The words that started the listener of the socket; empty where it is no dockerd that we may look at."""
    if not docker_host.startswith(_LOCAL):
        return []
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        connection.connect(docker_host.removeprefix(_LOCAL))
        packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid = _CREDENTIALS.unpack(packed)[0]
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").rstrip("\0").split("\0")
        return words if os.path.basename(words[0]) == "dockerd" else []  # noqa: PTH119 - of another process's words
    return []


def _values(words: list[str], option: str) -> list[str]:
    found = []
    for index, word in enumerate(words):
        if word.startswith(f"{option}="):
            found.append(word.partition("=")[2])
        elif word == option and index + 1 < len(words):
            found.append(words[index + 1])
    return found


def _config_path(words: list[str]) -> Path | None:
    given = _values(words, "--config-file")
    return Path(given[-1]) if given else None


def _overlaid(settings: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """The engine refuses a key that stands both in its file and on its command line, so nothing is overwritten."""
    options = dict(pair.partition("=")[::2] for pair in _values(words, "--log-opt"))
    drivers = _values(words, "--log-driver")
    return {
        **settings,
        **({"log-opts": {**options, **(settings.get("log-opts") or {})}} if options else {}),
        **({"log-driver": drivers[-1]} if drivers else {}),
    }
