"""What a registry says of an image: manifests and indexes, OCI and Docker, with the sizes of their blobs.

Formats: OCI image-spec v1.1 (manifest.md, image-index.md, descriptor.md), Docker's image manifest v2 schema 2. What is
no image, or cannot be read whole, is refused: nothing here counts as 0 bytes because it is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ci_budget.core.layers.image_config import LARGEST_DOCUMENT, MOST_LAYERS, MOST_MANIFESTS, check_digest
from ci_budget.core.stages.platforms import fits
from ci_budget.core.text.plain_text import one_line, shorten
from ci_budget.core.text.units import MAX_SIZE
from ci_budget.errors import UnmeasuredError

INDEX_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CONFIG_TYPES = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
_LAYER_TYPES = ("application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar")
_PACKINGS = ("", "+gzip", "+zstd", ".gzip", ".zstd")
_ELSEWHERE = ("nondistributable", "foreign")
_ATTESTATION = "vnd.docker.reference.type"
_NO_PLATFORM = "unknown/unknown"


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A blob as a manifest describes it; `size` in bytes as it is stored, compressed or not."""

    digest: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One image for one platform: its config and its layers, lowest first."""

    config: Blob
    layers: tuple[Blob, ...]

    @property
    def compressed_size(self) -> int:
        """Bytes of all layers as they are stored; one that stands twice counts twice, as in every client's listing."""
        return sum(layer.size for layer in self.layers)


@dataclass(frozen=True, kw_only=True)
class IndexedImage:
    """An entry of an index that is an image: `platform` as `linux/arm64/v8`, empty where the index does not say."""

    digest: str
    platform: str


def parse_document(data: bytes) -> Manifest | tuple[IndexedImage, ...]:
    """A manifest, or the images of an index with the attestations left out. Raises UnmeasuredError."""
    found = _object(data)
    kind = str(found.get("mediaType") or "")
    if found.get("schemaVersion") != 2:
        raise UnmeasuredError(
            "its manifest is of Docker's old schema 1, which gives no sizes", mend="Push the image anew."
        )
    if kind in INDEX_TYPES or (not kind and "manifests" in found):
        return _images(found.get("manifests"))
    if kind in MANIFEST_TYPES or (not kind and "layers" in found):
        return _manifest(found)
    raise UnmeasuredError(f"it is no image: its manifest is of the kind {_shown(kind)}")


def choose_image(images: Sequence[IndexedImage], platform: str) -> IndexedImage:
    """The image of an index for a platform. Raises UnmeasuredError where there is none, or it is not clear which."""
    exact = [image for image in images if image.platform == platform]
    fitting = exact or [image for image in images if fits(image.platform, platform)]
    if len({image.digest for image in fitting}) == 1:
        return fitting[0]
    known = ", ".join(sorted({image.platform or "unnamed" for image in images})) or "none"
    what = "several images" if fitting else "no image"
    raise UnmeasuredError(f"its index has {what} for {platform}; it names: {shorten(known, 300)}")


def _images(entries: object) -> tuple[IndexedImage, ...]:
    if not isinstance(entries, list):
        raise UnmeasuredError("its index does not list its manifests")
    if len(entries) > MOST_MANIFESTS:
        raise UnmeasuredError(f"its index names more than {MOST_MANIFESTS:,} manifests: {len(entries):,}")
    found = []
    for one in entries:
        entry = _mapping(one, "an entry of its index")
        annotations, platform = entry.get("annotations"), entry.get("platform")
        if isinstance(annotations, dict) and _ATTESTATION in annotations:
            continue
        said = platform if isinstance(platform, dict) else {}
        name = "/".join(part for key in ("os", "architecture", "variant") if (part := str(said.get(key) or "")))
        if name == _NO_PLATFORM:
            continue
        if str(entry.get("mediaType") or "") in INDEX_TYPES:
            raise UnmeasuredError("its index holds another index, which no builder writes")
        found.append(IndexedImage(digest=check_digest(entry.get("digest")), platform=_shown(name) if name else ""))
    if not found:
        raise UnmeasuredError("its index holds no image, only attestations or nothing")
    return tuple(found)


def _manifest(found: Mapping[str, Any]) -> Manifest:
    config = _mapping(found.get("config"), "its manifest's config")
    kind = str(config.get("mediaType") or "")
    if kind not in _CONFIG_TYPES:
        raise UnmeasuredError(f"it is no container image but an artifact of the kind {_shown(kind)}")
    layers = [] if found.get("layers", False) is None else found.get("layers")
    if not isinstance(layers, list):
        raise UnmeasuredError("its manifest does not list its layers")
    if len(layers) > MOST_LAYERS:
        raise UnmeasuredError(f"its manifest names more than {MOST_LAYERS:,} layers: {len(layers):,}")
    return Manifest(config=_blob(config), layers=tuple(_layer(_mapping(one, "a layer")) for one in layers))


def _layer(found: Mapping[str, Any]) -> Blob:
    kind = str(found.get("mediaType") or "")
    if any(word in kind for word in _ELSEWHERE):
        raise UnmeasuredError("one of its layers is not kept in the registry (a foreign layer), so it cannot be read")
    if not any(kind == f"{known}{packing}" for known in _LAYER_TYPES for packing in _PACKINGS):
        raise UnmeasuredError(f"one of its layers is of the kind {_shown(kind)}, which ci-budget cannot read")
    return _blob(found)


def _blob(found: Mapping[str, Any]) -> Blob:
    size = found.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MAX_SIZE:
        raise UnmeasuredError(f"its manifest gives a blob the size {_shown(str(size))}")
    return Blob(digest=check_digest(found.get("digest")), size=size)


def _object(data: bytes) -> Mapping[str, Any]:
    if len(data) > LARGEST_DOCUMENT:
        raise UnmeasuredError(f"its manifest has more than {LARGEST_DOCUMENT:,} bytes")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnmeasuredError("its manifest is no JSON") from error
    return _mapping(found, "its manifest")


def _mapping(found: object, what: str) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise UnmeasuredError(f"{what} is no JSON object")
    return found


def _shown(text: str) -> str:
    return shorten(one_line(text), 100) or "'' (it does not say)"
