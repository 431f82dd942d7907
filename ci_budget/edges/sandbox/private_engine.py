"""A Docker engine of the sandbox's own: containerd and dockerd with all their storage below one folder.

It never shares a containerd: dockerd would take any socket at /run/containerd, even a stale one, and
so write outside its storage. Its build cache is never collected: collection would hide peaks.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci_budget.edges import processes
from ci_budget.edges.sandbox.loop_filesystem import mounts_below
from ci_budget.edges.sandbox.private_network import PrivateNetwork
from ci_budget.edges.sites.state import Claim
from ci_budget.errors import UnmeasuredError

_START_TIMEOUT = 60.0
_STOP_GRACE = 3.0
_KEPT_LINES = 40
_LONGEST_SCRATCH = 107 - len("/.buildkit-ssh-sock4294967295/ssh_auth_sock")  # bytes; a socket's path has 107

_CONTAINERD_CONFIG = """\
version = 2
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime",
  "io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
]
"""


@dataclass(kw_only=True)
class _LastLines:
    """Drains a daemon's output for good and keeps only its end: what the tool writes is bounded."""

    _lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def follow(self, daemon: processes.Running) -> None:
        with daemon.stdout as stream:
            for line in iter(lambda: stream.readline(4096), b""):
                with self._lock:
                    self._lines.append(line.decode("utf-8", "replace").rstrip())
        daemon.wait(_START_TIMEOUT)

    def last(self, count: int) -> list[str]:
        """The end of them, while others may still come."""
        with self._lock:
            return list(self._lines)[-count:]


@dataclass(frozen=True, kw_only=True)
class PrivateEngine:
    """A running private engine: its socket as DOCKER_HOST, and where it keeps layers."""

    docker_host: str
    data_root: Path


def stop_engine(claim: Claim, *, kept: bool = False, grace: float = _STOP_GRACE) -> None:
    """End the daemons of a sandbox and everything they run, whoever started them; unmount what they mounted.

    `kept`: whether their filesystem is of use afterwards, so that they may bring it in order.
    """
    pids = [pid for pid in (_daemon_pid(claim, name) for name in ("dockerd", "containerd")) if pid is not None]
    for pid in pids:
        if kept:
            _signal(pid, signal.SIGTERM)
            _await_end(pid, grace)
        _signal(pid, signal.SIGKILL)
        _await_end(pid, grace)
    deadline = time.monotonic() + grace
    while (strays := _strays(claim)) and time.monotonic() < deadline:
        for pid in strays:
            _signal(pid, signal.SIGKILL)
        time.sleep(0.02)
    for folder in (claim.run_folder, claim.mount / "docker", claim.mount / "containerd"):
        for point in mounts_below(folder):
            processes.run(["umount", "--lazy", point], check=False)
    shutil.rmtree(claim.run_folder, ignore_errors=True)
    _remove_cgroups(claim)


@contextlib.contextmanager
def private_engine(
    claim: Claim,
    network: PrivateNetwork,
    settings: Mapping[str, Any],
    *,
    kept: bool = False,
    scratch: Path | None = None,
) -> Iterator[PrivateEngine]:
    """The engine of this sandbox, up for the block. `kept`: as of `stop_engine`; the rest as of `start_engine`."""
    try:
        yield start_engine(claim, network, settings, scratch=scratch)
    finally:
        stop_engine(claim, kept=kept)


def start_engine(
    claim: Claim, network: PrivateNetwork, settings: Mapping[str, Any], *, scratch: Path | None = None
) -> PrivateEngine:
    """Start the engine of this sandbox. However far it came, `stop_engine` ends it.

    `settings` are daemon.json keys taken over from the host. `scratch`: where image loads and pulls keep their
    temporary files, instead of the sandbox's own filesystem. Raises UnmeasuredError with the daemons' own last words
    when they do not come up.
    """
    run_folder = claim.run_folder
    run_folder.mkdir(parents=True, mode=0o711, exist_ok=True)
    scratch = scratch or _short_scratch(claim)
    docker_socket, containerd_socket = run_folder / "docker.sock", run_folder / "containerd.sock"
    (run_folder / "containerd.toml").write_text(_CONTAINERD_CONFIG, encoding="ascii")
    (run_folder / "daemon.json").write_text(
        json.dumps(_daemon_config(claim, network, settings, docker_socket, containerd_socket), indent=1),
        encoding="utf-8",
    )
    _start_daemon(
        claim, "containerd",
        ["containerd", "--config", run_folder / "containerd.toml", "--root", claim.mount / "containerd",
         "--state", run_folder / "containerd", "--address", containerd_socket, "--log-level", "warn"],
        ready=containerd_socket.exists,
    )  # fmt: skip
    _start_daemon(
        claim, "dockerd", ["dockerd", "--config-file", run_folder / "daemon.json"],
        ready=lambda: docker_socket.exists() and _answers(docker_socket),
        env={"DOCKER_TMPDIR": str(scratch)} if scratch else None,
    )  # fmt: skip
    return PrivateEngine(docker_host=f"unix://{docker_socket}", data_root=claim.mount / "docker")


