"""Approvals: what they let pass, what they never do, and where they are read from."""

from __future__ import annotations

import subprocess
from datetime import date
from pathlib import Path

import pytest

from ci_budget.commands.check_jobs import CheckPlan, plan_check
from ci_budget.commands.check_options import CheckOptions
from ci_budget.core.gate.approvals import Approvals, GivenApproval, Ruling, asked_for, parse_approvals
from ci_budget.core.gate.image_limits import ImageLimits
from ci_budget.core.gate.judgement import GateOptions, judge_image, judge_run
from ci_budget.core.records.report import ImageReport, PeakMetric, Verdict
from ci_budget.edges.files.approvals_file import read_approvals
from ci_budget.edges.github import GitHubContext
from ci_budget.errors import ConfigError
from tests.unit.report_samples import GB, MB, STARTED, entry, limits, measured, metrics, stage

TODAY = date(2026, 3, 1)
SIZE = "image_size"


def approval(ceiling: int | str = 3 * GB, *, metric: str = SIZE, until: str = "2026-03-01") -> GivenApproval:
    return GivenApproval.model_validate(
        {"image": "app", "metric": metric, "ceiling": ceiling, "reason": "both CUDA versions", "until": until}
    )


def judge(
    *given: GivenApproval,
    image: ImageReport | None = None,
    held: ImageLimits | None = None,
    today: date = TODAY,
    stages: dict[str, dict[str, int]] | None = None,
) -> ImageReport:
    """An image of 2.5 GB, 480 MB over its baseline's limit."""
    return judge_image(
        image or measured(metrics=metrics(image_size=2_500 * MB)),
        limits=held or limits(),
        baselines=[entry(stages=stages)],
        options=GateOptions(),
        ruling=Ruling(given=given, today=today),
    )


def test_without_one_it_fails() -> None:
    found = judge()
    assert (found.verdict, found.exit_code, found.approvals) == (Verdict.FAIL, 1, [])


def test_a_used_one_passes_says_so_and_is_the_limit() -> None:
    found = judge(approval())
    metric = found.metrics.image_size
    assert metric is not None
    assert (found.verdict, found.exit_code, metric.verdict, metric.limit) == (Verdict.PASS, 0, Verdict.PASS, 3 * GB)
    assert metric.message == (
        "2.50 GB is 480 MB over the baseline's limit of 2.02 GB (2.00 GB + 20.0 MB); "
        "approved up to 3.00 GB until 2026-03-01: both CUDA versions"
    )
    assert [one.state for one in found.approvals] == ["used"]
    assert found.notes == [
        "the approval of image_size up to 3.00 GB until 2026-03-01 is used: both CUDA versions",
    ]


def test_it_covers_a_budget_too_up_to_its_ceiling_and_not_a_byte_more() -> None:
    held = limits({SIZE: 2_100 * MB})
    assert judge(approval(2_500 * MB), held=held).exit_code == 0
    found = judge(approval(2_500 * MB - 1), held=held)
    assert (found.exit_code, [one.state for one in found.approvals]) == (1, ["exceeded"])
    assert found.metrics.image_size is not None
    assert found.metrics.image_size.message.endswith("; approved are only 2,499,999,999 B, not 2,500,000,000 B")


def test_on_the_day_after_it_has_expired() -> None:
    found = judge(approval(), today=date(2026, 3, 2))
    assert (found.verdict, found.exit_code) == (Verdict.FAIL, 1)
    assert found.metrics.image_size is not None
    assert found.metrics.image_size.message.endswith("; its approval ended on 2026-03-01")
    assert found.notes == [
        "the approval of image_size up to 3.00 GB until 2026-03-01 has expired and does not count: both CUDA versions"
    ]


def test_of_several_the_highest_that_has_not_expired_counts() -> None:
    over, low, high = approval(9 * GB, until="2026-02-28"), approval(2_400 * MB), approval(3 * GB)
    found = judge(over, low, high)
    assert found.metrics.image_size is not None
    assert (found.exit_code, found.metrics.image_size.limit) == (0, 3 * GB)
    assert [one.state for one in found.approvals] == ["expired", "unused", "used"]


@pytest.mark.parametrize(
    "given", [approval(metric="peak_disk", ceiling=99 * GB), approval(metric="layers", ceiling=99)]
)
def test_that_of_another_metric_changes_nothing(given: GivenApproval) -> None:
    found = judge(given)
    assert (found.exit_code, [one.state for one in found.approvals], found.notes) == (1, ["unused"], [])


def test_it_covers_what_a_stages_baseline_says_but_not_a_stages_budget() -> None:
    grown = measured(metrics=metrics(image_size=2_500 * MB), stages=[stage("runtime", image_size=2_500 * MB)])
    then = {"runtime": {SIZE: 2 * GB}}
    assert judge(image=grown, stages=then).exit_code == 1
    passed = judge(approval(), image=grown, stages=then)
    assert (passed.exit_code, passed.stages[0].verdict) == (0, Verdict.PASS)
    own = limits(stages={"runtime": {SIZE: 2_400 * MB}})
    failed = judge(approval(), image=grown, stages=then, held=own)
    assert (failed.exit_code, failed.stages[0].verdict) == (1, Verdict.FAIL)


