"""The example service before and after, gated for real: the table that the documents quote, and what each part did.

    python -m benchmarks.audio_voice [--variant full|light] [--only CASE …] [--runs N] [--output FILE]

Every case is built cold in a sandbox by `ci-budget check` and answers the same smoke test. The models come from a local
server with files of the real sizes. With the full variant this takes about 40 minutes and 45 GB of free disk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.audio_voice_cases import EXAMPLE, Case, after, before, causes, measures, project
from benchmarks.model_server import serving_models
from ci_budget.core.records.report import Report
from ci_budget.core.render.escape import escape_markdown
from ci_budget.core.render.headline import headline
from ci_budget.core.text.units import format_size

METRICS = ("peak_disk", "image_size", "layers", "context_size")
NAMES = {"peak_disk": "peak disk", "image_size": "image size", "layers": "layers", "context_size": "context"}
SEED = {
    "peak_disk": ("22-25 GB", "12-15 GB", "-40 %"),
    "image_size": ("15-18 GB", "10-12 GB", "-35 %"),
    "layers": ("12-15", "8-10", "-33 %"),
    "context_size": ("about 2 MB", "about 0.4 MB", "-80 %"),
}
BUDGET = {"full": "18GB", "light": "3GB"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one check of one case gave: its exit code, the four figures, whether the smoke test passed, and the line
    under its verdict, which says why."""

    case: Case
    exit_code: int
    values: dict[str, int | None]
    smoke: bool | None
    why: str

    @property
    def line(self) -> str:
        """For the log."""
        figures = ", ".join(f"{NAMES[name]} {show(name, value)}" for name, value in self.values.items())
        return f"{self.case.name}: exit {self.exit_code}, smoke {self.smoke}, {figures}"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where the cases are built."""

    folder: Path
    variant: str
    manifest: str

    def check(self, case: Case, *, baseline: Path | None = None) -> Outcome:
        """Gate one case; `baseline`: compare with that file."""
        place = self.folder / "project"
        shutil.rmtree(place, ignore_errors=True)
        project(case, place / "service", shutil.copytree)
        config = {
            "version": 1,
            "disk": {"mode": "sandbox", "budget": BUDGET[self.variant], "reserve": "1GB"},
            "images": {
                "audio-voice": {
                    "context": "service",
                    **({"target": case.target} if case.target else {}),
                    "build_args": {"VARIANT": self.variant, "MODELS_MANIFEST": self.manifest},
                    "network": "host",
                    "timeout": "60m",
                    "smoke": {"command": ["python", "scripts/smoke.py"], "gpu": "auto", "timeout": "10m"},
                }
            },
        }
        if "MODELS_MANIFEST" not in case.dockerfile:
            del config["images"]["audio-voice"]["build_args"]["MODELS_MANIFEST"]  # type: ignore[index]
        (place / "ci-budget.yml").write_text(json.dumps(config))
        report = self.folder / "reports" / case.name
        command = [sys.executable, "-m", "ci_budget", "check", "--report", str(report)]
        if baseline is not None:
            command += ["--baseline", str(baseline)]
        done = subprocess.run(command, cwd=place, stdout=sys.stderr, check=False)
        if not (report / "report.json").exists():
            raise SystemExit(f"{case.name}: nothing was measured (exit {done.returncode})")
        (image,) = Report.model_validate_json((report / "report.json").read_bytes()).images
        outcome = Outcome(
            case=case,
            exit_code=done.returncode,
            values={name: metric.value for name, metric in image.metrics.named() if name in METRICS},
            smoke=None if image.smoke is None else image.smoke.passed,
            why=headline(image) or "",
        )
        print(outcome.line, file=sys.stderr, flush=True)
        return outcome

    def record(self, case: Case) -> Path:
        """Accept the last report of `case` as the baseline; returns its file."""
        file = self.folder / "baseline.json"
        command = ["baseline", "update", "--report", str(self.folder / "reports" / case.name), "--baseline", str(file)]
        subprocess.run(
            [sys.executable, "-m", "ci_budget", *command], cwd=self.folder / "project", check=True, capture_output=True
        )
        return file


def main() -> None:
    """Run what was asked for and print, or write, the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", choices=sorted(BUDGET), default="full")
    parser.add_argument("--only", nargs="*", metavar="PART", choices=["runs", "measures", "causes"], default=None)
    parser.add_argument("--runs", type=int, default=5, help="cold runs of the one after")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    parts = ["runs", "measures", "causes"] if arguments.only is None else arguments.only
    with _bench(arguments.variant) as bench:
        text = "\n".join(_sections(bench, parts, arguments.runs))
    if arguments.output is None:
        print(text)
    else:
        arguments.output.write_text(text + "\n")


