"""The host's own dockerd: what it is, and what it is configured with as far as a private engine must take it over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ci_budget.edges.processes import run_once
from ci_budget.errors import UnmeasuredError

_LIMIT = 1_000_000
_DEFAULT = Path("/etc/docker/daemon.json")
_PID_FILE = Path("/var/run/docker.pid")
_TAKEN_OVER = (
    "registry-mirrors", "insecure-registries", "proxies", "http-proxy", "https-proxy", "no-proxy", "dns", "dns-opts",
    "dns-search", "runtimes", "cdi-spec-dirs", "allow-nondistributable-artifacts", "max-concurrent-downloads",
    "seccomp-profile", "default-ulimits",
)  # fmt: skip


def config_file(*, pid_file: Path = _PID_FILE) -> Path:
    """The config file of the host's dockerd: what its command line names, else /etc/docker/daemon.json."""
    try:
        process = Path("/proc") / str(int(pid_file.read_text(encoding="ascii")))
        words = (process / "cmdline").read_bytes().decode("utf-8", "surrogateescape").split("\0")
        folder = (process / "cwd").resolve()
    except (OSError, ValueError):
        return _DEFAULT
    if Path(words[0]).name != "dockerd":  # a stale pid file: the number is another process's by now
        return _DEFAULT
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in ("--config-file", "-config-file"):
            return folder / (value if equals else words[index + 1])
    return _DEFAULT


def read_config(path: Path) -> dict[str, Any]:
    """The daemon.json at `path`; empty when there is none. Raises UnmeasuredError when it cannot be read."""
    try:
        with path.open("rb") as handle:
            data = handle.read(_LIMIT)
        config = json.loads(data) if data.strip() else {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UnmeasuredError(
            f"the engine's configuration cannot be read: {error}",
            file=path,
            mend="Mend the file; `dockerd --validate` checks it.",
        ) from error
    if not isinstance(config, dict):
        raise UnmeasuredError("the engine's configuration is no JSON object", file=path)
    return config


def inherited_settings(path: Path | None = None) -> dict[str, Any]:
    """The keys of the host's daemon.json that decide how builds reach registries, names and GPUs."""
    config = read_config(path or config_file())
    settings = {key: config[key] for key in _TAKEN_OVER if key in config}
    features = config.get("features")
    if isinstance(features, dict) and "cdi" in features:
        settings["features"] = {"cdi": features["cdi"]}
    return settings


def dockerd_version() -> str:
    """What this machine's dockerd says of its version. Raises UnmeasuredError where there is none."""
    return run_once(["dockerd", "--version"]).text.strip()
