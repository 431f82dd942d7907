"""What a run must never lose: the user's files, the host engine's things, the firewall, the kept seeds."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import docker

from tests.engine_access import Engine

_NAME = "faults-keepsake"
_ONE_ADDRESS = re.compile(r" -[sd] [0-9.]+/32 ")
_BRIDGE = re.compile(r"\bbr-[0-9a-f]{12}\b")
_BASES = ("test/busybox:latest",)


@dataclass(kw_only=True)
class Keepsakes:
    """What was there before a fault. Files are added as projects are made."""

    engine: Engine
    things: frozenset[str]
    files: dict[Path, str] = field(default_factory=dict)

    @classmethod
    def take(cls, engine: Engine) -> Self:
        """Note what the host has now."""
        return cls(engine=engine, things=frozenset(_things(engine)))

    def keep_files(self, folder: Path) -> None:
        """Note the content of every file below a folder."""
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                self.files.setdefault(path, _digest(path))

    def lost(self, state: Path) -> list[str]:
        """One line for each thing that is gone or changed, and for each seed that is not sound."""
        lost = sorted(self.things - frozenset(_things(self.engine)))
        for path, digest in self.files.items():
            if not path.is_file():
                lost.append(f"file {path}")
            elif _digest(path) != digest:
                lost.append(f"content of {path}")
        return [*lost, *_unsound_seeds(state / "seeds")]


def plant_keepsakes(engine: Engine) -> None:
    """An image, a container, a volume and a network on the host's engine that no run may touch."""
    remove_keepsakes(engine)
    text = f"FROM {_BASES[0]}\nLABEL {_NAME}=1\nRUN echo kept > /kept\n"
    engine.docker("build", "--quiet", "--tag", _NAME, "-", stdin=text.encode())
    engine.docker("volume", "create", _NAME)
    engine.docker("network", "create", _NAME)
    engine.docker("create", "--name", _NAME, "--network", _NAME, "--volume", f"{_NAME}:/v", _NAME, "true")


def remove_keepsakes(engine: Engine) -> None:
    """Take them away again, as far as they are there."""
    for words in (("rm", "--force"), ("volume", "rm", "--force"), ("network", "rm", "--force"), ("rmi", "--force")):
        subprocess.run(["docker", *words, _NAME], env=engine.env, capture_output=True)


def _things(engine: Engine) -> Iterator[str]:
    """One line for each; other people's containers and networks, which may end at any time, are left out."""
    own = set()
    with contextlib.closing(docker.DockerClient(base_url=engine.docker_host)) as client:
        for image in (*_BASES, _NAME):
            yield from (f"image {image} {found.id}" for found in client.images.list(image))
        for container in client.containers.list(all=True, filters={"name": _NAME}):
            yield f"container {container.id} {container.status}"
        yield from (f"volume {volume.id}" for volume in client.volumes.list(filters={"name": _NAME}))
        for network in client.networks.list(names=[_NAME]):
            yield f"network {network.id}"
            own.add(f"br-{(network.id or '')[:12]}")
    for tool in ("iptables-save", "ip6tables-save"):
        done = subprocess.run([tool], capture_output=True, text=True, check=True)
        for line in done.stdout.splitlines():
            others = _ONE_ADDRESS.search(line) or set(_BRIDGE.findall(line)) - own
            if line.startswith(("-A", ":")) and "ci-budget" not in line and not others:
                rule = re.sub(r" *\[[0-9:]+\]", "", line)  # without counters, which change
                yield f"{tool.removesuffix('-save')} rule {rule}"
    yield f"forwarding {Path('/proc/sys/net/ipv4/ip_forward').read_text().strip()}"
    for link in Path("/sys/class/net").iterdir():
        if link.name.startswith(("docker", "eth", "en", "lo")) or link.name in own:
            yield f"interface {link.name}"


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unsound_seeds(folder: Path) -> Iterator[str]:
    """A seed must be a clean filesystem, and untouched since it was kept."""
    for disk in sorted(folder.glob("*.ext4")):
        facts = json.loads(disk.with_suffix(".json").read_text())
        if disk.stat().st_mtime_ns != facts["written"]:
            yield f"seed {disk.name}: written to after it was kept"
        if subprocess.run(["e2fsck", "-n", "-f", disk], capture_output=True).returncode:
            yield f"seed {disk.name}: e2fsck finds errors"
