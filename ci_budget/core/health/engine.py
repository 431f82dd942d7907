"""Checks of what builds: the engine, buildx, BuildKit, the sandbox, the GPU."""

from __future__ import annotations

from collections.abc import Sequence

from ci_budget.core.health.facts import EngineHealth, GpuFacts, GpuWish, LoopFacts, SandboxFacts, Tool
from ci_budget.core.health.finding import Finding, Status

_MODPROBE = "sudo modprobe loop, and add `loop` to /etc/modules-load.d/ci-budget.conf"


def check_engine(engine: EngineHealth) -> Finding:
    """An engine answers, and is new enough."""
    if engine.problem is not None:
        mend = engine.mend or "sudo systemctl start docker"
        return Finding(check="engine", status=Status.CRITICAL, message=engine.problem, mend=mend)
    text = f"engine {engine.version} at {engine.address}, {engine.storage_driver}, data in {engine.data_root}"
    return Finding(check="engine", status=Status.OK, message=text)


def check_buildx(buildx: Tool) -> Finding:
    """The buildx plugin is there, and new enough to list stages."""
    if buildx.version is None:
        return Finding(
            check="buildx",
            status=Status.CRITICAL,
            message=buildx.problem or "docker has no buildx plugin here",
            mend=buildx.mend or "install docker-buildx-plugin (Debian: docker-buildx) 0.15 or newer",
        )
    return Finding(check="buildx", status=Status.OK, message=f"buildx {buildx.version}")


def check_buildkit(buildkit: Tool, engine: EngineHealth) -> Finding:
    """The engine's own builder is BuildKit; stages, mounts and build events come from it."""
    if buildkit.version is not None:
        return Finding(check="buildkit", status=Status.OK, message=f"BuildKit {buildkit.version}")
    if engine.problem is not None:
        return Finding(check="buildkit", status=Status.SKIPPED, message="not looked at: no engine answers")
    return Finding(
        check="buildkit",
        status=Status.CRITICAL,
        message=buildkit.problem or "the engine's builder does not say which BuildKit it is",
        mend=buildkit.mend or "docker buildx inspect default; set features.buildkit to true in daemon.json",
    )


def check_sandbox(sandbox: SandboxFacts) -> Finding:
    """Which disk mode `auto` takes here, and why."""
    check = "sandbox"
    if sandbox.mode is None:
        mend = sandbox.mend or "run as root, or allow this user sudo without a password"
        return Finding(check=check, status=Status.CRITICAL, message=sandbox.problem or sandbox.reason, mend=mend)
    text = f"auto takes {sandbox.mode}: {sandbox.reason}"
    if sandbox.mode == "sandbox":
        return Finding(check=check, status=Status.OK, message=text)
    return Finding(
        check=check,
        status=Status.WARN,
        message=f"{text}; the disk budget is watched there, not enforced",
        mend=sandbox.mend or "allow this user sudo without a password, or run as root",
    )


def check_loop(loop: LoopFacts) -> Finding:
    """A sandbox's filesystem needs a loop device."""
    if loop.available:
        return Finding(check="loop-devices", status=Status.OK, message="loop devices are available")
    if not loop.needed:
        text = f"no sandbox of this user would use one ({loop.problem})"
        return Finding(check="loop-devices", status=Status.SKIPPED, message=text)
    text = f"no loop device can be had: {loop.problem}"
    return Finding(check="loop-devices", status=Status.CRITICAL, message=text, mend=_MODPROBE)


def check_gpu(gpu: GpuFacts | None, wishes: Sequence[GpuWish]) -> Finding:
    """Where the config asks for a GPU: driver there, and containers can reach it by CDI or the NVIDIA runtime."""
    check = "gpu"
    found = gpu.described if gpu is not None else "no GPU, or no driver for one"
    if not wishes:
        return Finding(check=check, status=Status.SKIPPED, message=f"no image of the config asks for one ({found})")
    required = [wish.image for wish in wishes if wish.kind == "required"]
    asking = ", ".join(required or [wish.image for wish in wishes])
    if gpu is not None and gpu.access is not None:
        return Finding(check=check, status=Status.OK, message=f"{found}; asked for by {asking}")
    if gpu is None and not required:
        return Finding(check=check, status=Status.OK, message=f"{found}; the smoke tests of {asking} take the CPU")
    text = f"{asking} {'requires' if len(required) == 1 else 'require'} a GPU: {found}" if required else found
    if gpu is None:
        mend = "install the NVIDIA driver (`nvidia-smi` must list the GPU), or write `gpu: auto`"
    else:
        mend = "install nvidia-container-toolkit and run: sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
    return Finding(check=check, status=Status.CRITICAL if required else Status.WARN, message=text, mend=mend)
