"""A buildx builder that is no engine of this runner: driver `remote`, real BuildKit behind it.

BuildKit is the one inside an engine of its own with the containerd image store (it alone can export OCI archives), in
a network namespace of its own so that its bridge touches nobody's. The engine hands its BuildKit out on `POST /grpc`
with an upgrade; a small forwarder does that, so that buildx finds a plain BuildKit socket.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.engine_access import Engine

_UPGRADE = b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
_CONTAINERD = """\
version = 3
root = "{folder}/containerd"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]
[grpc]
address = "{folder}/c.sock"
"""


@dataclass(frozen=True, kw_only=True)
class FarBuilder:
    """A builder by its name, which the docker config of `env` knows."""

    name: str
    env: dict[str, str]


@contextlib.contextmanager
def far_builder(engine: Engine, folder: Path) -> Iterator[FarBuilder]:
    """Start one; `folder` must have a short path, sockets lie in it."""
    (folder / "containerd.toml").write_text(_CONTAINERD.format(folder=folder))
    (folder / "daemon.json").write_text('{"features": {"containerd-snapshotter": true}}')
    daemon = [
        "unshare", "--net", "dockerd", "--config-file", folder / "daemon.json", "--data-root", folder / "data",
        "--exec-root", folder / "exec", "--pidfile", folder / "d.pid", "--host", f"unix://{folder}/d.sock",
        "--containerd", folder / "c.sock", "--bridge=none", "--iptables=false", "--ip6tables=false",
    ]  # fmt: skip
    config = folder / "docker"
    plugins = Path(engine.env.get("DOCKER_CONFIG", Path.home() / ".docker")) / "cli-plugins"
    if plugins.is_dir():
        shutil.copytree(plugins, config / "cli-plugins")
    env = {"DOCKER_CONFIG": str(config)}
    with (
        _started(["containerd", "--config", folder / "containerd.toml"], folder / "c.sock", engine),
        _started(daemon, folder / "d.sock", engine),
        _forwarder(folder / "b.sock", folder / "d.sock"),
    ):
        command = ["docker", "buildx", "create", "--name", "far", "--driver", "remote", f"unix://{folder}/b.sock"]
        subprocess.run(command, env={**engine.env, **env}, check=True, capture_output=True)
        yield FarBuilder(name="far", env=env)


@contextlib.contextmanager
def _started(command: list[str | Path], waited_for: Path, engine: Engine) -> Iterator[None]:
    with subprocess.Popen(command, env=engine.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            deadline = time.monotonic() + 240
            while not _answers(waited_for):
                assert child.poll() is None, f"{command[0]} ended"
                assert time.monotonic() < deadline, f"{command[0]} does not answer"
                time.sleep(0.05)
            yield
        finally:
            child.terminate()
            child.wait(120)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        return True
    return False


@contextlib.contextmanager
def _forwarder(listening: Path, target: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listening))
        server.listen(64)
        threading.Thread(target=_accept, args=(server, target), daemon=True).start()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket, target: Path) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = server.accept()
            threading.Thread(target=_serve, args=(client, target), daemon=True).start()


def _serve(client: socket.socket, target: Path) -> None:
    with client, socket.socket(socket.AF_UNIX) as daemon, contextlib.suppress(OSError):
        daemon.connect(str(target))
        daemon.sendall(_UPGRADE)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            one = daemon.recv(1)
            if not one:
                return
            head += one
        assert head.startswith(b"HTTP/1.1 101 "), head
        back = threading.Thread(target=_pump, args=(daemon, client), daemon=True)
        back.start()
        _pump(client, daemon)
        back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
