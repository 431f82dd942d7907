"""A registry with one image, on this machine's loopback: images with a digest, and mirrors, without a network.

It speaks the part of the distribution protocol that a pull needs.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import secrets
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.engine_access import Engine

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class ImageRegistry:
    """Gives the local image `source`, with a label that makes it another image, under every name and tag."""

    def __init__(self, engine: Engine, source: str) -> None:
        layer, config = _read_image(engine, source)
        config.setdefault("config", {})["Labels"] = {"made-for": secrets.token_hex(8)}
        packed, described = gzip.compress(layer, mtime=0), json.dumps(config).encode()
        self._blobs = {_digest(blob): blob for blob in (packed, described)}
        self._manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": _descriptor("application/vnd.docker.container.image.v1+json", described),
                "layers": [_descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", packed)],
            }
        ).encode()
        self.image_id = _digest(described)
        self.digest = _digest(self._manifest)
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """From now on nobody answers at the address."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Content type and content of what lies at `path`."""
        self.asked.append(path)
        if path.rstrip("/") == "/v2":
            return "application/json", b"{}"
        kind, reference = path.split("/")[-2:]
        if kind == "manifests" and (not reference.startswith("sha256:") or reference == self.digest):
            return _MANIFEST, self._manifest
        if kind == "blobs" and reference in self._blobs:
            return "application/octet-stream", self._blobs[reference]
        return None


def _handler(registry: ImageRegistry) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = registry.answer(self.path.partition("?")[0])
            kind, content = found or ("application/json", b'{"errors": [{"code": "NAME_UNKNOWN"}]}')
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Docker-Distribution-API-Version", "registry/2.0")
            if found:
                self.send_header("Docker-Content-Digest", _digest(content))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _read_image(engine: Engine, name: str) -> tuple[bytes, dict[str, Any]]:
    saved = subprocess.run(["docker", "save", name], env=engine.env, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:

        def read(member: str) -> bytes:
            handle = archive.extractfile(member)
            assert handle is not None
            return handle.read()

        (manifest,) = json.loads(read("manifest.json"))
        (layer,) = manifest["Layers"]
        return read(layer), json.loads(read(manifest["Config"]))


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind, "size": len(content), "digest": _digest(content)}
