"""What the gate costs: `ci-budget check` against the same plain `docker buildx build`, in pairs, on this machine.

`make bench` runs it; alone: `. .engine/env && .venv/bin/python -m benchmarks.overhead [--pairs 3] [--seconds 60]`.
The builds need no network; the base image is the local busybox. Times are wall times; what counts is the ratio.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ci_budget.core.measurement.samples import INTERVAL
from ci_budget.edges.sites.sampler import sampling

BASE = "test/busybox:latest"
# Compresses, writes, reads and removes: what a build does, without a network.
STEP = (
    "i=0; while [ $i -lt {rounds} ]; do head -c 24000000 /dev/urandom | gzip -1 > /f$i.gz; gunzip -c /f$i.gz | md5sum; "
    "i=$((i+1)); done"
)


def main() -> None:
    """Calibrate the step to the wanted duration, then run the pairs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench(Path(folder), arguments.pairs, arguments.seconds)


def bench(folder: Path, pairs: int, seconds: int) -> None:
    share = sampler_share()  # first: right after builds the kernel still writes
    print(f"sampler: {share * 100:.2f} % of a core at one sample in {INTERVAL * 1000:.0f} ms   goal <= 1 %", flush=True)
    rounds = calibrate(folder, seconds)
    print(f"{'case':<14} {'plain':>8} {'check':>8} {'ratio':>6}   (median of {pairs} pairs, {rounds} rounds a build)")
    memory = 0
    for case, stages, goal in (("one stage", 1, 1.10), ("three stages", 3, 1.25)):
        write_project(folder, [max(1, rounds // stages)] * stages)
        check(folder)  # the seed of this geometry is made once, as on a runner
        plain_times, check_times = [], []
        for _ in range(pairs):
            plain_times.append(plain(folder))
            took, peak = check(folder)
            check_times.append(took)
            memory = max(memory, peak)
        ratios = [ours / theirs for ours, theirs in zip(check_times, plain_times, strict=True)]
        print(
            f"{case:<14} {statistics.median(plain_times):7.1f}s {statistics.median(check_times):7.1f}s "
            f"{statistics.median(ratios):6.3f}   goal <= {goal}"
        )
    print(f"memory of check: {memory / 1e6:.0f} MB at its highest   goal <= 120 MB")


def calibrate(folder: Path, seconds: int) -> int:
    write_project(folder, [2])
    took = plain(folder)
    return max(2, round(2 * seconds * 1.1 / took))


def write_project(folder: Path, rounds: list[int]) -> None:
    lines = []
    for index, count in enumerate(rounds):
        base = BASE if index == 0 else f"s{index - 1}"
        lines += [f"FROM {base} AS s{index}", f"RUN {STEP.format(rounds=count)}"]
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
    (folder / "ci-budget.yml").write_text(
        "version: 1\ndisk: {budget: 6GB, reserve: 1GB, mode: sandbox}\nimages: {bench: {}}\n"
    )


def plain(folder: Path) -> float:
    started = time.monotonic()
    subprocess.run(
        ["docker", "buildx", "build", "--builder", "default", "--no-cache", "--load", "--tag", "bench:plain", folder],
        check=True,
        capture_output=True,
    )
    took = time.monotonic() - started
    subprocess.run(["docker", "image", "rm", "bench:plain"], check=True, capture_output=True)
    subprocess.run(["docker", "builder", "prune", "--force"], check=True, capture_output=True)
    return took


def check(folder: Path) -> tuple[float, int]:
    """Wall seconds, and the highest resident bytes of the tool's own process."""
    started = time.monotonic()
    highest = 0
    with subprocess.Popen(
        [sys.executable, "-m", "ci_budget", "check", "--report", str(folder.parent / f"{folder.name}-report")],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "CI": "true"},
    ) as child:
        status = Path(f"/proc/{child.pid}/status")
        while child.poll() is None:
            for line in status.read_text().splitlines():
                if line.startswith("VmHWM:"):
                    highest = max(highest, int(line.split()[1]) * 1024)
            time.sleep(0.1)
        took = time.monotonic() - started
        if child.returncode != 0:
            assert child.stdout is not None
            sys.exit(f"check exited {child.returncode}:\n{child.stdout.read().decode()}")
    return took, highest


def sampler_share(seconds: float = 20.0) -> float:
    """The share of a core that sampling takes: this process's processor time while nothing else runs in it."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.monotonic()
    with sampling(Path("/")):
        time.sleep(seconds)
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used / (time.monotonic() - started)


if __name__ == "__main__":
    main()
