"""The pairs of `causes.yml` as projects, gated for real: the good side is the baseline, the bad side is checked."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

CAUSES = Path(__file__).with_name("causes.yml")
GROWING = "test/planted-growing:latest"
_IMAGES = {"DEBIAN": "python:3.11-slim", "BASE": "test/busybox:latest", "GROWING": GROWING}
_FILL = re.compile(r"\bfill (\S+) (\d+)")
_COMMAND = (sys.executable, "-m", "ci_budget")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One planted cause.

    `files` and `more`: of the context, in bytes. `packages`: by side, what lies in the folder of that name, such as
    `torch 2.13.0 4`, the last in MB.
    """

    cause: str
    good: str
    bad: str
    names: Sequence[str]
    files: Mapping[str, int] = field(default_factory=dict)
    more: Mapping[str, int] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its image in the config."""
        return re.sub(r"[^a-z0-9]+", "-", self.cause.lower()).strip("-")

    @property
    def grows(self) -> bool:
        """Whether it needs the base image that is made for it."""
        return "GROWING" in self.good


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the gate said of a bad side: its exit code, and the line under the verdict, as text and as Markdown."""

    exit_code: int
    verdict: str
    text: str
    markdown: str

    def missing(self, pair: Pair) -> list[str]:
        """What the first line should name and does not."""
        lines = (self.text, re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), self.markdown))
        return [name for name in pair.names if not all(name in line.replace("\u200b", "") for line in lines)]


def read_pairs() -> list[Pair]:
    """All planted causes, in their order."""
    return [Pair(**entry) for entry in yaml.safe_load(CAUSES.read_text())]


def run_pairs(folder: Path, pairs: Sequence[Pair]) -> dict[str, Outcome]:
    """Check the good sides, accept them, check the bad sides; the outcomes by image name.

    Raises AssertionError where a good side does not pass, or the baseline cannot be updated.
    """
    project, report = folder / "project", folder / "report"
    try:
        _write(project, pairs, bad=False)
        done = _run(project, "check", "--report", str(report))
        assert done.returncode == 0, done.stdout + done.stderr
        updated = _run(project, "baseline", "update", "--report", str(report))
        assert updated.returncode == 0, updated.stderr
        _write(project, pairs, bad=True)
        done = _run(project, "check", "--report", str(report))
        assert done.returncode == 1, done.stdout + done.stderr
    finally:
        if any(pair.grows for pair in pairs):
            subprocess.run(["docker", "image", "rm", "--force", GROWING], capture_output=True, check=False)
    return read_outcomes(report)


def read_outcomes(report: Path) -> dict[str, Outcome]:
    """The first lines of a report's own text and Markdown, by image."""
    from ci_budget.core.records.report import Report
    from ci_budget.core.render.text import render_text

    images = json.loads((report / "report.json").read_text())["images"]
    text = render_text(Report.model_validate_json((report / "report.json").read_text()), width=1000)
    reasons = dict(re.findall(r"^\*\*Why\*\* `([^`]+)`: (.*)$", (report / "report.md").read_text(), re.MULTILINE))
    outcomes = {}
    for image in images:
        under = text.split(f"{image['name']}: {image['verdict']}\n", 1)[1].split("\n", 1)[0].strip()
        outcomes[image["name"]] = Outcome(
            exit_code=image["exit_code"],
            verdict=image["verdict"],
            text=under.removeprefix("why: "),
            markdown=reasons.get(image["name"], ""),
        )
    return outcomes


def _write(project: Path, pairs: Sequence[Pair], *, bad: bool) -> None:
    for pair in pairs:
        folder = project / pair.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        text = _FILL.sub(
            r'mkdir -p "$(dirname \1)" && head -c \g<2>000000 /dev/urandom > \1', pair.bad if bad else pair.good
        )
        for word, image in _IMAGES.items():
            text = re.sub(rf"\b{word}\b", image, text)
        (folder / "Dockerfile").write_text(text)
        for path, size in {**pair.files, **(pair.more if bad else {})}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(os.urandom(size))
        if pair.packages:
            _write_package(folder / "packages", *pair.packages["bad" if bad else "good"].split())
        if pair.grows:
            _make_growing(8 if bad else 2)
    config: dict[str, Any] = {
        "version": 1,
        "disk": {"budget": "600MB", "reserve": "500MB"},
        "images": {pair.name: {"context": pair.name} for pair in pairs},
    }
    (project / "ci-budget.yml").write_text(yaml.safe_dump(config, sort_keys=False))


def _write_package(folder: Path, name: str, version: str, size: str) -> None:
    """An installed Python package with the records that pip leaves."""
    records = folder / f"{name}-{version}.dist-info"
    records.mkdir(parents=True)
    (records / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (folder / name).mkdir()
    (folder / name / "lib.so").write_bytes(os.urandom(int(size) * 1_000_000))
    listed = [f"{name}/lib.so,,", f"{records.name}/METADATA,,", f"{records.name}/RECORD,,"]
    (records / "RECORD").write_text("\n".join(listed) + "\n")


def _make_growing(megabytes: int) -> None:
    text = f"FROM {_IMAGES['BASE']}\nRUN head -c {megabytes}000000 /dev/urandom > /usr-data\n"
    subprocess.run(
        ["docker", "buildx", "build", "--no-cache", "--load", "--tag", GROWING, "-"],
        input=text.encode(),
        capture_output=True,
        check=True,
    )


def _run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*_COMMAND, *arguments], cwd=project, capture_output=True, text=True, check=False)
