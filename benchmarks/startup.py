"""How long a person waits: `--help`, and `validate` on the project's own config. Median of ten."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Print the table; a bare interpreter stands beside it for comparison."""
    print(f"{'command':<22} {'median':>8}   goal")
    for name, words, goal in (
        ("python -c pass", ("-c", "pass"), ""),
        ("ci-budget --help", ("-m", "ci_budget", "--help"), "<= 0.25 s"),
        ("ci-budget validate", ("-m", "ci_budget", "validate"), "<= 0.4 s"),
    ):
        print(f"{name:<22} {statistics.median(_time(words) for _ in range(10)):6.3f} s   {goal}")


def _time(words: tuple[str, ...]) -> float:
    started = time.monotonic()
    subprocess.run([sys.executable, *words], cwd=_ROOT, check=True, capture_output=True)
    return time.monotonic() - started
