"""An image registry on this machine, of the Debian package docker-registry."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.engine_access import CLONE

_ACCEPT = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A tag's manifest: its digest, and that of the config it names."""

    digest: str
    config_digest: str


@dataclass(frozen=True, kw_only=True)
class Registry:
    """`address` is HOST:PORT; engines take one on this machine without TLS."""

    address: str

    def manifest(self, repository: str, tag: str) -> Manifest:
        """What a tag leads to."""
        request = urllib.request.Request(
            f"http://{self.address}/v2/{repository}/manifests/{tag}", headers={"Accept": _ACCEPT}
        )
        with _direct().open(request, timeout=10) as answer:
            return Manifest(
                digest=answer.headers["Docker-Content-Digest"], config_digest=json.load(answer)["config"]["digest"]
            )

    def repositories(self) -> set[str]:
        """The names in the catalogue."""
        with _direct().open(f"http://{self.address}/v2/_catalog", timeout=10) as answer:
            return set(json.load(answer)["repositories"])


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    """A registry that keeps its images in `folder`, on a free port of the loopback interface."""
    subprocess.run([CLONE / "scripts" / "debian-packages.sh", "docker-registry"], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "config.yml"
    config.write_text(
        yaml.safe_dump(
            {
                "version": "0.1",
                "log": {"level": "error", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(folder / "images")}},
                "http": {"addr": f"127.0.0.1:{port}"},
            }
        )
    )
    with subprocess.Popen(["docker-registry", "serve", config], stderr=subprocess.DEVNULL) as child:
        try:
            found = Registry(address=f"localhost:{port}")
            deadline = time.monotonic() + 30
            while True:
                try:
                    found.repositories()
                    break
                except OSError:
                    assert child.poll() is None, "the registry ended"
                    assert time.monotonic() < deadline, "the registry does not answer"
                    time.sleep(0.05)
            yield found
        finally:
            child.terminate()


def _direct() -> urllib.request.OpenerDirector:
    """Past any proxy."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
