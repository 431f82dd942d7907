"""Which GPU this machine has, and how a container gets at it: CDI or the NVIDIA runtime."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ci_budget.edges.processes import run
from ci_budget.errors import UnmeasuredError

_CDI_FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """The GPUs' model names and driver; `access` is "cdi", "nvidia", or None when containers cannot reach them."""

    models: tuple[str, ...]
    driver: str
    access: str | None

    def describe(self) -> str:
        """For a report."""
        way = {"cdi": "through CDI", "nvidia": "through the NVIDIA runtime", None: "not reachable from containers"}
        return f"{', '.join(self.models)}, driver {self.driver}, {way[self.access]}"


def find_gpu(runtimes: Sequence[str], cdi_folders: Sequence[Path] = _CDI_FOLDERS) -> Gpu | None:
    """What `nvidia-smi` reports; None when there is no GPU or no driver. `runtimes`: the engine's."""
    if shutil.which("nvidia-smi") is None:
        return None
    try:
        done = run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], check=False, timeout=30)
    except UnmeasuredError:
        return None
    rows = [line.rsplit(",", 1) for line in done.text.splitlines() if "," in line]
    if done.exit_code != 0 or not rows:
        return None
    return Gpu(
        models=tuple(row[0].strip() for row in rows),
        driver=rows[0][1].strip(),
        access=_access(runtimes, cdi_folders),
    )


def _access(runtimes: Sequence[str], cdi_folders: Sequence[Path]) -> str | None:
    if any(_describes_nvidia(path) for folder in cdi_folders if folder.is_dir() for path in sorted(folder.iterdir())):
        return "cdi"
    return "nvidia" if "nvidia" in runtimes else None


def _describes_nvidia(path: Path) -> bool:
    try:
        return path.suffix in (".yaml", ".yml", ".json") and b"nvidia.com/gpu" in path.read_bytes()[:100_000]
    except OSError:
        return False
