"""An image's own documents: its config, and the manifests and indexes that lead to it.

Formats: OCI image-spec v1.1 (config.md, manifest.md, image-index.md) and the archive of `docker save` (moby,
image/spec/README.md). All of them are untrusted.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ci_budget.core.layers.model import HistoryStep
from ci_budget.core.stages.platforms import fits
from ci_budget.errors import UnmeasuredError

LARGEST_DOCUMENT = 16 * 2**20
MOST_LAYERS = 2000
MOST_MANIFESTS = 2000
_LONGEST_COMMAND = 8000
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_ATTESTATION = "vnd.docker.reference.type"


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """`image_id`: the digest of the config. `platform`: as `linux/arm64/v8`, empty where not told."""

    image_id: str
    platform: str
    diff_ids: tuple[str, ...]
    history: tuple[HistoryStep, ...]


@dataclass(frozen=True, kw_only=True)
class ManifestEntry:
    """A document that an index names."""

    digest: str
    is_index: bool
    platform: str


def parse_image_config(data: bytes) -> ImageConfig:
    """The config of an image. Raises UnmeasuredError when it is none."""
    found = _object(data, "image config")
    rootfs = found.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if isinstance(rootfs, dict) and rootfs.get("type") == "layers" and diff_ids is None:
        diff_ids = []  # as Go writes an empty list
    if not isinstance(diff_ids, list) or not all(_is_digest(one) for one in diff_ids):
        raise UnmeasuredError("the image's config does not name its layers")
    if len(diff_ids) > MOST_LAYERS:
        raise UnmeasuredError(f"the image's config names more than {MOST_LAYERS:,} layers: {len(diff_ids):,}")
    platform = [str(found.get(key) or "") for key in ("os", "architecture", "variant")]
    return ImageConfig(
        image_id=f"sha256:{hashlib.sha256(data).hexdigest()}",
        platform="/".join(part for part in platform if part)[:200],
        diff_ids=tuple(diff_ids),
        history=_history(found.get("history"), len(diff_ids)),
    )


def parse_saved_manifest(data: bytes) -> list[tuple[str, tuple[str, ...]]]:
    """`manifest.json` of `docker save`: for each image the archive's name of its config and of its layers."""
    images = _parse(data, "manifest.json")
    try:
        found = [(str(one["Config"]), tuple(str(name) for name in one["Layers"] or ())) for one in images]
    except (TypeError, KeyError) as error:
        raise UnmeasuredError("the archive's manifest.json is none of `docker save`") from error
    if not found:
        raise UnmeasuredError("the archive holds no image")
    return found


def parse_index(data: bytes) -> list[ManifestEntry]:
    """The images of an OCI index, attestations left out."""
    manifests = _object(data, "index").get("manifests")
    if not isinstance(manifests, list):
        raise UnmeasuredError("the index names no manifests")
    if len(manifests) > MOST_MANIFESTS:
        raise UnmeasuredError(f"the index names more than {MOST_MANIFESTS:,} manifests: {len(manifests):,}")
    found = []
    for one in manifests:
        if not isinstance(one, dict) or _ATTESTATION in _mapping(one.get("annotations")):
            continue
        said = _mapping(one.get("platform"))
        parts = [str(said.get(key) or "") for key in ("os", "architecture", "variant")]
        found.append(
            ManifestEntry(
                digest=check_digest(one.get("digest")),
                is_index=str(one.get("mediaType", "")).endswith(("image.index.v1+json", "manifest.list.v2+json")),
                platform="/".join(part for part in parts if part)[:200],
            )
        )
    return found


def choose_manifest(entries: Sequence[ManifestEntry], platform: str | None) -> ManifestEntry:
    """The one to read. Raises UnmeasuredError when none fits, or several do."""
    exact = [one for one in entries if one.platform == platform]
    fitting = exact or [one for one in entries if platform is None or fits(one.platform, platform)]
    distinct = list({one.digest: one for one in fitting}.values())
    if len(distinct) == 1:
        return distinct[0]
    known = ", ".join(sorted({one.platform or "unnamed" for one in entries})) or "none"
    what = "are several images" if distinct else f"is no image for {platform}" if platform else "is no image"
    raise UnmeasuredError(f"there {what} to read; platforms: {known}", mend="Name one with --platform.")


def parse_manifest(data: bytes) -> tuple[str, tuple[str, ...]]:
    """The digests of config and layers of an OCI or Docker manifest."""
    found = _object(data, "manifest")
    layers = [] if found.get("layers", False) is None else found.get("layers")
    if not isinstance(layers, list):
        raise UnmeasuredError("the manifest names no layers")
    if len(layers) > MOST_LAYERS:
        raise UnmeasuredError(f"the manifest names more than {MOST_LAYERS:,} layers: {len(layers):,}")
    config = check_digest(_mapping(found.get("config")).get("digest"))
    return config, tuple(check_digest(_mapping(one).get("digest")) for one in layers)


def check_digest(text: object) -> str:
    """The digest, if it is one that can be a file's name. Raises UnmeasuredError."""
    if not _is_digest(text):
        raise UnmeasuredError(f"{str(text)[:100]!r} is no digest of a blob")
    return str(text)


def check_content(data: bytes, digest: str) -> bytes:
    """The document, if it is the one that its digest names. Raises UnmeasuredError."""
    kind, _, expected = digest.partition(":")
    if hashlib.new(kind, data).hexdigest() != expected:
        raise UnmeasuredError(f"the blob {digest} has another content than its name says")
    return data


def _is_digest(text: object) -> bool:
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def _history(found: object, layers: int) -> tuple[HistoryStep, ...]:
    """The history; where it does not account for the layers, no step is said to have made one."""
    entries = [one for one in found if isinstance(one, dict)][: 2 * MOST_LAYERS] if isinstance(found, list) else []
    matching = sum(one.get("empty_layer") is not True for one in entries) == layers
    steps, layer = [], 0
    for one in entries:
        made = matching and one.get("empty_layer") is not True
        texts = [text for key in ("created_by", "comment") if isinstance(text := one.get(key), str) and text.strip()]
        steps.append(HistoryStep(texts[0][:_LONGEST_COMMAND] if texts else "", layer if made else None))
        layer += made
    return tuple(steps)


def _object(data: bytes, what: str) -> Mapping[str, Any]:
    found = _parse(data, what)
    if not isinstance(found, dict):
        raise UnmeasuredError(f"the {what} is no JSON object")
    return found


def _parse(data: bytes, what: str) -> Any:
    if len(data) > LARGEST_DOCUMENT:
        raise UnmeasuredError(f"the {what} has more than {LARGEST_DOCUMENT:,} bytes")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnmeasuredError(f"the {what} is no JSON") from error


def _mapping(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}
