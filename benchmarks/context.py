"""The build context of 100,000 files: our walk and rules against docker-py's matcher, in the same run.

    .venv/bin/python benchmarks/context.py [--files N] [--rounds N]

The tree is made in a temporary folder: a service with node_modules, a virtual environment, data and
sources, under a 30-line ignore file with `!` and `**`. Rounds alternate between the contestants; the wall
medians count, processor time tells whether the machine was busy with something else.
Exit code 1 when ours takes longer than the target of 0.7 s (scaled with --files) or than docker-py.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from docker.utils.build import exclude_paths

from ci_budget.edges.files.context_files import measure_context, read_ignore_rules

TARGET_SECONDS = 0.7
RULES = """\
# dependencies and caches
**/node_modules
**/__pycache__
**/*.pyc
**/*.pyo
**/.DS_Store
**/.pytest_cache
**/.mypy_cache
.venv
.git
dist
build
# data
data/**
!data/labels/**
!data/README.md
**/*.log
**/*.tmp
**/*~
docs/**/*.png
docs/**/*.svg
!docs/logo.svg
tests/**
!tests/fixtures
tests/fixtures/**/large-*
*.md
!README.md
**/.env*
!**/.env.example
secrets
"""
SHARES = {
    "src/app{}/module{}": (0.35, ("main.py", "model.py", "util.pyc", "notes.md", ".env", ".env.example", "run.log")),
    "web/lib{}/part{}": (0.20, ("index.js", "index.css", "view.html", "draft~", "bundle.tmp")),
    "web/node_modules/package{}/lib{}": (0.10, ("index.js", "readme.md", "package.json")),
    "data/raw{}/day{}": (0.10, ("a.csv", "b.csv", "c.csv")),
    "data/labels/set{}/day{}": (0.05, ("a.json", "b.json")),
    "docs/part{}/page{}": (0.10, ("text.md", "figure.png", "figure.svg", "data.json")),
    "tests/unit{}/case{}": (0.05, ("test_a.py", "test_b.py")),
    "tests/fixtures/set{}/case{}": (0.05, ("small.json", "large-1.bin")),
}


def make_tree(root: Path, files: int) -> int:
    """Write about that many empty files, ten to a directory; returns how many there are."""
    written = 0
    for pattern, (share, names) in SHARES.items():
        for number in range(round(files * share / 10)):
            folder = root / pattern.format(number // 20, number % 20)
            folder.mkdir(parents=True)
            for index in range(10):
                (folder / f"{index}-{names[index % len(names)]}").touch()
                written += 1
            if number % 10 == 0:
                (folder / names[0]).touch()
                written += 1
    (root / ".dockerignore").write_text(RULES)
    (root / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    return written + 2


def measure_seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call, after a garbage collection."""
    gc.collect()
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def walk(root: str) -> int:
    """The least there is to do: every file's size, no rules."""
    total, waiting = 0, [root]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def main() -> int:
    """Run the rounds, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    patterns = [line for line in RULES.splitlines() if not line.startswith("#")]
    with tempfile.TemporaryDirectory(prefix="context-benchmark-") as folder:
        root = Path(folder)
        files = make_tree(root, options.files)
        work: dict[str, Callable[[], object]] = {
            "ci-budget": lambda: measure_context(root, read_ignore_rules(root, root / "Dockerfile")),
            "docker-py": lambda: exclude_paths(folder, patterns),
            "walk alone": lambda: walk(folder),
        }
        measure_seconds(work["ci-budget"])
        rounds = [{name: measure_seconds(call) for name, call in work.items()} for _ in range(options.rounds)]
        kept = measure_context(root, read_ignore_rules(root, root / "Dockerfile")).files
    print(f"{files:,} files, {len(RULES.splitlines())} lines of rules, {kept:,} files kept; {options.rounds} rounds")
    print(f"{'':<12}{'wall median':>12}{'wall best':>12}{'CPU median':>12}{'ratio':>8}")
    walls = {name: statistics.median(each[name][0] for each in rounds) for name in work}
    for name, wall in walls.items():
        best = min(each[name][0] for each in rounds)
        processor = statistics.median(each[name][1] for each in rounds)
        print(f"{name:<12}{wall:>10.3f} s{best:>10.3f} s{processor:>10.3f} s{wall / walls['ci-budget']:>7.2f}x")
    target = TARGET_SECONDS * options.files / 100_000
    good = walls["ci-budget"] <= target and walls["ci-budget"] < walls["docker-py"]
    print(f"target: at most {target:.2f} s, and faster than docker-py: {'met' if good else 'MISSED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
