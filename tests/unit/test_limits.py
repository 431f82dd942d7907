"""Limits come from the base revision, and every change that a pull request makes to them is listed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ci_budget.core.config.model import Config
from ci_budget.core.config.text import parse_config
from ci_budget.core.gate.judgement import GateOptions, judge_image, judge_run
from ci_budget.core.gate.limit_changes import compare_limits, compare_run_limits
from ci_budget.core.gate.limits import limits_of, own_limits, pull_request_limits
from ci_budget.core.records.baseline import Baseline, render_baseline
from ci_budget.core.records.report import Report, Verdict
from ci_budget.edges import git
from ci_budget.edges.files.baseline_file import read_baseline, read_baseline_at
from ci_budget.edges.files.config_file import load_config
from tests.unit.report_samples import GB, STARTED, baseline, entry, fingerprint, measured, metrics

NOTHING = Baseline()


def config(**app: Any) -> Config:
    """A config with one image `app`; `top` holds keys of the config itself."""
    top = app.pop("top", {})
    return Config.model_validate({"version": 1, "images": {"app": app}} | top)


def changes(base: Config | None, head: Config | None, *baselines: Baseline) -> list[str]:
    before, after = baselines or (NOTHING, NOTHING)
    return [
        f"{'looser' if change.loosened else 'tighter'} {change.path}: {change.base} -> {change.head}"
        for change in compare_limits(base, head, before, after, "app")
    ]


def run_changes(base: Config | None, head: Config | None) -> list[str]:
    return [
        f"{'looser' if change.loosened else 'tighter'} {change.path}: {change.base} -> {change.head}"
        for change in compare_run_limits(base, head)
    ]


BUDGET = {"budgets": {"image_size": "2GB"}}
CHANGES: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("nothing", BUDGET, BUDGET, []),
    (
        "a raised budget",
        BUDGET,
        {"budgets": {"image_size": "3GB"}},
        ["looser images.app.budgets.image_size: 2.00 GB -> 3.00 GB"],
    ),
    (
        "a budget raised by a byte",
        BUDGET,
        {"budgets": {"image_size": 2 * GB + 1}},
        ["looser images.app.budgets.image_size: 2,000,000,000 B -> 2,000,000,001 B"],
    ),
    (
        "a lowered budget",
        BUDGET,
        {"budgets": {"image_size": "1GB"}},
        ["tighter images.app.budgets.image_size: 2.00 GB -> 1.00 GB"],
    ),
    ("a removed budget", BUDGET, {}, ["looser images.app.budgets.image_size: 2.00 GB -> None"]),
    ("a budget switched off", BUDGET, {"budgets": {"image_size": "off"}},
     ["looser images.app.budgets.image_size: 2.00 GB -> off"]),
    ("a metric switched off", {}, {"budgets": {"layers": "off"}}, ["looser images.app.budgets.layers: None -> off"]),
    ("an added budget", {}, {"budgets": {"layers": 9}}, ["tighter images.app.budgets.layers: None -> 9"]),
    (
        "a wider tolerance",
        {},
        {"tolerance": {"image_size": "50%"}},
        ["looser images.app.tolerance.image_size: 1 % -> 50 %"],
    ),
    (
        "a tolerance with an amount",
        {},
        {"tolerance": {"image_size": ["1%", "9GB"]}},
        ["looser images.app.tolerance.image_size: 1 % -> 1 % or 9.00 GB"],
    ),
    (
        "a tolerance switched off",
        {},
        {"tolerance": {"image_size": "off"}},
        ["looser images.app.tolerance.image_size: 1 % -> off"],
    ),
    (
        "a narrower tolerance",
        {},
        {"tolerance": {"image_size": 0}},
        ["tighter images.app.tolerance.image_size: 1 % -> 0 B"],
    ),
    (
        "wider defaults",
        {},
        {"top": {"defaults": {"tolerance": {"layers": 5}}}},
        ["looser images.app.tolerance.layers: 0 -> 5"],
    ),
    ("a later warning", {"warn_at": "80%"}, {"warn_at": "95%"}, ["looser images.app.warn_at: 80 % -> 95 %"]),
    ("no warning", {"warn_at": "80%"}, {"warn_at": "off"}, ["looser images.app.warn_at: 80 % -> None"]),
    (
        "a larger disk",
        {"disk": {"budget": "5GB"}},
        {"top": {"disk": {"budget": "9GB"}}},
        ["looser images.app.disk.budget: 5.00 GB -> 9.00 GB"],
    ),
    (
        "a raised stage budget",
        {"stages": {"build": {"budgets": {"peak_disk": "1GB"}}}},
        {"stages": {"build": {"budgets": {"peak_disk": "2GB"}}}},
        ["looser images.app.stages.build.budgets.peak_disk: 1.00 GB -> 2.00 GB"],
    ),
    (
        "a stage that is gone",
        {"stages": {"build": {"budgets": {"added_disk": "1GB"}, "tolerance": {"layers": 2}}}},
        {},
        [
            "looser images.app.stages.build.budgets.added_disk: 1.00 GB -> None",
            "tighter images.app.stages.build.tolerance.layers: 2 -> 0",
        ],
    ),
    (
        "a smoke test that is gone",
        {"smoke": {"command": ["python", "-c", "import torch"]}},
        {},
        ["looser images.app.smoke: python -c import torch (gpu off) -> None"],
    ),
    ("what is built", {"target": "runtime"}, {"target": "tiny"}, []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("base", "head", "expected"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES]
)
def test_every_changed_limit_is_listed(base: dict[str, Any], head: dict[str, Any], expected: list[str]) -> None:
    assert changes(config(**base), config(**head)) == expected


def test_images_that_come_and_go() -> None:
    other = Config.model_validate({"version": 1, "images": {"other": {}}})
    assert changes(other, config()) == ["tighter images.app: None -> new"]
    assert changes(None, config()) == ["tighter images.app: None -> new"]
    assert changes(config(), other) == ["looser images.app: gated -> None"]
    assert changes(config(), None) == ["looser images.app: gated -> None"]
    assert run_changes(config(), other) == ["looser images.app: gated -> None"]
    assert run_changes(config(), None) == ["looser the whole config: present -> None"]
    assert run_changes(None, config()) == []


def test_switches_of_the_run() -> None:
    base = config(top={"require_baseline": True, "disk": {"reserve": "10GB"}})
    head = config(
        top={
            "limits_from": "head",
            "gate_warm": ["layers"],
            "disk": {"reserve": "1GB", "free_factor": 1},
            "release": {"budgets": {"app": {"image_size": "1GB"}}},
        }
    )
    assert run_changes(base, head) == [
        "looser limits_from: base -> head",
        "looser require_baseline: true -> false",
        "looser gate_warm: image_size, layers, context_size -> layers",
        "looser disk.reserve: 10.0 GB -> 1.00 GB",
        "looser disk.free_factor: 2 -> 1",
        "tighter release.budgets.app.image_size: None -> 1.00 GB",
    ]
    assert run_changes(base, base) == []


def test_changed_baselines() -> None:
    base = baseline(entry({"image_size": GB, "layers": 8, "peak_disk": 5 * GB}, stages={"build": {"peak_disk": GB}}))
    head = baseline(entry({"image_size": 2 * GB, "layers": 7, "context_size": 9}, stages={"build": {"peak_disk": GB}}))
    assert changes(config(), config(), base, head) == [
        "looser baseline of app: image_size: 1.00 GB -> 2.00 GB",
        "tighter baseline of app: layers: 8 -> 7",
        "looser baseline of app: peak_disk: 5.00 GB -> None",
        "tighter baseline of app: context_size: None -> 9 B",
    ]
    moved = baseline(entry({"image_size": 9 * GB}, at=fingerprint(disk_mode="host")))
    here, there = "ext4 (4096), sequential, cold, method 1", "overlay2"
    assert changes(config(), config(), baseline(entry({"image_size": GB})), moved) == [
        f"looser baseline of app: image_size (linux/amd64, sandbox, {there}, {here}): 1.00 GB -> None",
        f"tighter baseline of app: image_size (linux/amd64, host, {there}, {here}): None -> 9.00 GB",
    ]


def test_limits_in_a_pull_request_are_the_bases() -> None:
    base, head = config(**BUDGET), config(budgets={"image_size": "9GB"})
    old, new = baseline(entry({"image_size": GB})), baseline(entry({"image_size": 8 * GB}))
    found = pull_request_limits(base_config=base, base_baseline=old, head_config=head, head_baseline=new, image="app")
    assert (found.limits, found.baselines, found.config) == (limits_of(base, "app"), old.images["app"], base)
    assert [change.path for change in found.limits_changed] == [
        "images.app.budgets.image_size",
        "baseline of app: image_size",
    ]
    own = own_limits(head, new, "app")
    assert (own.limits, own.baselines, own.limits_changed) == (limits_of(head, "app"), new.images["app"], ())


def test_only_the_base_may_opt_out() -> None:
    head = config(budgets={"image_size": "9GB"}, top={"limits_from": "head"})
    given = {"head_config": head, "base_baseline": NOTHING, "head_baseline": NOTHING, "image": "app"}
    refused = pull_request_limits(base_config=config(**BUDGET), **given)
    assert refused.limits.of("image_size").budget == 2 * GB
    agreed = pull_request_limits(base_config=config(**BUDGET, top={"limits_from": "head"}), **given)
    assert agreed.limits.of("image_size").budget == 9 * GB
    assert agreed.notes == ["the base revision says limits_from: head, so the limits of this revision count"]


def test_a_new_image_is_marked() -> None:
    found = pull_request_limits(
        base_config=None,
        base_baseline=NOTHING,
        head_config=config(**BUDGET),
        head_baseline=NOTHING,
        image="app",
    )
    assert found.limits.new
    assert found.limits.of("image_size").budget == 2 * GB
    assert judge_image(measured(), limits=found.limits, baselines=found.baselines, options=GateOptions()).new


BASE_CONFIG = """\
version: 1
disk: {budget: 20GB}
images:
  app:
    budgets: {image_size: 2GB}
