"""Where docker's plugins lie: buildx is run itself, since `docker buildx` starts the plugin twice for every call."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

_SYSTEM: Final = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
_CONFIG_LIMIT: Final = 2**20


def buildx_command() -> list[str]:
    """The words that run buildx: the plugin that docker would take, else `docker buildx`, which knows or complains.

    The plugin reads docker's configuration, context and credentials as docker does.
    """
    try:
        for folder in _folders():
            plugin = Path(folder) / "docker-buildx"
            if plugin.is_file():
                return [str(plugin)] if os.access(plugin, os.X_OK) else ["docker", "buildx"]
    except OSError:  # a folder that this user may not look into
        pass
    return ["docker", "buildx"]


def _folders() -> list[str]:
    """As docker goes through them: those that its configuration names, its own, those of the system."""
    own = Path(os.environ.get("DOCKER_CONFIG") or Path("~/.docker").expanduser())
    return [*_named_folders(own / "config.json"), str(own / "cli-plugins"), *_SYSTEM]


def _named_folders(config: Path) -> list[str]:
    try:
        with config.open("rb") as handle:
            found = json.loads(handle.read(_CONFIG_LIMIT))
    except (OSError, ValueError):
        return []
    named = found.get("cliPluginsExtraDirs") if isinstance(found, dict) else None
    return [folder for folder in named if isinstance(folder, str)] if isinstance(named, list) else []
