"""What reading an image costs: `explain local://` against dive, and the `docker save` fallback against `docker save`.

Alone: `. .engine/env && .venv/bin/python -m benchmarks.layers [--image NAME] [--files 90000] [--gigabytes 8]`.
Without --image one is made of so many files, small ones and as many large ones as fill the size. Each program runs as a
process of its own, turn by turn; what counts are the ratios of one run, and the memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BASE = "test/busybox:latest"
MADE = "bench/layers:latest"
SMALL = 6_000  # bytes
LARGE = 150_000_000
LAYERS = 6
_FALLBACK = """
import os, sys, time
from ci_budget.core.inventory.packages import is_package_record
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.layers.image_archives import read_saved
started = time.monotonic()
saving = DockerEngine(os.environ["DOCKER_HOST"]).saved(sys.argv[1])
found = read_saved(saving, sys.argv[1], is_package_record).layers
print(time.monotonic() - started, sum(layer.size for layer in found.layers))
"""


def main() -> None:
    """Make or take the image, run each side `--pairs` times in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image")
    parser.add_argument("--files", type=int, default=90_000)
    parser.add_argument("--gigabytes", type=float, default=8.0)
    parser.add_argument("--pairs", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.image is not None:
        bench(arguments.image, arguments.pairs)
        return
    make_image(arguments.files, int(arguments.gigabytes * 1e9))
    try:
        bench(MADE, arguments.pairs)
    finally:
        subprocess.run(["docker", "image", "rm", MADE], check=True, capture_output=True)
        subprocess.run(["docker", "builder", "prune", "--force"], check=True, capture_output=True)


def make_image(files: int, size: int) -> None:
    """Layers of many small files, a few large ones of different sizes, and a last one that deletes and overwrites."""
    each = max(1, files // LAYERS)
    large = max(0, size - files * SMALL) // LAYERS
    lines = [f"FROM {BASE}"]
    for index in range(LAYERS):
        sizes = [min(LARGE, large - at) - index - at // LARGE for at in range(0, large, LARGE)]
        parts = [
            f"mkdir -p /data/{index} && cd /data/{index} && i=0",
            f"while [ $i -lt {each} ]; do [ $((i % 30)) = 0 ] && mkdir d$((i / 30)); "
            f"head -c {SMALL} /dev/zero > d$((i / 30))/f$i; i=$((i + 1)); done",
            *(f"head -c {one} /dev/zero > large{number}" for number, one in enumerate(sizes) if one > 0),
        ]
        lines.append(f"RUN {' && '.join(parts)}")
    lines.append("RUN rm -r /data/0/d1 && touch /data/1/d1/f30 && rm /data/2/d2/f60")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        (Path(folder) / "Dockerfile").write_text("\n".join(lines) + "\n")
        subprocess.run(
            ["docker", "buildx", "build", "--builder", "default", "--load", "--tag", MADE, folder],
            check=True,
            capture_output=True,
        )


def bench(image: str, pairs: int) -> None:
    ours: list[tuple[float, int]] = []
    theirs: list[tuple[float, int]] = []
    fallback: list[tuple[float, int]] = []
    plain: list[float] = []
    said: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for _ in range(pairs):
            output = Path(folder) / "explained.json"
            words = ["explain", f"local://{image}", "--format", "json", "--output", str(output)]
            ours.append(timed([sys.executable, "-m", "ci_budget", *words]))
            said = json.loads(output.read_text())
            dive = [str(Path(sys.executable).parent / "dive"), "--json", str(Path(folder) / "dive.json")]
            theirs.append(timed([*dive, f"docker://{image}"]))
            started = time.monotonic()
            subprocess.run(["docker", "save", image], check=True, stdout=subprocess.DEVNULL)
            plain.append(time.monotonic() - started)
            done = timed([sys.executable, "-c", _FALLBACK, image], keep=(kept := []))
            fallback.append((float(kept[0].split()[0]), done[1]))
            if int(kept[0].split()[1]) != said["size"]:
                sys.exit(f"the sources differ: save {kept[0].split()[1]} B, directories {said['size']} B")
        dives = json.loads((Path(folder) / "dive.json").read_text())["image"]
    if said["dive"] != {"efficiency": dives["efficiencyScore"], "wasted_bytes": dives["inefficientBytes"]}:
        sys.exit(f"dive says {dives['efficiencyScore']}, {dives['inefficientBytes']}; we {said['dive']}")
    if said["source"] != "the engine's layer directories":
        sys.exit(f"read from {said['source']}: run this as root, with the overlay2 store")
    steps = said["steps"]
    assert isinstance(steps, list) and isinstance(said["size"], int)
    files = sum(step["files"] for step in steps)
    print(f"{said['size'] / 1e9:.2f} GB, {files:,} files, {len(steps)} layers; medians of {pairs} rounds")
    print(f"{'':<34} {'wall':>8} {'memory':>8}")
    row("explain (layers, waste, packages)", ours)
    row("dive", theirs)
    row("fallback: the stream of save", fallback)
    print(f"{'docker save > /dev/null':<34} {statistics.median(plain):7.1f}s")
    quicker = statistics.median(other[0] / own[0] for own, other in zip(ours, theirs, strict=True))
    speed = statistics.median(whole / own[0] for own, whole in zip(fallback, plain, strict=True))
    print(f"explain is {quicker:.1f} times as fast as dive   goal >= 25, <= 3 s and <= 150 MB at 8 GB and 90,000 files")
    print(f"the fallback has {speed:.2f} of the speed of `docker save`   goal >= 0.9")


def row(name: str, runs: list[tuple[float, int]]) -> None:
    wall, memory = statistics.median(one[0] for one in runs), max(one[1] for one in runs)
    print(f"{name:<34} {wall:7.1f}s {memory / 1e6:6.0f} MB")


def timed(command: list[str], *, keep: list[str] | None = None) -> tuple[float, int]:
    """Wall seconds and the highest resident bytes of one process; `keep` takes its output."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, env={**os.environ, "CI": "true"})
        assert child.stderr is not None
        complaint = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        took = time.monotonic() - started
        output.seek(0)
        said = output.read()
    # dive exits 1 where its own rules fail, which is not the question here.
    if child.returncode not in ((0, 1) if "dive" in command[0] else (0,)):
        sys.exit(f"{command[0]} exited {child.returncode}:\n{said[-2000:]}{complaint.decode()[-2000:]}")
    if keep is not None:
        keep.append(said)
    return took, usage.ru_maxrss * 1024


if __name__ == "__main__":
    main()