"""
HEAD_CONFIG = """\
version: 1
disk: {budget: 20GB}
limits_from: head
images:
  app:
    budgets: {image_size: 9GB}
    tolerance: {image_size: 900%}
"""


@pytest.fixture
def commit(tmp_path: Path) -> Callable[[str, Baseline], str]:
    """A real repository in tmp_path; commits a config and a baseline."""

    def run(*words: str) -> str:
        identity = ["-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    run("init", "-q", "-b", "main", ".")

    def made(text: str, accepted: Baseline) -> str:
        (tmp_path / "ci-budget.yml").write_text(text)
        (tmp_path / ".ci-budget").mkdir(exist_ok=True)
        (tmp_path / ".ci-budget" / "baseline.json").write_text(render_baseline(accepted))
        run("add", "-A")
        run("commit", "-q", "-m", "a revision")
        return run("rev-parse", "HEAD")

    return made


def check(repo: Path, base: str) -> Report:
    """What a pull request's check decides of a 3 GB image, all files read as it reads them."""
    text = git.read_file_at(repo, base, "ci-budget.yml")
    decided = pull_request_limits(
        base_config=None if text is None else parse_config(text, "ci-budget.yml").config,
        base_baseline=read_baseline_at(repo, base),
        head_config=load_config(repo / "ci-budget.yml").config,
        head_baseline=read_baseline(repo),
        image="app",
    )
    image = measured(metrics=metrics(image_size=3 * GB), limits_changed=list(decided.limits_changed))
    judged = judge_image(image, limits=decided.limits, baselines=decided.baselines, options=GateOptions())
    return judge_run([judged], started=STARTED, commit=git.head_commit(repo), options=GateOptions())


