"""Shards put together: the worst counts, a lost or broken one is no pass, and foreign files are only read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ci_budget.__main__ import main
from ci_budget.core.gate.judgement import GateOptions, judge_run
from ci_budget.core.merging import MOST_POINTS, Shard, merge_shards
from ci_budget.core.records.report import ImageReport, LimitChange, Report, TimelinePoint, Verdict
from ci_budget.core.render.json_text import render_json
from ci_budget.errors import ConfigError
from tests.unit.report_samples import GB, STARTED, fingerprint
from tests.unit.test_comment_render import judged

COMMIT = "a" * 40
SIZES: dict[str, int | None] = {"fine": 2 * GB, "over": 3 * GB, "lost": None}


def report(
    *images: ImageReport, commit: str | None = COMMIT, started: str = STARTED, exit_zero: bool = False
) -> Report:
    return judge_run(images, started=started, commit=commit, options=GateOptions(exit_zero=exit_zero))


def image(name: str) -> ImageReport:
    """An image that passes, fails or is not measured, by the first word of its name."""
    return judged(name, image_size=SIZES[name.split("-")[0]])


def merged(*names: str, expected: tuple[str, ...] | None = None, broken: tuple[str, ...] = ()) -> Report:
    shards = [Shard(place=f"shard-{name}", report=report(image(name))) for name in names]
    return merge_shards(shards, expected=names if expected is None else expected, broken=broken, started=STARTED)


@pytest.mark.parametrize(
    ("names", "verdict", "code"),
    [
        (("fine-a",), Verdict.PASS, 0),
        (("fine-a", "fine-b"), Verdict.PASS, 0),
        (("fine-a", "over-b", "lost-c"), Verdict.FAIL, 1),
        (("fine-a", "lost-c"), Verdict.NOT_MEASURED, 3),
    ],
)
def test_the_worst_counts(names: tuple[str, ...], verdict: Verdict, code: int) -> None:
    found = merged(*names)
    assert (found.verdict, found.exit_code, [one.name for one in found.images]) == (verdict, code, list(names))


@pytest.mark.parametrize(
    ("names", "verdict", "code"),
    [(("fine-a",), Verdict.NOT_MEASURED, 3), ((), Verdict.NOT_MEASURED, 3), (("over-a",), Verdict.FAIL, 1)],
)
def test_a_missing_shard_is_no_pass(names: tuple[str, ...], verdict: Verdict, code: int) -> None:
    found = merged(*names, expected=(*names, "gone"))
    assert (found.verdict, found.exit_code) == (verdict, code)
    assert (found.images[-1].name, found.images[-1].verdict) == ("gone", Verdict.NOT_MEASURED)
    assert found.images[-1].failure is not None
    assert found.images[-1].failure.message == "no shard reported on this image, so nothing is known of it"


def test_a_broken_shard_is_no_pass_even_where_nothing_is_missing() -> None:
    found = merged("fine-a", broken=("a shard's report cannot be read",))
    assert (found.verdict, found.exit_code) == (Verdict.NOT_MEASURED, 3)
    assert found.notes == ["a shard's report cannot be read"]


def test_nothing_at_all_is_no_pass() -> None:
    assert merged(expected=()).exit_code == 3
    empty = Shard(place="x", report=report(image("fine")).model_copy(update={"images": []}))
    assert merge_shards([empty], expected=[], started=STARTED).exit_code == 3


def test_a_report_that_contradicts_itself_is_believed_in_its_worse_half() -> None:
    lying = report(image("lost")).model_copy(update={"exit_code": 0, "verdict": Verdict.PASS})
    found = merge_shards([Shard(place="x", report=lying)], expected=["lost"], started=STARTED)
    assert (found.verdict, found.exit_code) == (Verdict.NOT_MEASURED, 3)
    odd = report(image("fine")).model_copy(update={"exit_code": 77})
    assert merge_shards([Shard(place="x", report=odd)], expected=["fine"], started=STARTED).exit_code == 70


def test_exit_zero_of_a_shard_holds() -> None:
    shard = Shard(place="x", report=report(image("over"), exit_zero=True))
    found = merge_shards([shard], expected=["over"], started=STARTED)
    assert (found.verdict, found.exit_code) == (Verdict.FAIL, 0)


def test_an_image_that_nobody_expected_counts_and_is_named() -> None:
    found = merged("fine-a", "over-b", expected=("fine-a",))
    assert (found.exit_code, found.notes) == (1, ["not in the plan, and counted all the same: over-b"])


def test_the_same_image_twice_is_an_error_and_on_two_platforms_it_is_not() -> None:
    with pytest.raises(ConfigError, match="the image 'fine' is reported on twice: in shard-fine and in shard-fine"):
        merged("fine", "fine")
    arm = image("fine").model_copy(update={"fingerprint": fingerprint(platform="linux/arm64")})
    shards = [Shard(place=place, report=report(one)) for place, one in (("amd", image("fine")), ("arm", arm))]
    found = merge_shards(shards, expected=["fine"], started=STARTED)
    assert [one.fingerprint.platform for one in found.images if one.fingerprint] == ["linux/amd64", "linux/arm64"]


def test_shards_of_different_commits_are_no_run() -> None:
    shards = [Shard(place=c, report=report(image(f"fine-{c}"), commit=c * 40)) for c in "ab"]
    with pytest.raises(ConfigError, match="different commits: aaaaaaaaaaaa in a, bbbbbbbbbbbb in b"):
        merge_shards(shards, expected=[], started=STARTED)


def test_what_all_shards_say_is_said_once_and_the_first_start_counts() -> None:
    change = LimitChange(path="disk.reserve", base="10 GB", head="1 GB", loosened=True)
    shards = [
        Shard(
            place=name,
            report=report(image(name), started=started).model_copy(update={"limits_changed": [change], "notes": ["x"]}),
        )
        for name, started in (("fine-a", "2026-03-01T12:00:00Z"), ("fine-b", STARTED))
    ]
    found = merge_shards(shards, expected=["fine-a", "fine-b"], started="2027-01-01T00:00:00Z")
    assert (found.limits_changed, found.notes, found.started, found.commit) == ([change], ["x"], STARTED, COMMIT)


def test_long_timelines_are_left_to_the_shards() -> None:
    points = [TimelinePoint(t_ms=1, used=1)] * (MOST_POINTS // 2 + 1)
    shards = [
        Shard(place=name, report=report(image(name).model_copy(update={"timeline": points})))
        for name in ("fine-a", "fine-b")
    ]
    found = merge_shards(shards, expected=["fine-a", "fine-b"], started=STARTED)
    assert [one.timeline for one in found.images] == [[], []]
    assert found.notes == ["the timelines (100,002 points) are in the shards' own reports"]
    assert len(merge_shards(shards[:1], expected=["fine-a"], started=STARTED).images[0].timeline) == 50_001


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    """As actions/download-artifact leaves them: a folder an artifact."""
    for name in ("fine-a", "over-b"):
        folder = tmp_path / "shards" / f"ci-budget-report-{name}"
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(render_json(report(image(name))))
    return tmp_path / "shards"


def test_on_the_command_line(downloads: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = downloads.parent / "plan.json"
    plan.write_text(json.dumps({"touched": ["over-b", "gone", "fine-a"]}))
    out = downloads.parent / "merged"
    assert main(["merge", str(downloads), "--plan", str(plan), "--report", str(out)]) == 1
    assert capsys.readouterr().out == (
        "fail          over-b: image_size: 3.00 GB is 980 MB over the baseline's limit of 2.02 GB (2.00 GB + 20.0 MB)\n"
        "not-measured  gone: environment: no shard reported on this image, so nothing is known of it\n"
        "3 images: 1 fail, 1 not-measured, 1 pass\n"
        f"fail (exit 1); the whole report: {out}\n"
    )
    written = json.loads((out / "report.json").read_text())
    assert [one["name"] for one in written["images"]] == ["over-b", "gone", "fine-a"]
    assert (out / "report.md").read_text().startswith("## ❌ fail: ci-budget (exit 1)\n")


def test_a_damaged_report_is_named(downloads: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (downloads / "ci-budget-report-over-b" / "report.json").write_text("{")
    out = downloads.parent / "merged"
    words = ["merge", str(downloads), "--image", "fine-a", "--report", str(out), "--format", "markdown"]
    assert main(words) == 3
    said = capsys.readouterr().out
    assert said.startswith("## ❔ not-measured: ci-budget (exit 3)\n")
    assert "report cannot be read, so it has not passed" in said


def test_links_lead_nowhere(downloads: Path) -> None:
    (downloads / "elsewhere").symlink_to(downloads / "ci-budget-report-over-b")
    words = ["merge", str(downloads), "--image", "fine-a", "--image", "over-b", "--report", str(downloads.parent / "m")]
    assert main(words) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name the folder with the shards' reports"),
        (["x"], "say what was to be built, by --plan or by --image"),
        (["x", "--plan", "p", "--image", "a"], "say what was to be built"),
        (["none", "--image", "a"], "there is no folder none"),
        (["x", "--plan", "none"], "none: cannot be read"),
        (["x", "--plan", "plan.json"], "plan.json: this is no plan of ci-budget"),
    ],
)
def test_what_is_refused(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.json").write_text('{"touched": "a"}')
    assert main(["merge", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_plan_without_images_has_nothing_to_merge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.json").write_text('{"touched": []}')
    assert main(["merge", str(tmp_path / "none"), "--plan", str(tmp_path / "plan.json")]) == 0
    assert capsys.readouterr().out == "nothing to merge: the plan names no image to build\n"


def test_in_a_workflow(
    downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "CI_BUDGET_MERGE_IMAGE": "over-b\nfine-a\n",
        "CI_BUDGET_MERGE_REPORT": str(tmp_path / "merged"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["merge", "--format=github", "--", str(downloads)]) == 1
    assert "::error title=over-b%3A image_size,file=app/Dockerfile,line=1::3.00 GB is" in capsys.readouterr().out
    assert (tmp_path / "summary").read_text() == (tmp_path / "merged" / "report.md").read_text()
    assert "\nfail\n" in (tmp_path / "output").read_text()