def test_a_ceiling_that_was_hit_and_a_value_that_is_missing_are_never_covered() -> None:
    peak = PeakMetric(value=5 * GB, unit="bytes", at_least=True)
    given = approval(99 * GB, metric="peak_disk")
    hit = measured(metrics=metrics().model_copy(update={"peak_disk": peak}))
    assert judge(given, image=hit).exit_code == 1
    assert judge(given, image=measured(metrics=metrics(peak_disk=None))).exit_code == 3


def test_what_the_label_asks_for() -> None:
    report = judge_run([judge()], started=STARTED, commit=None, options=GateOptions())
    assert asked_for(report) == [
        "the label ci-budget-approval asks for an approval; it counts once .ci-budget/approvals.yml of the base branch "
        "holds: - {image: app, metric: image_size, ceiling: 2500000000, reason: …, until: YYYY-MM-DD}"
    ]


FILE = """\
version: 1
approvals:
  - {image: web, metric: image_size, ceiling: 3GB, reason: both CUDA versions, until: 2026-12-31}
  - image: web
    metric: layers
    ceiling: 12
    reason: until the base image is squashed
    until: 2027-01-31
"""


def test_a_file() -> None:
    found = parse_approvals(FILE.encode(), "approvals.yml")
    assert [(one.metric, one.ceiling, one.until) for one in found.of("web")] == [
        ("image_size", 3 * GB, date(2026, 12, 31)),
        ("layers", 12, date(2027, 1, 31)),
    ]
    assert found.of("api") == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("until: 2026", "untill: 2026", "a.yml:3: approvals.0: unknown key 'untill'; did you mean 'until'?"),
        (
            "    until: 2027-01-31\n",
            "",
            "a.yml:4: approvals.1: 'until' is missing; an approval has image, metric, ceil",
        ),
        ("ceiling: 12", "ceiling: off", "a.yml:6: approvals.1: ceiling: an approval has an end; write"),
        ("ceiling: 3GB", "ceiling: lots", "a.yml:3: approvals.0: ceiling: 'lots' is not a size; write"),
        ("2027-01-31", "soon", "a.yml:8: approvals.1: until: 'soon' is not a day; write one such as 2026"),
        ("metric: layers", "metric: layer", "a.yml:5: approvals.1: metric: Input should be 'peak_disk', 'image_size'"),
        ("version: 1", "version: 2", "a.yml:1: version: Input should be less than or equal to 1"),
        ("approvals:", "approval:", "a.yml:2: unknown key 'approval'; did you mean 'approvals'?"),
        (FILE, "- a\n", "a.yml:1: the file is a mapping with the keys 'version: 1' and 'approvals:'"),
        (FILE, "a: [", "a.yml:1: not valid YAML: "),
        ("  - {image", "  - {image: x, image", "a.yml:3: "),
    ],
)
def test_a_file_that_is_wrong(old: str, new: str, message: str) -> None:
    assert old in FILE
    with pytest.raises(ConfigError) as error:
        parse_approvals(FILE.replace(old, new, 1).encode(), "a.yml")
    assert str(error.value).startswith(message)


class Repository:
    """A repository whose base accepts one increase."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main")
        self.write("Dockerfile", "FROM scratch\n")
        self.write("ci-budget.yml", "version: 1\ndisk: {budget: 2GB}\nimages: {web: {}}\n")

    def git(self, *words: str) -> str:
        identity = ["-c", "user.name=dev", "-c", "user.email=dev@example"]
        done = subprocess.run(
            ["git", *identity, *words], cwd=self.folder, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")
        return self.git("rev-parse", "HEAD")

    def plan(self, base: str | None = None) -> CheckPlan:
        context = GitHubContext(in_actions=True, proposes=base is not None, base_sha=base)
        return plan_check(CheckOptions(), context)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.chdir(tmp_path)
    return Repository(tmp_path)


def test_a_proposal_has_those_of_its_base_and_its_own_are_only_listed(repository: Repository) -> None:
    repository.write(".ci-budget/approvals.yml", FILE)
    base = repository.commit()
    repository.write(".ci-budget/approvals.yml", FILE.replace("3GB", "30GB").replace("layers", "context_size"))
    repository.commit()
    ((_, decided),) = repository.plan(base).jobs
    assert [(one.metric, one.ceiling) for one in decided.approvals] == [("image_size", 3 * GB), ("layers", 12)]
    assert [(change.path, change.base, change.head, change.loosened) for change in decided.limits_changed] == [
        ("approval of web: image_size", "3.00 GB until 2026-12-31", "30.0 GB until 2026-12-31", True),
        ("approval of web: layers", "12 until 2027-01-31", None, False),
        ("approval of web: context_size", None, "12 B until 2027-01-31", True),
    ]
    ((_, here),) = repository.plan().jobs
    assert [one.ceiling for one in here.approvals] == [30 * GB, 12]


def test_a_proposal_to_a_base_without_any_has_none(repository: Repository) -> None:
    base = repository.commit()
    repository.write(".ci-budget/approvals.yml", FILE)
    repository.commit()
    ((_, decided),) = repository.plan(base).jobs
    assert decided.approvals == ()
    assert [change.loosened for change in decided.limits_changed] == [True, True]


def test_a_wrong_file_is_an_error_and_a_missing_one_is_none(tmp_path: Path) -> None:
    assert read_approvals(tmp_path) == Approvals()
    (tmp_path / ".ci-budget").mkdir()
    (tmp_path / ".ci-budget" / "approvals.yml").write_text("")
    with pytest.raises(ConfigError, match=r"approvals\.yml: the file is empty"):
        read_approvals(tmp_path)
