"""`ci-budget baseline`, run as a user runs it: what it prints, what it writes, how it ends."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from ci_budget.core.gate.judgement import GateOptions, judge_image, judge_run
from ci_budget.core.inventory.model import Inventories
from ci_budget.core.inventory.storage import render_inventories
from ci_budget.core.records.baseline import render_baseline
from ci_budget.core.records.report import Fingerprint
from ci_budget.core.render.json_text import render_json
from tests.unit.inventory_samples import service
from tests.unit.report_samples import GB, MB, SANDBOX, STARTED, baseline, entry, limits, measured, metrics


def run(folder: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ci_budget", "baseline", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def project(folder: Path, at: Fingerprint = SANDBOX, **values: int | None) -> Path:
    """A config and a report of one image; returns the baseline's path."""
    (folder / "ci-budget.yml").write_text("version: 1\ndisk: {budget: 9GB}\nimages: {app: {}}\n")
    held: dict[str, Any] = {"budgets": {"peak_disk": 9 * GB}}
    image = judge_image(
        measured(metrics=metrics(**values), fingerprint=at), limits=limits(**held), baselines=[], options=GateOptions()
    )
    report = judge_run([image], started=STARTED, commit="f" * 40, options=GateOptions())
    (folder / "report").mkdir(exist_ok=True)
    (folder / "report" / "report.json").write_text(render_json(report))
    return folder.resolve() / ".ci-budget" / "baseline.json"


def test_a_first_baseline_and_then_a_better_one(tmp_path: Path) -> None:
    path = project(tmp_path)
    code, out, err = run(tmp_path, "show")
    assert (code, err) == (0, "")
    assert out.startswith(f"There is no baseline yet ({path})")
    code, out, err = run(tmp_path, "update", "--report", "report")
    assert (code, out, err) == (
        0,
        "app:\n"
        "  added      peak_disk: 5.00 GB\n"
        "  added      image_size: 2.00 GB\n"
        "  added      layers: 8\n"
        "  added      context_size: 400 kB\n"
        f"{path}: 4 values changed; review and commit it\n",
        "",
    )
    assert json.loads(path.read_text())["images"]["app"][0]["metrics"]["layers"] == 8
    assert run(tmp_path, "show", "--image", "app")[1].splitlines()[3] == "    peak_disk     5.00 GB  (5,000,000,000 B)"
    assert run(tmp_path, "update", "--report", "report")[1].splitlines()[-1] == f"{path}: nothing changed"


def test_a_higher_value_needs_to_be_named(tmp_path: Path) -> None:
    path = project(tmp_path)
    path.parent.mkdir()
    path.write_text(render_baseline(baseline(entry({"image_size": GB, "layers": 9}))))
    code, out, _ = run(tmp_path, "update", "--report", "report")
    assert code == 0
    assert out.splitlines()[2:4] == [
        "  kept       image_size: 1.00 GB stays, 2.00 GB is higher (+1.00 GB); accept it with --raise image_size",
        "  lowered    layers: 9 -> 8 (-1)",
    ]
    code, out, _ = run(tmp_path, "update", "--report", "report", "--raise", "image_size")
    assert code == 0
    assert out.splitlines()[2] == "  raised     image_size: 1.00 GB -> 2.00 GB (+1.00 GB)"


def test_each_setup_keeps_its_own_inventory(tmp_path: Path) -> None:
    arm = SANDBOX.model_copy(update={"platform": "linux/arm64"})
    names = []
    for setup, size in ((SANDBOX, MB), (arm, 2 * MB), (SANDBOX, MB - 1), (arm, MB + 1)):
        path = project(tmp_path, at=setup)
        inventory = service().add("venv/torch/lib.so", size, "torch", "2.13.0").inventory()
        (tmp_path / "report" / "inventory.json.zst").write_bytes(
            render_inventories(Inventories(images={"app": inventory}))
        )
        assert run(tmp_path, "update", "--report", "report", "--raise", "image_size")[0] == 0
        files = sorted(file for file in (path.parent / "inventory").rglob("*.zst"))
        names.append([str(file.relative_to(path.parent / "inventory")) for file in files])
    recorded = json.loads(path.read_text())["images"]["app"]
    assert {one["inventory"] for one in recorded} == {hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    assert names[0] == ["app.zst"]
    assert names[1:] == [["app/linux-arm64-sandbox-d4b8b47b.zst", "app.zst"]] * 3


def test_a_report_that_measured_too_little_is_refused(tmp_path: Path) -> None:
    path = project(tmp_path, peak_disk=None)
    code, out, err = run(tmp_path, "update", "--report", "report")
    assert (code, out) == (2, "")
    assert "this run ended with exit 3 (not-measured): its values are no baseline" in err
    assert not path.exists()


def test_a_damaged_baseline_is_refused_and_kept(tmp_path: Path) -> None:
    path = project(tmp_path)
    path.parent.mkdir()
    path.write_text('{"schema_version": 1, "ima')
    for words in (["update", "--report", "report"], ["show"]):
        code, _, err = run(tmp_path, *words)
        assert code == 2
        assert "this baseline is cut off in the middle" in err
        assert "Traceback" not in err
    assert path.read_text() == '{"schema_version": 1, "ima'


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    path = project(tmp_path)
    path.parent.mkdir()
    path.write_text(render_baseline(baseline(entry())))
    code, _, err = run(tmp_path, "show", "--image", "ap")
    assert code == 2
    assert "there is no baseline of 'ap'; did you mean 'app'?" in err
    code, _, err = run(tmp_path, "update", "--report", "report", "--raise", "size")
    assert code == 2
    assert "'size' is no metric of a baseline" in err


def test_an_update_says_what_the_ignore_file_lacks(tmp_path: Path) -> None:
    project(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    code, out, err = run(tmp_path, "update", "--report", "report")
    assert (code, err) == (0, "")
    hint = "add `.ci-budget/` to .dockerignore: it lies in the context of app, which each new baseline would change"
    assert out.splitlines()[-1] == hint
    (tmp_path / ".dockerignore").write_text(".ci-budget/\n")
    assert hint not in run(tmp_path, "update", "--report", "report")[1]


def test_an_image_that_the_config_does_not_have_is_told(tmp_path: Path) -> None:
    """The last report may be another repository's."""
    project(tmp_path)
    (tmp_path / "ci-budget.yml").write_text("version: 1\ndisk: {budget: 9GB}\nimages: {web: {}}\n")
    code, out, _ = run(tmp_path, "update", "--report", "report")
    assert (code, out.splitlines()[-1]) == (
        0, "the config here has no image 'app': nothing is compared with its values",
    )  # fmt: skip