@contextmanager
def _bench(variant: str) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="audio-voice-", dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        folder = Path(name)
        models = folder / "models"
        models.mkdir()
        with serving_models(EXAMPLE / "models" / f"{variant}.json", models) as manifest:
            yield Bench(folder=folder, variant=variant, manifest=manifest)


def _sections(bench: Bench, parts: Sequence[str], runs: int) -> Iterator[str]:
    old = bench.check(before())
    new = bench.check(after())
    yield from _comparison(old, new)
    baseline = bench.record(after())
    if "measures" in parts:
        yield from ("", *_contributions(old, [bench.check(case) for case in measures()], new))
    if "causes" in parts:
        yield from ("", *_put_back([bench.check(case, baseline=baseline) for case in causes()]))
    if "runs" in parts:
        peaks = [new.values["peak_disk"], *(bench.check(after()).values["peak_disk"] for _ in range(runs - 1))]
        yield from ("", *_spread(peaks))


def _comparison(old: Outcome, new: Outcome) -> Iterator[str]:
    yield "| metric | before | after | change | the seed's before | the seed's after | the seed's change |"
    yield "|---|---|---|---|---|---|---|"
    for name in METRICS:
        first, second = old.values[name], new.values[name]
        yield (
            "| "
            + " | ".join([NAMES[name], show(name, first), show(name, second), change(first, second), *SEED[name]])
            + " |"
        )
    yield ""
    yield f"Smoke test: {passed(old)} before, {passed(new)} after."


def _contributions(old: Outcome, each: Sequence[Outcome], new: Outcome) -> Iterator[str]:
    yield "| measure, alone | " + " | ".join(NAMES[name] for name in METRICS) + " | smoke test |"
    yield "|---|" + "---|" * (len(METRICS) + 1)
    for outcome in (old, *each, new):
        cells = [
            f"{show(name, outcome.values[name])} ({change(old.values[name], outcome.values[name])})" for name in METRICS
        ]
        yield f"| {outcome.case.says} | " + " | ".join(cells) + f" | {passed(outcome)} |"


def _put_back(each: Sequence[Outcome]) -> Iterator[str]:
    yield "| put back | exit code | named | what stands under the verdict |"
    yield "|---|---|---|---|"
    for outcome in each:
        named = "yes" if any(word in outcome.why for word in outcome.case.cause) else "NO"
        yield f"| {outcome.case.says} | {outcome.exit_code} | {named} | {escape_markdown(outcome.why)} |"


def _spread(peaks: Sequence[int | None]) -> Iterator[str]:
    known = [peak for peak in peaks if peak is not None]
    yield f"Peaks of {len(peaks)} cold runs of the one after: {', '.join(show('peak_disk', peak) for peak in peaks)};"
    if len(known) == len(peaks) and known:
        yield f"{max(known) - min(known)} bytes apart, {(max(known) - min(known)) / min(known) * 100:.3f} %."


def show(name: str, value: int | None) -> str:
    """A value as a person reads it."""
    if value is None:
        return "not measured"
    return str(value) if name == "layers" else format_size(value)


def change(first: int | None, second: int | None) -> str:
    """By how much the second differs from the first, in per cent."""
    if first is None or second is None or not first:
        return "?"
    return f"{(second - first) / first * 100:+.0f} %"


def passed(outcome: Outcome) -> str:
    """How its smoke test ended."""
    return {True: "passed", False: "FAILED", None: "not run"}[outcome.smoke]


if __name__ == "__main__":
    main()
