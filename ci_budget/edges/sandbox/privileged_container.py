"""The sandbox for a user who only has the Docker socket: this very command again, in a privileged container.

The container is the tool's own image, shares the host's network and processes, and keeps the sandbox's file on a
bind mount of the host's disk, so that figures and clean-up are those of root. Its mounts die with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from ci_budget import __version__
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.engine.host_daemon import config_file
from ci_budget.edges.github import runner_folders
from ci_budget.edges.processes import Completed, run
from ci_budget.edges.sandbox.loop_filesystem import mounts_below
from ci_budget.edges.sandbox.privileges import ENTERED, kept_names
from ci_budget.edges.sites.state import ROOT_STATE, RUN_ROOT, root_state
from ci_budget.errors import UnmeasuredError

OWNER = "ci-budget.owner"
_PACKAGE = Path(__file__).resolve().parents[2]
_BUILD_TIMEOUT = 1800.0
_PRUNE_TIMEOUT = 3600.0


def container_problem(host: DockerEngine | None) -> str | None:
    """Why the engine cannot give us a privileged container on this machine; None when it can."""
    if host is None:
        return "no Docker engine answers"
    if not host.docker_host.startswith("unix://"):
        return "the engine is on another machine"
    facts = host.facts()
    if facts.rootless:
        return "the engine is rootless or remaps users"
    if not Path(facts.data_root).is_absolute():
        return "the engine does not say where its data lies"
    return None


def rerun_in_container(
    host: DockerEngine,
    *,
    sandbox_image: str | None,
    also_kept: Sequence[str],
    folders: Sequence[Path],
    say: Callable[[str], None],
) -> NoReturn:
    """Replace this process by `docker run` of the same command. `folders` are mounted under their own paths.

    Values of variables travel in the environment, never on the command line. Raises UnmeasuredError when the
    image is not to be had.
    """
    remove_orphans(host)
    image = sandbox_image or _own_image(host, say)
    words = _container_words(host, image, sys.argv[1:], also_kept=also_kept, folders=folders)
    host.close()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp("docker", words)  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise UnmeasuredError(f"docker cannot be run: {error.strerror}") from error


def prune_in_container(host: DockerEngine, *, sandbox_image: str | None, arguments: Sequence[str]) -> Completed | None:
    """Run `prune` on what sandboxes of this way left, which is root's; None where the engine lacks the image.

    It is never built for that: who prunes may have no room.
    """
    image = sandbox_image or own_image_name()
    if host.image(image) is None:
        return None
    words = _container_words(host, image, ["prune", *arguments], also_kept=(), folders=())
    words = [word for word in words if not word.startswith("--env=CI_BUDGET_PRUNE_")]  # the arguments say it all
    return run(words, check=False, timeout=_PRUNE_TIMEOUT)


def _container_words(
    host: DockerEngine, image: str, arguments: Sequence[str], *, also_kept: Sequence[str], folders: Sequence[Path]
) -> list[str]:
    """The `docker run` of this very tool, with everything of the host that it needs."""
    words = [
        "docker", "--host", host.docker_host, "run", "--rm", "--privileged", "--user=0", "--network=host", "--pid=host",
        "--cgroupns=host", f"--workdir={Path.cwd()}", f"--label={OWNER}={_own_identity()}",
    ]  # fmt: skip
    socket = Path(host.docker_host.removeprefix("unix://"))
    for path in _mounted([*folders, socket, RUN_ROOT, ROOT_STATE, Path("/dev")]):
        words.append(f"--volume={path}:{path}")
    for path in (config_file(), Path("/lib/modules")):
        if path.exists():
            words.append(f"--volume={path}:{path}:ro")
    words += [f"--env={name}" for name in kept_names(also_kept)]
    words += [f"--env=DOCKER_HOST={host.docker_host}", f"--env={ENTERED}=container"]
    # buildx makes what it writes in the user's folder the user's, where it takes itself to be run by sudo.
    words += [f"--env=SUDO_UID={os.getuid()}", f"--env=SUDO_GID={os.getgid()}", "--env=SUDO_COMMAND=ci-budget"]
    return [*words, image, *arguments]


def drop_inherited_mounts() -> None:
    """Inside the container: give up the copies of other sandboxes' mounts that came along with the state folder.

    They would keep those sandboxes' disks busy as long as this container runs.
    """
    if os.environ.get(ENTERED) == "container":
        for point in mounts_below(root_state() / "sandboxes"):
            run(["umount", "--lazy", point], check=False)


def own_image_name(package: Path = _PACKAGE) -> str:
    """The name of the image that runs this very code: its tag tells the package and the Dockerfile beside it apart from
    every other, so that no image of another state of the tool is taken for it."""
    files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    digest = hashlib.sha256()
    for path in sorted([*files, package.parent / "Dockerfile"]):
        if path.is_file():
            digest.update(f"{path.relative_to(package.parent)}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return f"ci-budget-sandbox:{__version__}-{digest.hexdigest()[:12]}"


def _own_image(host: DockerEngine, say: Callable[[str], None]) -> str:
    """The tool's own image, built from the folder that this package was run from where the engine lacks it."""
    name, source = own_image_name(), _PACKAGE.parent
    if host.image(name) is not None:
        return name
    if not (source / "Dockerfile").is_file() or not (source / "action.yml").is_file():
        raise UnmeasuredError(
            "the sandbox needs ci-budget's own image, and this installation has no Dockerfile to build it from",
            mend="Name the image in the config (`disk: {sandbox_image: ...}`), or use `--disk-mode host`.",
        )
    say(f"building {name}, once: the sandbox runs in it")
    run(
        ["docker", "--host", host.docker_host, "buildx", "build", "--builder", "default", "--load",
         "--label", "ci-budget=sandbox", "--tag", name, source],
        timeout=_BUILD_TIMEOUT,
    )  # fmt: skip
    return name


def _mounted(paths: Sequence[Path]) -> list[Path]:
    """Absolute folders and sockets without repetition; one inside another is left out."""
    wanted: list[Path] = []
    named = [
        Path(os.environ[name]) for name in ("SSH_AUTH_SOCK", "CI_BUDGET_STATE", "BUILDX_CONFIG") if os.environ.get(name)
    ]
    named += runner_folders(os.environ)
    docker_config = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    for path in sorted({path.absolute() for path in (*paths, *named, docker_config)}):
        needed = path in (RUN_ROOT, ROOT_STATE)  # the engine makes them where they are missing
        if (needed or _is_there(path)) and not any(path.is_relative_to(other) for other in wanted):
            wanted.append(path)
    return wanted


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # this user may not look: then the command could not use it either
        return False


def _own_identity() -> str:
    """Process id and start time: no other process ever has both."""
    return f"{os.getpid()}-{_start_time(os.getpid())}"


def _start_time(pid: int) -> str:
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    return ""


def orphaned_containers(host: DockerEngine) -> list[str]:
    """The containers of ours whose `docker run` was killed."""
    found = []
    for ident, owner in host.container_labels(OWNER):
        pid, _, started = owner.partition("-")
        if pid.isdigit() and _start_time(int(pid)) != started:
            found.append(ident)
    return found


def remove_orphans(host: DockerEngine) -> None:
    """Remove them; their sandboxes are mended by the next run."""
    for ident in orphaned_containers(host):
        host.remove_container(ident)
