"""Becoming root for the sandbox: by sudo, where it asks for no password."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ci_budget.edges.github import VARIABLE_PREFIXES
from ci_budget.edges.processes import run
from ci_budget.errors import UnmeasuredError

_KEPT = (
    "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "BUILDX_CONFIG", "SSH_AUTH_SOCK", "NO_COLOR", "TERM",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "CI", "COLUMNS", "PYTHONPATH",
)  # fmt: skip
ENTERED = "CI_BUDGET_ENTERED_BY"
_KEPT_PREFIXES = ("CI_BUDGET_", *VARIABLE_PREFIXES)


def kept_names(also_kept: Sequence[str]) -> list[str]:
    """The variables of this environment that a run as root needs."""
    return sorted(name for name in os.environ if name in (*_KEPT, *also_kept) or name.startswith(_KEPT_PREFIXES))


def way_to_root() -> str:
    """How this process came to be root, for a person."""
    ways = {"sudo": "this user may become root by sudo", "container": "in a privileged container by the Docker socket"}
    return ways.get(os.environ.get(ENTERED, ""), "this user is root")


def sudo_works() -> bool:
    """Whether this user may become root without a password."""
    if shutil.which("sudo") is None:
        return False
    try:
        return run(["sudo", "-n", "true"], check=False, timeout=20).exit_code == 0
    except UnmeasuredError:
        return False


def rerun_as_root(also_kept: Sequence[str]) -> NoReturn:
    """Replace this process by the same command as root. `also_kept`: names of variables that the config needs.

    Values travel in the environment, never on the command line. `-P`: nothing in the working directory, which is
    what a pull request proposes, is taken for a module. Raises UnmeasuredError when sudo is gone.
    """
    command = [
        "sudo", "-n", f"--preserve-env={','.join(kept_names(also_kept))}", "--", "env",
        f"PATH={os.environ.get('PATH', '')}", f"{ENTERED}=sudo", sys.executable, "-P", "-m", "ci_budget", *sys.argv[1:],
    ]  # fmt: skip
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp("sudo", command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise UnmeasuredError(f"sudo cannot be run: {error.strerror}") from error


def give_to_caller(written: Sequence[Path]) -> None:
    """Make the files and folders that root wrote belong to the user who called sudo; does nothing otherwise."""
    user, group = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() != 0 or not user.isdigit() or not group.isdigit():
        return
    for path in (below for top in written for below in (top, *top.rglob("*"))):
        with contextlib.suppress(OSError):
            os.chown(path, int(user), int(group), follow_symlinks=False)
