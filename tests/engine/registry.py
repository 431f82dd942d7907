"""A real image registry, Debian's, in an image built here and run by pytest-docker, and images to put into it."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import secrets
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pytest_docker.plugin import get_docker_services

from tests.engine_access import BASES, Engine, find_engine
from tests.ports import free_port

OCI, DOCKER = "application/vnd.oci.image", "application/vnd.docker"
_ACCEPT = ", ".join(
    (
        f"{DOCKER}.distribution.manifest.v2+json",
        f"{DOCKER}.distribution.manifest.list.v2+json",
        f"{OCI}.manifest.v1+json",
        f"{OCI}.index.v1+json",
    )
)

_IMAGE = Path(__file__).parent / "registry_image"
USER, PASSWORD = "gate", "pass:word"
_HTPASSWD = "gate:$2b$05$ytfI4/WMr41/P0L9PPn43emSqoCe9kpjPuZRRSmsi.muMDgCh2yQC\n"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A tag's manifest: its digest, and that of the config it names."""

    digest: str
    config_digest: str


@dataclass(frozen=True, kw_only=True)
class Registry:
    """`address` is HOST:PORT; engines take one on this machine without TLS. `images`: where it keeps them."""

    address: str
    images: Path
    headers: Mapping[str, str] = field(default_factory=dict)

    def manifest(self, repository: str, reference: str) -> Manifest:
        """What a tag leads to."""
        digest, content = self.document(repository, reference)
        return Manifest(digest=digest, config_digest=content["config"]["digest"])

    def document(self, repository: str, reference: str) -> tuple[str, dict[str, Any]]:
        """A manifest or an index with its digest."""
        request = self._request(f"/v2/{repository}/manifests/{reference}", headers={"Accept": _ACCEPT})
        with _direct().open(request, timeout=60) as answer:
            return answer.headers["Docker-Content-Digest"], json.load(answer)

    def repositories(self) -> set[str]:
        """The names in the catalogue."""
        with _direct().open(self._request("/v2/_catalog"), timeout=60) as answer:
            return set(json.load(answer)["repositories"])

    def tags(self, repository: str) -> set[str]:
        """The tags of a repository."""
        with _direct().open(self._request(f"/v2/{repository}/tags/list"), timeout=60) as answer:
            return set(json.load(answer)["tags"] or ())

    def put_blob(self, repository: str, content: bytes) -> dict[str, Any]:
        """Upload a blob; the part of its descriptor that the content gives."""
        with _direct().open(self._request(f"/v2/{repository}/blobs/uploads/", method="POST"), timeout=60) as answer:
            place = answer.headers["Location"]
        digest = digest_of(content)
        joined = f"{place}{'&' if '?' in place else '?'}digest={digest}"
        headers = {"Content-Type": "application/octet-stream", **self.headers}
        request = urllib.request.Request(joined, data=content, method="PUT", headers=headers)
        with _direct().open(request, timeout=60):
            return {"digest": digest, "size": len(content)}

    def put_manifest(self, repository: str, tag: str, content: Mapping[str, Any]) -> str:
        """Upload a manifest or an index under a tag; its digest."""
        data = json.dumps(content).encode()
        headers = {"Content-Type": content["mediaType"]}
        request = self._request(f"/v2/{repository}/manifests/{tag}", method="PUT", data=data, headers=headers)
        with _direct().open(request, timeout=60):
            return digest_of(data)

    def put_image(
        self,
        repository: str,
        tag: str,
        layers: Sequence[bytes],
        *,
        oci: bool = True,
        packing: str = "gzip",
        **more: str,
    ) -> Manifest:
        """Make an image of layers (plain tar archives) and upload it; `more`: keys of its config."""
        kinds = (
            (f"{OCI}.manifest.v1+json", f"{OCI}.config.v1+json", f"{OCI}.layer.v1.tar+{packing}")
            if oci
            else (
                f"{DOCKER}.distribution.manifest.v2+json",
                f"{DOCKER}.container.image.v1+json",
                f"{DOCKER}.image.rootfs.diff.tar.{packing}",
            )
        )
        config = {
            "os": "linux", "architecture": "amd64", **more,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        }  # fmt: skip
        described = self.put_blob(repository, json.dumps(config).encode())
        packed = [self.put_blob(repository, _packed(layer, packing)) for layer in layers]
        manifest = {
            "schemaVersion": 2,
            "mediaType": kinds[0],
            "config": {"mediaType": kinds[1], **described},
            "layers": [{"mediaType": kinds[2], **one} for one in packed],
        }
        return Manifest(digest=self.put_manifest(repository, tag, manifest), config_digest=described["digest"])

    def publish(self, engine: Engine, source: str, name: str) -> Manifest:
        """A copy of a local image, with a label that makes it another one, which only the registry has."""
        repository, _, tag = name.partition(":")
        full = f"{self.address}/{repository}:{tag}"
        dockerfile = f"FROM {source}\nLABEL made-for={secrets.token_hex(8)}\n".encode()
        engine.docker("buildx", "build", "--builder", "default", "--quiet", "--load", "--tag", full, "-",
                      stdin=dockerfile)  # fmt: skip
        try:
            engine.docker("push", "--quiet", full)
        finally:
            engine.docker("image", "rm", "--force", full)
        return self.manifest(repository, tag)

    def _request(
        self, path: str, *, method: str = "GET", data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> urllib.request.Request:
        return urllib.request.Request(
            f"http://{self.address}{path}", method=method, data=data, headers={**self.headers, **(headers or {})}
        )


@contextlib.contextmanager
def registry(
    folder: Path,
    *,
    images: Path | None = None,
    auth: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    host: str = "localhost",
    redirect: str | None = None,
) -> Iterator[Registry]:
    """A registry that keeps its images in `folder`, on a free port of `host`.

    `images`: another one's, which it then serves as well. `auth`: that section of its configuration; `headers` open it
    for this side. `redirect`: the address of another server, from which clients are to take the blobs.
    """
    images = images or folder / "images"
    images.mkdir(exist_ok=True)
    port = free_port(host)
    config = folder / "config.yml"
    config.write_text(
        yaml.safe_dump(
            {
                "version": "0.1",
                "log": {"level": "error", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(images)}},
                "http": {"addr": f"{host}:{port}"},
                **({"auth": dict(auth)} if auth is not None else {}),
                **({"middleware": {"storage": [_redirecting(redirect)]}} if redirect is not None else {}),
            }
        )
    )
    compose = folder / "compose.yaml"
    compose.write_text(yaml.safe_dump({"services": {"registry": _service(config, images)}}))
    project = f"test-registry-{secrets.token_hex(4)}"
    found = Registry(address=f"{host}:{port}", images=images, headers=headers or {})
    config_folder = find_engine().env.get("DOCKER_CONFIG", "~/.docker")  # a test may have logins of its own
    command = f"docker --config {config_folder} compose"
    with get_docker_services(command, str(compose), project, "up --detach", "down --volumes --timeout 0") as services:
        services.wait_until_responsive(timeout=240, pause=0.05, check=lambda: _answers(found))
        yield found


