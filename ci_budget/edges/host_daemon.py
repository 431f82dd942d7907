"""What the host's own engine is configured with, as far as a private engine must take it over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ci_budget.errors import UnmeasuredError

_LIMIT = 1_000_000
_TAKEN_OVER = (
    "registry-mirrors", "insecure-registries", "proxies", "http-proxy", "https-proxy", "no-proxy", "dns", "dns-opts",
    "dns-search", "runtimes", "cdi-spec-dirs", "allow-nondistributable-artifacts", "max-concurrent-downloads",
    "seccomp-profile", "default-ulimits",
)  # fmt: skip


def config_file() -> Path:
    """The config file of the host's dockerd: what its command line names, else /etc/docker/daemon.json."""
    try:
        pid = int(Path("/var/run/docker.pid").read_text(encoding="ascii"))
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except (OSError, ValueError):
        words = []
    for index, word in enumerate(words):
        if word.startswith("--config-file="):
            return Path(word.partition("=")[2])
        if word == "--config-file" and index + 1 < len(words):
            return Path(words[index + 1])
    return Path("/etc/docker/daemon.json")


def read_config(path: Path) -> dict[str, Any]:
    """The daemon.json at `path`; empty when there is none. Raises UnmeasuredError when it cannot be read."""
    try:
        data = path.read_bytes()[:_LIMIT]
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
