"""1,000 shards' reports merged by `ci-budget merge`, and the comment of the result. Goal: <= 3 s."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ci_budget.core.render.comment import LARGEST, render_comment
from ci_budget.core.render.json_text import render_json
from ci_budget.edges.files.report_files import read_report
from tests.unit.golden_reports import COMMIT, mixed_report

_SHARDS = 1000
_POINTS = 300


def main() -> None:
    """Print the table. One shard in twenty fails; each has a timeline of 300 points."""
    with tempfile.TemporaryDirectory() as folder:
        places = Path(folder)
        size = _write_shards(places / "shards")
        plan = places / "plan.json"
        plan.write_text(json.dumps({"touched": [f"service-{number:04}" for number in range(_SHARDS)]}))
        words = ["merge", places / "shards", "--plan", plan, "--report", places / "merged"]
        merge = statistics.median(_time(words) for _ in range(3))
        bare = statistics.median(_time(["--version"]) for _ in range(3))
        report = read_report(places / "merged")
        started = time.perf_counter()
        comment = render_comment(report)
        rendered = time.perf_counter() - started
    print(f"{'reports':<28} {_SHARDS:>8,}   {size / 1e6:.0f} MB")
    print(f"{'ci-budget merge':<28} {merge:6.2f} s   goal <= 3 s ({merge / bare:.1f} x `ci-budget --version`)")
    print(f"{'the comment of the result':<28} {rendered:6.2f} s   {len(comment.encode()):,} bytes of {LARGEST:,}")


def _write_shards(folder: Path) -> int:
    failing, passing = (json.loads(render_json(mixed_report()))["images"][index] for index in (1, 0))
    total = 0
    for number in range(_SHARDS):
        image = {**(passing if number % 20 else failing), "name": f"service-{number:04}"}
        image["timeline"] = [{"t_ms": 500 * at, "used": 10**9 + at, "steps": [0, 1]} for at in range(_POINTS)]
        code = image["exit_code"]
        report = {
            **json.loads(render_json(mixed_report().model_copy(update={"images": [], "limits_changed": []}))),
            "images": [image],
            "exit_code": code,
            "verdict": image["verdict"],
            "commit": COMMIT,
        }
        path = folder / f"ci-budget-report-{number}"
        path.mkdir(parents=True)
        total += (path / "report.json").write_text(json.dumps(report, indent=2))
    return total


def _time(words: list[str | Path]) -> float:
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "ci_budget", *words], check=False, capture_output=True)
    return time.monotonic() - started
