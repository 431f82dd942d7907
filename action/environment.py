"""The action's private virtual environment: made once for a set of locked dependencies, then reused.

Run with a bare Python (3.11 or newer, standard library only): `environment.py COMMAND [ARGUMENT…]`
becomes `ci-budget COMMAND [ARGUMENT…]`.

An environment is made in a folder of its own and renamed into place when it is whole, so a half-made
one is never used, and of two jobs that make one at the same time the first wins.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-build.lock")
UNUSED_AFTER = 30 * 24 * 3600
ABANDONED_AFTER = 24 * 3600
CANNOT_MEASURE = 3


class SetupError(Exception):
    """The environment cannot be made; the text says why and what to do."""


def main(arguments: list[str]) -> NoReturn:
    """Become ci-budget in its environment; ends with exit code 3 where that cannot be made."""
    try:
        python = ensure_environment(cache_folder())
    except SetupError as error:
        report_failure(str(error))
        sys.exit(CANNOT_MEASURE)
    # -P: the working directory is the repository's, and no module may come from there.
    os.execv(python, [str(python), "-P", "-m", "ci_budget", *arguments])  # noqa: S606 - no shell on purpose


def cache_folder() -> Path:
    """Where environments are kept: the runner's tool cache where it can be written, else the user's cache."""
    tools = os.environ.get("RUNNER_TOOL_CACHE") or os.environ.get("AGENT_TOOLSDIRECTORY")
    user = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - may have no home
    for place in (tools, user, os.environ.get("RUNNER_TEMP")):
        if place and Path(place).is_absolute():
            folder = Path(place) / "ci-budget"
            with contextlib.suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                if os.access(folder, os.W_OK | os.X_OK):
                    return folder
    raise SetupError(
        "there is no folder to keep ci-budget's Python environment in: RUNNER_TOOL_CACHE, ~/.cache and RUNNER_TEMP "
        "are missing or cannot be written. Set RUNNER_TOOL_CACHE to a folder that the runner's user may write."
    )


def ensure_environment(cache: Path) -> Path:
    """The Python of the environment for this code, these locks and this interpreter; made when it is missing."""
    final = cache / f"venv-{environment_key()}"
    if is_usable(final):
        os.utime(final)
        return python_of(final)
    if final.exists():
        discard(final)  # its interpreter went away, or somebody emptied it
    print("::group::ci-budget: make the Python environment (once for each version)", flush=True)
    try:
        with half_made(cache) as folder:
            make_environment(folder)
            try:
                folder.rename(final)
            except OSError as error:
                if not is_usable(final):  # else another job was quicker
                    raise SetupError(f"cannot move the Python environment to {final}: {error.strerror}") from error
        remove_unused(cache, keep=final)
    finally:
        print("::endgroup::", flush=True)
    return python_of(final)


def environment_key() -> str:
    """A hash of everything that the environment is made of: the locks, the package, the interpreter."""
    digest = hashlib.sha256()
    for fact in (sys.version, sys.base_prefix, platform.machine(), *platform.libc_ver()):
        digest.update(f"{fact}\0".encode())
    package = sorted(path for path in (ROOT / "ci_budget").rglob("*") if path.is_file() and path.suffix != ".pyc")
    for path in (*(ROOT / name for name in LOCKS), ROOT / "pyproject.toml", *package):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:32]


def is_usable(folder: Path) -> bool:
    """Whether the environment is whole: its interpreter runs and finds the package in it."""
    python = python_of(folder)
    if not python.exists():
        return False
    probe = [str(python), "-I", "-c", "import ci_budget.cli"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def make_environment(folder: Path) -> None:
    """Create the environment in `folder`: the locked dependencies by hash, then this package alone."""
    created = run([sys.executable, "-I", "-m", "venv", str(folder)])
    if created.returncode != 0:
        said = created.stdout.strip()
        raise SetupError(
            f"{sys.executable} cannot make a virtual environment. On Debian and Ubuntu: "
            f"apt-get install python3-venv. It said: {said[-1000:]}"
        )
    pip = [str(python_of(folder)), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    pip += ["--quiet", "--no-compile"]  # Python compiles what it imports, which is a tenth of it
    locks = [option for name in LOCKS for option in ("-r", str(ROOT / name))]
    locked = run([*pip, "--require-hashes", *locks])
    print(locked.stdout, end="", flush=True)
    if locked.returncode != 0:
        raise SetupError(
            "the locked dependencies could not be installed. If the runner reaches no package index, set PIP_INDEX_URL "
            f"to one that it reaches. pip said: {last_lines(locked.stdout)}"
        )
    own = run([*pip, "--no-deps", "--no-index", "--no-build-isolation", str(ROOT)])
    print(own.stdout, end="", flush=True)
    if own.returncode != 0 or not is_usable(folder):
        raise SetupError(f"ci-budget could not be installed from {ROOT}. pip said: {last_lines(own.stdout)}")


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run to the end; both outputs as one text. Settings that would put packages elsewhere are left out."""
    misleading = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_REQUIRE_HASHES", "PIP_REQUIRE_VIRTUALENV")
    environ = {name: value for name, value in os.environ.items() if name not in misleading}
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environ,
        check=False,
    )


def last_lines(text: str) -> str:
    """The end of what a program said, on one line."""
    return " | ".join(line.strip() for line in text.strip().splitlines()[-6:])[-1500:]


def python_of(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / "bin" / "python"


@contextlib.contextmanager
def half_made(cache: Path) -> Iterator[Path]:
    """A fresh folder beside the finished environments, gone afterwards unless it was renamed."""
    folder = Path(tempfile.mkdtemp(prefix="making-", dir=cache))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def discard(folder: Path) -> None:
    """Move a broken environment out of the way first, so that nobody finds it half removed."""
    aside = Path(tempfile.mkdtemp(prefix="making-", dir=folder.parent)) / "broken"
    with contextlib.suppress(OSError):
        folder.rename(aside)
    shutil.rmtree(aside.parent, ignore_errors=True)


def remove_unused(cache: Path, *, keep: Path) -> None:
    """Remove environments that no run used for a month, and half-made ones that a killed run left behind."""
    now = time.time()
    for folder in cache.iterdir():
        limit = ABANDONED_AFTER if folder.name.startswith("making-") else UNUSED_AFTER
        ours = folder.name.startswith(("making-", "venv-"))
        with contextlib.suppress(OSError):
            if ours and folder != keep and now - folder.stat().st_mtime > limit:
                shutil.rmtree(folder, ignore_errors=True)


def report_failure(message: str) -> None:
    """Tell it in the log, the summary and the outputs, as ci-budget itself would."""
    plain = " ".join(message.split()).replace("%", "%25")
    print(f"::error title=ci-budget::{plain}", flush=True)
    for variable, text in (
        ("GITHUB_OUTPUT", f"verdict=not-measured\nexit-code={CANNOT_MEASURE}\n"),
        ("GITHUB_STEP_SUMMARY", f"### ci-budget: exit {CANNOT_MEASURE}\n\n{' '.join(message.split())}\n"),
    ):
        path = os.environ.get(variable)
        if path:
            with contextlib.suppress(OSError), open(path, "a", encoding="utf-8") as file:  # noqa: PTH123
                file.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