def _service(config: Path, images: Path) -> dict[str, Any]:
    """With the machine's own network, so that every engine on it reaches the registry at the same address."""
    shared = {str(config.parent), str(images)}
    return {
        "build": {"context": str(_IMAGE), "args": {"BASE": BASES["python"]}, "network": "host"},
        "image": "test/registry",
        "network_mode": "host",
        "command": [str(config)],
        "volumes": [{"type": "bind", "source": path, "target": path} for path in sorted(shared)],
    }


def _redirecting(address: str) -> dict[str, Any]:
    return {"name": "redirect", "options": {"baseurl": address}}


def basic_auth(folder: Path) -> dict[str, Any]:
    """The `auth` section that wants USER and PASSWORD."""
    users = folder / "htpasswd"
    users.write_text(_HTPASSWD)
    return {"htpasswd": {"realm": "images", "path": str(users)}}


def layer_of(files: Mapping[str, bytes]) -> bytes:
    """A layer's plain archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def digest_of(content: bytes) -> str:
    """As registries name it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _packed(layer: bytes, packing: str) -> bytes:
    if packing == "zstd":
        import zstandard

        return zstandard.ZstdCompressor().compress(layer)
    return gzip.compress(layer, mtime=0)


def _answers(found: Registry) -> bool:
    try:
        with _direct().open(f"http://{found.address}/v2/", timeout=60):
            return True
    except urllib.error.HTTPError:
        return True  # it wants a login
    except OSError:
        return False


def _direct() -> urllib.request.OpenerDirector:
    """Past any proxy."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
