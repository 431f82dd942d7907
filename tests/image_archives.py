"""Image archives made by hand: layers as tar bytes, `docker save` files and OCI layouts, whole or broken on purpose."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import zstandard

Member = tuple[tarfile.TarInfo, bytes]
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar+gzip": gzip.compress,
    "tar+zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}


def file(name: str, content: bytes = b"", *, mode: int = 0o644, **pax: str) -> Member:
    """A regular file."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.pax_headers = len(content), mode, pax
    return info, content


def special(name: str, kind: bytes, link: str = "", mode: int = 0o755) -> Member:
    """A folder, link, hard link or device, by tarfile's type."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info, b""


def folder(name: str) -> Member:
    """A folder."""
    return special(name, tarfile.DIRTYPE)


def layer(*members: Member) -> bytes:
    """A layer's archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def config(layers: Sequence[bytes], history: Sequence[dict[str, object]] | None = None) -> bytes:
    """An image's config for plain layers; by default one step a layer."""
    steps = history if history is not None else [{"created_by": f"RUN {index}"} for index in range(len(layers))]
    ids = [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in layers]
    return json.dumps(
        {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ids}, "history": steps}
    ).encode()


def saved(layers: Sequence[bytes], *, extra: Iterable[Member] = (), tags: bool = False) -> bytes:
    """What `docker save` before 25 writes: `ID/layer.tar`, the config, manifest.json at the end."""
    document = config(layers)
    names = [f"{index:064x}/layer.tar" for index in range(len(layers))]
    name = f"{hashlib.sha256(document).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": ["a:b"] if tags else None, "Layers": names}]
    members = [file(one, data) for one, data in zip(names, layers, strict=True)]
    return layer(*members, file(name, document), *extra, file("manifest.json", json.dumps(manifest).encode()))


def write_layout(target: Path, layers: Sequence[bytes], packer: str = "tar", *, platform: str = "amd64") -> Path:
    """An OCI layout folder, its layers packed in one of PACKERS; an attestation lies beside the image."""
    blobs = target / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def put(data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return f"sha256:{digest}"

    packed = [PACKERS[packer](data) for data in layers]
    manifest = {
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": put(config(layers))},
        "layers": [{"mediaType": f"application/vnd.oci.image.layer.v1.{packer}", "digest": put(one)} for one in packed],
    }
    index = {
        "schemaVersion": 2,
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": put(json.dumps(manifest).encode()),
                "platform": {"os": "linux", "architecture": platform},
            },
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": put(b"{}"),
                "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
            },
        ],
    }
    (target / "index.json").write_text(json.dumps(index))
    (target / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return target


def layout_tar(folder: Path) -> bytes:
    """An OCI layout folder as `buildx --output type=oci` writes it: one tar."""
    found = sorted(one for one in folder.rglob("*") if one.is_file())
    return layer(*(file(one.relative_to(folder).as_posix(), one.read_bytes()) for one in found))
