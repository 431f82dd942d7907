"""The smoke test: a command in the very image that was measured, after the window, without network."""

from __future__ import annotations

import time

from ci_budget.core.config.model import Smoke
from ci_budget.core.records.report import SmokeReport
from ci_budget.core.text.plain_text import one_line
from ci_budget.core.text.units import format_seconds
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.engine.gpu import Gpu
from ci_budget.errors import UnmeasuredError

_SHOWN = 1500


def require_gpu(smoke: Smoke | None, gpu: Gpu | None) -> None:
    """Raises UnmeasuredError when the smoke test needs a GPU that containers cannot reach; asked before building."""
    if smoke is None or smoke.gpu != "required":
        return
    if gpu is None:
        raise UnmeasuredError(
            "the smoke test needs a GPU (smoke.gpu: required); this runner has none, or no driver for it",
            mend="Run on a GPU runner, or write `gpu: auto`, which runs on the CPU where there is no GPU.",
        )
    if gpu.access is None:
        raise UnmeasuredError(
            f"the smoke test needs a GPU, and containers cannot reach {gpu.describe()}",
            mend="Install the NVIDIA Container Toolkit and run `nvidia-ctk cdi generate`.",
        )


def run_smoke_test(engine: DockerEngine, image: str, smoke: Smoke, gpu: Gpu | None, label: str) -> SmokeReport:
    """Run it; a failure or a time-out is a report, not an error."""
    access = gpu.access if gpu is not None and smoke.gpu != "off" else None
    started = time.monotonic()
    end = engine.run_container(image, smoke.command, timeout=smoke.timeout, labels={"ci-budget": label}, gpu=access)
    if end.exit_code is None:
        message = f"the smoke test did not end within {format_seconds(smoke.timeout)}"
    elif end.exit_code != 0:
        said = one_line(end.log[-_SHOWN:].strip()) or "no output"
        message = f"the smoke test failed with exit code {end.exit_code}: {said}"
    else:
        message = "passed"
    return SmokeReport(
        command=list(smoke.command),
        passed=end.exit_code == 0,
        exit_code=end.exit_code,
        seconds=round(time.monotonic() - started, 3),
        gpu=_describe(smoke, gpu, access),
        message=message,
    )


def _describe(smoke: Smoke, gpu: Gpu | None, access: str | None) -> str:
    if smoke.gpu == "off":
        return "off"
    if access is not None and gpu is not None:
        return gpu.describe()
    return "no GPU on this runner: ran on the CPU" if gpu is None else f"{gpu.describe()}: ran on the CPU"