def _short_scratch(claim: Claim) -> Path | None:
    """Where the path of the engine's folder for temporary files is too long for BuildKit's sockets of SSH agents
    below it: the same folder by a short one. The engine resolves a symbolic link, so it is a mount."""
    usual = claim.mount / "docker" / "tmp"
    if len(os.fsencode(usual)) <= _LONGEST_SCRATCH:
        return None
    short = claim.run_folder / "tmp"
    usual.mkdir(parents=True, mode=0o700, exist_ok=True)
    short.mkdir(mode=0o700)
    processes.run(["mount", "--bind", usual, short])
    return short


def _daemon_config(
    claim: Claim, network: PrivateNetwork, settings: Mapping[str, Any], socket: Path, containerd: Path
) -> dict[str, Any]:
    own: dict[str, Any] = {
        "data-root": str(claim.mount / "docker"),
        "exec-root": str(claim.run_folder / "docker"),
        "pidfile": str(claim.run_folder / "dockerd.own-pid"),
        "hosts": [f"unix://{socket}"],
        "containerd": str(containerd),
        "storage-driver": "overlay2",
        "cgroup-parent": claim.cgroup,
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "bridge": network.bridge,  # never "none": that deletes the host engine's docker0
        "mtu": network.mtu,
        "iptables": False,
        "ip6tables": False,
        "ip-masq": False,
        "ip-forward": False,
        "userland-proxy": False,
        "live-restore": False,
        "log-level": "warn",
        "log-driver": "json-file",
        "log-opts": {"max-size": "1m", "max-file": "1"},
        "builder": {"gc": {"enabled": False}},
    }
    features = {**settings.get("features", {}), "containerd-snapshotter": False}
    return {**settings, **own, "features": features}


def _start_daemon(
    claim: Claim,
    name: str,
    command: list[str | Path],
    *,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
) -> None:
    child = processes.start(command, stdout=processes.PIPE, stderr=processes.STDOUT, env=env)
    (claim.run_folder / f"{name}.pid").write_text(str(child.pid), encoding="ascii")
    last = _LastLines()
    threading.Thread(target=last.follow, args=(child,), daemon=True, name=f"{name}-log").start()
    deadline = time.monotonic() + _START_TIMEOUT
    while not ready():
        if child.exit_code is not None or time.monotonic() > deadline:
            state = "did not answer" if child.exit_code is None else f"ended with {child.exit_code}"
            words = "\n    ".join(last.last(8))
            raise UnmeasuredError(
                f"the sandbox's own {name} {state}; its last words:\n    {words}",
                mend="`ci-budget doctor` checks what it needs; `--disk-mode host` builds on the runner's engine.",
            )
        time.sleep(0.01)


def _answers(socket: Path) -> bool:
    import http.client
    import socket as sockets

    connection = http.client.HTTPConnection("localhost", timeout=2)
    connection.sock = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    try:
        connection.sock.settimeout(2)
        connection.sock.connect(str(socket))
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _daemon_pid(claim: Claim, name: str) -> int | None:
    """The pid in the sandbox's pid file, if that process is really this sandbox's daemon."""
    try:
        pid = int((claim.run_folder / f"{name}.pid").read_text(encoding="ascii"))
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if str(claim.run_folder).encode() in words else None


def _strays(claim: Claim) -> list[int]:
    """Processes in this sandbox's cgroups, or started with its run folder on their command line."""
    own = os.getpid()
    folder = f"{claim.run_folder}/".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == own:
            continue
        with contextlib.suppress(OSError):
            in_cgroup = f"{claim.cgroup}/" in (entry / "cgroup").read_text(encoding="utf-8", errors="replace")
            command = (entry / "cmdline").read_bytes()
            daemon = folder in command and command.split(b"\0")[0].rsplit(b"/", 1)[-1] in _DAEMONS
            if (in_cgroup or daemon) and not _is_zombie(entry):
                found.append(int(entry.name))
    return found


_DAEMONS = (b"dockerd", b"containerd", b"containerd-shim-runc-v2", b"docker-proxy", b"runc")


def _is_zombie(entry: Path) -> bool:
    return "\nState:\tZ" in (entry / "status").read_text(encoding="utf-8", errors="replace")


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _await_end(pid: int, grace: float) -> None:
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError, OSError):
            os.waitpid(pid, os.WNOHANG)  # ours: reap it
        try:
            if _is_zombie(Path(f"/proc/{pid}")):
                return
        except OSError:
            return
        time.sleep(0.01)


def _remove_cgroups(claim: Claim) -> None:
    name = claim.cgroup.strip("/")
    for parent in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
        top = parent / name
        if top.is_dir():
            for folder in sorted((*top.rglob("*"), top), key=lambda path: -len(path.parts)):
                if folder.is_dir():
                    with contextlib.suppress(OSError):
                        folder.rmdir()
