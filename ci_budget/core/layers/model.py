"""The layers of one image: every name in them, with its payload, the same from every source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple


class Kind(StrEnum):
    """What a name in a layer is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"
    WHITEOUT = "whiteout"
    OPAQUE = "opaque"


class Entry(NamedTuple):
    """One name in one layer. (A tuple: of a hundred thousand, frozen dataclasses would take three times as long.)

    `path`: relative to the root, `/`-separated, no leading slash, undecodable bytes as surrogates. A WHITEOUT's path is
    the name that it hides (without `.wh.`); an OPAQUE's is the folder whose lower content it hides. `size`: payload in
    bytes of a regular file; of several hard links in one layer only the first in path order carries it, the others 0
    and its path in `same_as`. Path order is that of `path_key`: a folder, then what is in it, names as they sort.
    """

    path: str
    kind: Kind
    size: int = 0
    mode: int = 0
    uid: int = 0
    gid: int = 0
    same_as: str | None = None


def path_key(path: str) -> list[str]:
    """What entries are ordered by."""
    return path.split("/")


@dataclass(frozen=True)
class Layer:
    """One layer, lowest first in an image. `entries`: in path order. `diff_id`: `sha256:…` of the uncompressed tar."""

    diff_id: str
    entries: tuple[Entry, ...]

    @cached_property
    def size(self) -> int:
        """Payload in bytes: regular files, hard links once."""
        return sum([entry.size for entry in self.entries])

    @cached_property
    def markers(self) -> Sequence[Entry]:
        """The WHITEOUT and OPAQUE entries: what the layer hides, and does not have."""
        return [entry for entry in self.entries if entry.kind is Kind.WHITEOUT or entry.kind is Kind.OPAQUE]

    @cached_property
    def folders(self) -> Mapping[str, Sequence[Entry]]:
        """All other entries by the folder that they lie in (the root is empty), outer folders before inner ones: there
        are ten times fewer folders than names."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            path, kind = entry.path, entry.kind
            if kind is not Kind.WHITEOUT and kind is not Kind.OPAQUE:
                folder = path[: max(0, path.rfind("/"))]
                held = found.get(folder)
                if held is None:
                    found[folder] = [entry]
                else:
                    held.append(entry)
        return found


@dataclass(frozen=True, slots=True)
class HistoryStep:
    """One entry of an image's history: the command as recorded, and the index of the layer it made (None: none).

    `stage` and `line`: the place in the Dockerfile, where the build told it; else None (a base, a foreign image).
    """

    created_by: str
    layer: int | None
    stage: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class ImageLayers:
    """An image as its layers say. `inherited`: how many of the lowest layers come from the external base."""

    image_id: str
    layers: tuple[Layer, ...]
    history: tuple[HistoryStep, ...]
    inherited: int = 0
    source: str = "unknown"
