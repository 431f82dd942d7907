"""`report` over a year of a fleet: 1,000 images x 365 nights, in SQLite and in PostgreSQL (the server of the tests).

Goals: at most 5 s and 300 MB, the page at most 2 MB. The nights are made up, with drift, noise, steps and two setups.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from ci_budget.core.history.build_view import pack_view, view_build
from ci_budget.core.history.measurement import Measurement, Run
from ci_budget.core.records.report import DiskReport, Fingerprint, ImageReport, StepReport, TimelinePoint, Verdict
from ci_budget.edges.history.address import history_address
from ci_budget.edges.history.database import open_history
from tests.engine.postgresql.conftest import COMPOSE, url

MB = 10**6
DAY = 86_400
_SETUP = Fingerprint(
    platform="linux/amd64", disk_mode="sandbox", storage_driver="overlay2", filesystem="ext4", block_size=4096,
    order="sequential", cache="cold", method=1,
)  # fmt: skip
_ENGINES = (_SETUP.model_dump_json(), _SETUP.model_copy(update={"storage_driver": "overlayfs"}).model_dump_json())


def main() -> None:
    """Fill, run `report` in processes of their own, and print what they took."""
    options = argparse.ArgumentParser(prog="benchmarks.history")
    options.add_argument("--images", type=int, default=1000)
    options.add_argument("--nights", type=int, default=365)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="ci-budget-bench-") as made, postgresql() as server:
        folder = Path(made)
        print(f"{'database':<12} {'report':>8} {'its CPU':>8} {'memory':>8} {'HTML':>8}   goals: 5 s, 300 MB, 2 MB")
        for address in (f"sqlite:///{folder}/history.sqlite", server):
            fill(address, folder, images=given.images, nights=given.nights)
            took, busy, memory, size = report(address, folder, days=given.nights)
            database = address.split(":")[0]
            print(f"{database:<12} {took:6.2f} s {busy:6.2f} s {memory / 1e6:5.0f} MB {size / 1e6:5.2f} MB", flush=True)


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of an empty database in the server that the tests use, started for the block."""
    compose = ["docker", "compose", "--file", str(COMPOSE), "--project-name", "ci-budget-bench"]
    subprocess.run([*compose, "up", "--build", "--detach"], check=True, capture_output=True)
    try:
        shown = subprocess.run([*compose, "port", "postgresql", "5432"], check=True, capture_output=True, text=True)
        address = url(shown.stdout.strip(), "postgres")
        for _ in range(100):
            with suppress(psycopg.OperationalError):
                psycopg.connect(address, connect_timeout=2).close()
                break
            time.sleep(0.1)
        yield address
    finally:
        subprocess.run([*compose, "down", "--timeout", "0"], check=True, capture_output=True)


def fill(url: str, state: Path, *, images: int, nights: int) -> None:
    """One run a night with all images, ending today."""
    chance = random.Random(5)
    today = int(time.time()) // DAY
    made = [(f"team-{index % 20}/service-{index}", chance.randrange(200 * MB, 4000 * MB)) for index in range(images)]
    drift = [chance.choice([0, 0, 0, chance.randrange(-MB, 4 * MB)]) for _ in made]
    with open_history(history_address(url, state), "", write=True) as history:
        for night in range(nights):
            started = (today - nights + 1 + night) * DAY + 3600
            rows = [_row(name, size, drift[index], night, chance) for index, (name, size) in enumerate(made)]
            builds = {row.image: _build(row, chance) for row in rows} if night == nights - 1 else {}
            history.record(Run(ident=f"{night:032d}", started=started, commit=f"{night:040x}", tool="0"), rows, builds)


def _row(name: str, size: int, drift: int, night: int, chance: random.Random) -> Measurement:
    now = size + drift * night + (size // 10 if night > 200 and size % 7 == 0 else 0)
    peak = now * 13 // 10 + chance.randrange(3 * MB)
    return Measurement(
        image=name,
        verdict="pass",
        image_id=f"sha256:{now:064x}",
        metrics={"peak_disk": peak, "image_size": now, "layers": 5 + night // 150, "context_size": 400_000},
        setup=_ENGINES[night > 20],
        budgets=f'{{"image_size": {size * 12 // 10}, "peak_disk": {size * 16 // 10}}}',
        bases=f'{{"python:3.11": "sha256:{night // 30}"}}',
    )


def _build(row: Measurement, chance: random.Random) -> bytes:
    steps = [
        StepReport(name=f"[runtime {step}/20] RUN make part-{step}", stage="runtime", line=step, start_ms=step * 2000,
                   end_ms=step * 2000 + 1900, added=MB * step, peak=10 * MB * step)
        for step in range(1, 21)
    ]  # fmt: skip
    points = [
        TimelinePoint(t_ms=at * 10, used=row.metrics["peak_disk"] * at // 4200 + chance.randrange(MB))
        for at in range(4200)
    ]
    image = ImageReport(
        name=row.image, verdict=Verdict.PASS, exit_code=0, dockerfile="Dockerfile", steps=steps, timeline=points,
        disk=DiskReport(mode="sandbox", reason="root", enforced=True, budget=5000 * MB),
    )  # fmt: skip
    return pack_view(view_build(image, commit="0" * 40, started="2026-01-01T00:00:00Z"))


def report(url: str, folder: Path, *, days: int) -> tuple[float, float, int, int]:
    """Wall seconds, seconds of processor time in the tool itself, highest resident bytes, bytes of the page."""
    page = folder / "page.html"
    words = [sys.executable, "-m", "ci_budget", "report", "--days", str(days), "--html", str(page), "--repository", ""]
    started = time.monotonic()
    with subprocess.Popen(
        [*words, "--output", str(folder / "report.md")], cwd=folder, env={**os.environ, "CI_BUDGET_REPORT_HISTORY": url}
    ) as child:
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    took = time.monotonic() - started
    if child.returncode:
        sys.exit(f"report exited {child.returncode}")
    return took, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, page.stat().st_size


if __name__ == "__main__":
    main()