def test_a_pull_request_that_raises_its_own_limits_still_fails(
    tmp_path: Path, commit: Callable[[str, Baseline], str]
) -> None:
    base = commit(BASE_CONFIG, baseline(entry({"image_size": 2 * GB, "layers": 8})))
    head = commit(HEAD_CONFIG, baseline(entry({"image_size": 3 * GB, "layers": 8})))
    report = check(tmp_path, base)
    (image,) = report.images
    assert (report.verdict, report.exit_code, report.commit) == (Verdict.FAIL, 1, head)
    assert image.metrics.image_size is not None
    assert image.metrics.image_size.message == (
        "3.00 GB is 1.00 GB over the budget of 2.00 GB and "
        "980 MB over the baseline's limit of 2.02 GB (2.00 GB + 20.0 MB)"
    )
    assert [(change.path, change.base, change.head, change.loosened) for change in image.limits_changed] == [
        ("images.app.budgets.image_size", "2.00 GB", "9.00 GB", True),
        ("images.app.tolerance.image_size", "1 %", "900 %", True),
        ("baseline of app: image_size", "2.00 GB", "3.00 GB", True),
    ]
    assert check(tmp_path, head).exit_code == 0, "once they are on the base branch, they count"


def test_a_pull_request_that_removes_its_baseline_still_fails(
    tmp_path: Path, commit: Callable[[str, Baseline], str]
) -> None:
    base = commit(BASE_CONFIG, baseline(entry({"image_size": 2 * GB})))
    commit("version: 1\ndisk: {budget: 20GB}\nimages: {app: {}}\n", NOTHING)
    (tmp_path / ".ci-budget" / "baseline.json").unlink()
    report = check(tmp_path, base)
    assert (report.verdict, report.exit_code) == (Verdict.FAIL, 1)
    assert [change.path for change in report.images[0].limits_changed] == [
        "images.app.budgets.image_size",
        "baseline of app: image_size (linux/amd64, sandbox, overlay2, ext4 (4096), sequential, cold, method 1)",
    ]


def test_limits_of_a_config_with_stages() -> None:
    found = limits_of(
        config(
            budgets={"peak_disk": "9GB", "layers": "off"},
            stages={"Build": {"budgets": {"peak_disk": "5GB"}}},
            warn_at="90%",
            top={"require_baseline": True, "gate_warm": ["layers"], "disk": {"budget": "20GB"}},
        ),
        "app",
    )
    assert (found.require_baseline, found.gate_warm, found.disk_budget, found.new) == (
        True,
        ("layers",),
        20 * GB,
        False,
    )
    assert (found.of("peak_disk").budget, found.of("layers").disabled, found.of("layers").budget) == (
        9 * GB,
        True,
        None,
    )
    assert found.of_stage("build", 0)["peak_disk"].budget == 5 * GB
    assert found.of_stage("BUILD", 3)["peak_disk"].budget == 5 * GB
    assert found.of_stage("runtime", 1)["peak_disk"].budget is None
    assert found.of_stage("runtime", 1)["layers"].disabled
    assert found.of("peak_disk").warn_at == 90
