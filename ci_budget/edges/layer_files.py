"""Sizes of layers, read from the engine's own layer directories, else from the stream of `docker save`."""

from __future__ import annotations

import json
import os
import stat
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci_budget.edges.processes import running
from ci_budget.errors import UnmeasuredError

_MANIFEST_LIMIT = 16 * 2**20


@dataclass(frozen=True, kw_only=True)
class LayerSize:
    """Bytes of regular files in one layer, hard links counted once, and how many files."""

    size: int
    files: int


class LayerFolders:
    """Layer directories of one engine; each is walked once, however many images share it."""

    def __init__(self) -> None:
        self._known: dict[str, LayerSize] = {}

    def measure(self, folders: Sequence[str]) -> list[LayerSize]:
        """The size of each layer directory. Raises UnmeasuredError when one cannot be read."""
        for folder in folders:
            if folder not in self._known:
                try:
                    self._known[folder] = walk_layer(Path(folder))
                except OSError as error:
                    raise UnmeasuredError(f"the layer directory {folder} cannot be read: {error.strerror}") from error
        return [self._known[folder] for folder in folders]


def walk_layer(folder: Path) -> LayerSize:
    """Sum of the apparent sizes of the regular files below `folder`, hard links once."""
    size = files = 0
    linked: set[int] = set()
    pending = [str(folder)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                facts = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(facts.st_mode):
                    pending.append(entry.path)
                elif stat.S_ISREG(facts.st_mode):
                    if facts.st_nlink > 1:
                        if facts.st_ino in linked:
                            continue
                        linked.add(facts.st_ino)
                    size += facts.st_size
                    files += 1
    return LayerSize(size=size, files=files)


def measure_saved(docker_host: str, image: str) -> list[LayerSize]:
    """The layers of an image from `docker save`, for stores whose directories cannot be read. Slow: reads it all.

    Raises UnmeasuredError when the archive is not what an engine writes.
    """
    sizes: dict[str, LayerSize] = {}
    manifests: dict[str, object] = {}
    with running(
        ["docker", "--host", docker_host, "save", image],
    ) as saving:
        try:
            with tarfile.open(fileobj=saving.stdout, mode="r|") as archive:
                for member in archive:
                    stream = archive.extractfile(member) if member.isreg() else None
                    if stream is None:
                        continue
                    if member.name == "manifest.json" and member.size <= _MANIFEST_LIMIT:
                        manifests["manifest"] = json.loads(stream.read())
                    elif member.size > 512 and (member.name.endswith("layer.tar") or "blobs/" in member.name):
                        found = _layer_in(stream)
                        if found is not None:
                            sizes[member.name] = found
        except (tarfile.TarError, ValueError, EOFError) as error:
            raise UnmeasuredError(f"the saved image {image} cannot be read: {error}") from error
        if saving.wait(60.0) != 0:
            raise UnmeasuredError(f"saving the image {image} failed")
    return [sizes[name] for name in _layer_names(manifests.get("manifest"), sizes, image)]


def _layer_in(stream: object) -> LayerSize | None:
    size = files = 0
    try:
        with tarfile.open(fileobj=stream, mode="r|*") as layer:  # type: ignore[call-overload]
            for member in layer:
                if member.isreg() and not member.name.rsplit("/", 1)[-1].startswith(".wh."):
                    size += member.size
                    files += 1
    except tarfile.TarError:
        return None  # a config or manifest blob
    return LayerSize(size=size, files=files)


def _layer_names(manifest: object, sizes: Mapping[str, LayerSize], image: str) -> list[str]:
    try:
        names = [str(name) for name in manifest[0]["Layers"]]  # type: ignore[index]
    except (TypeError, KeyError, IndexError) as error:
        raise UnmeasuredError(f"the saved image {image} has no manifest") from error
    missing = [name for name in names if name not in sizes]
    if missing:
        raise UnmeasuredError(f"the saved image {image} lacks the layer {missing[0]}")
    return names
