"""What an engine says of itself, of an image, of its build cache and of a container that ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_BEFORE_REASON = "unable to start container process: "
_NO_PROGRAM = re.compile(r"\bexec:? \"|executable file\b")
_NO_USER = re.compile(r"unable to find (user|group) ")


@dataclass(frozen=True, kw_only=True)
class EngineFacts:
    """What an engine says of itself. `id` is its own as long as its data-root lives."""

    id: str
    version: str
    storage_driver: str
    data_root: str
    platform: str
    kernel: str
    runtimes: tuple[str, ...]
    security_options: tuple[str, ...]
    containerd_store: bool

    @property
    def rootless(self) -> bool:
        """Rootless or with remapped users: a privileged container there is not root on the host."""
        return any(option.startswith(("name=rootless", "name=userns")) for option in self.security_options)


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """One local image. `layer_folders`: the layers' directories from the lowest up, where the store is overlay2.

    `platform` is empty where the image does not say what it was made for.
    """

    id: str
    platform: str
    diff_ids: tuple[str, ...]
    onbuild: tuple[str, ...]
    repo_digests: tuple[str, ...]
    layer_folders: tuple[str, ...] | None

    @property
    def has_layer_folders(self) -> bool:
        """Whether each layer has its directory."""
        return self.layer_folders is not None and len(self.layer_folders) == len(self.diff_ids)


@dataclass(frozen=True, kw_only=True)
class CacheRecord:
    """A record of the build cache. `kind`: regular, source.local, exec.cachemount, internal, frontend; `description`:
    the step that made it, where one did; `created`, `last_used`: Unix seconds, 0 where the engine does not say."""

    id: str
    kind: str
    size: int
    description: str = ""
    created: float = 0.0
    last_used: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ContainerEnd:
    """How a container ended; `exit_code` is None when it ran out of time."""

    exit_code: int | None
    log: str


def read_image(found: Mapping[str, Any]) -> ImageFacts:
    """An image from the answer of `GET /images/NAME/json`."""
    graph = found.get("GraphDriver") or {}
    data = graph.get("Data") or {}
    folders: tuple[str, ...] | None = None
    if graph.get("Name") == "overlay2" and data.get("UpperDir"):
        lower = [part for part in str(data.get("LowerDir") or "").split(":") if part]
        folders = (*reversed(lower), str(data["UpperDir"]))
    diff_ids = tuple((found.get("RootFS") or {}).get("Layers") or ())
    platform = [str(found.get(key) or "") for key in ("Os", "Architecture", "Variant")]
    return ImageFacts(
        id=str(found["Id"]),
        platform="/".join(part for part in platform if part) if all(platform[:2]) else "",
        diff_ids=diff_ids,
        onbuild=tuple((found.get("Config") or {}).get("OnBuild") or ()),
        repo_digests=tuple(found.get("RepoDigests") or ()),
        layer_folders=folders if diff_ids else (),
    )


def read_unstarted(reason: str, state: Mapping[str, Any]) -> ContainerEnd | None:
    """How a container ended that never ran because its image has no such program or user; None where the engine or the
    runtime failed. `reason`: what the engine said, `state`: the container's afterwards.

    The exit code alone does not tell: a hook that misses a file of the host gives 127 as well.
    """
    code = int(state.get("ExitCode") or 0)
    if code in (126, 127) and _NO_PROGRAM.search(reason):
        return ContainerEnd(exit_code=code, log=reason.rpartition(_BEFORE_REASON)[2])
    return ContainerEnd(exit_code=126, log=reason) if _NO_USER.search(reason) else None
