"""The comment's text: what is told, what is folded, what is left out; and foreign text stays in its place."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ci_budget.core.gate.judgement import GateOptions, judge_image, judge_run
from ci_budget.core.records.report import Approval, Failure, ImageReport, LimitChange, Report, SmokeReport
from ci_budget.core.render.comment import LARGEST, is_quiet, marker_of, render_comment, render_without_report
from tests.unit.golden_reports import HOSTILE, hostile_report, mixed_report, passing_report
from tests.unit.report_samples import GB, MB, STARTED, entry, limits, measured, metrics, stage

ADDRESS = "https://github.com/acme/widgets/actions/runs/1"
GITHUBS_LIMIT = 65_536


def judged(name: str = "app", **values: int | None) -> ImageReport:
    """An image with these values instead of the accepted ones."""
    return judge_image(
        measured(name, metrics=metrics(**values)), limits=limits(), baselines=[entry()], options=GateOptions()
    )


def run(*images: ImageReport) -> Report:
    return judge_run(images, started=STARTED, commit="a" * 40, options=GateOptions())


def many(report: Report) -> Report:
    """The report's one image two thousand times."""
    (image,) = report.images
    images = [image.model_copy(update={"name": f"service-{n:04}"}) for n in range(2000)]
    return report.model_copy(update={"images": images})


def html(text: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))


def test_nothing_beyond_tolerance_is_quiet_and_folded() -> None:
    report = run(judged("web"), judged("api", image_size=2_010 * MB, context_size=399_000))
    assert is_quiet(report)
    assert render_comment(report, address=ADDRESS) == (
        "<!-- ci-budget-comment: default -->\n"
        "## ✅ pass: ci-budget\n\n"
        "Nothing changed beyond its tolerance in 2 images.\n\n"
        f"[The whole report]({ADDRESS}) of commit `aaaaaaaaaaaa`.\n\n"
        "<details><summary>2 images unchanged beyond tolerance</summary>\n\n"
        "| image | peak_disk | image_size | layers | context_size |\n"
        "| --- | --: | --: | --: | --: |\n"
        "| `web` | 5.00 GB | 2.00 GB | 8 | 400 kB |\n"
        "| `api` | 5.00 GB | 2.01 GB | 8 | 399 kB |\n\n"
        "</details>\n"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"limits_changed": [LimitChange(path="x", base="1", head="2", loosened=True)]},
        {"new": True},
        {"smoke": SmokeReport(command=["x"], passed=False, exit_code=1, seconds=1, gpu="none", message="")},
        {"failure": Failure(kind="build", message="x")},
        {"exit_code": 3},
        {"approvals": [Approval(metric="layers", ceiling=9, reason="x", until="2027-01-01", state="used")]},
    ],
)
def test_what_is_worth_a_comment(change: dict[str, object]) -> None:
    report = run(judged())
    assert is_quiet(report)
    image = report.images[0].model_copy(update=change)
    assert not is_quiet(report.model_copy(update={"images": [image]}))


@pytest.mark.parametrize("values", [{"image_size": GB}, {"image_size": 3 * GB}, {"layers": 7}, {"peak_disk": None}])
def test_values_that_are_worth_a_comment(values: dict[str, int | None]) -> None:
    assert not is_quiet(run(judged(**values)))


@pytest.mark.parametrize("change", [{"images": []}, {"exit_code": 3}, {"verdict": "not-measured"}])
def test_a_run_that_did_not_pass_is_never_quiet(change: dict[str, object]) -> None:
    assert not is_quiet(run(judged()).model_copy(update=change))


def test_worst_first_whatever_the_order() -> None:
    names = ("pass", "over", "lost", "fine")
    images = [judged("pass"), judged("over", image_size=3 * GB), judged("lost", layers=None), judged("fine")]
    text = render_comment(run(*images))
    assert text.count("\n| `over`") == 1
    assert sorted(names, key=lambda name: text.index(f"`{name}`")) == ["over", "lost", "pass", "fine"]
    assert "4 images: 1 fail, 1 not-measured, 2 unchanged." in text


@pytest.mark.parametrize("count", [1, 60, 800])
@pytest.mark.parametrize("make", [mixed_report, hostile_report], ids=["mixed", "hostile"])
def test_thousands_of_rows_fit_and_what_is_cut_is_counted(count: int, make: object) -> None:
    report = make()  # type: ignore[operator]
    images = [image.model_copy(update={"name": f"{image.name}-{n}"}) for n in range(count) for image in report.images]
    many = report.model_copy(update={"images": images})
    text = render_comment(many, address=ADDRESS)
    assert len(text) <= len(text.encode()) <= LARGEST < GITHUBS_LIMIT
    assert ("**Cut to fit:**" in text) == (count > 1)
    if count > 1:
        assert text.rstrip().endswith(f"[The whole report]({ADDRESS}) of commit " + text.rstrip().rpartition(" ")[2])
    assert text.count("<details>") == text.count("</details>")


def test_the_rows_that_were_cut_are_told_exactly() -> None:
    report = many(run(judged(image_size=3 * GB)))
    text = render_comment(report, address=ADDRESS)
    shown = len(re.findall(r"^\| `service-", text, re.MULTILINE))
    assert 100 < shown < 2000
    assert f"{2000 - shown:,} rows of the table are left out" in text
    unchanged = render_comment(many(run(judged())))
    listed = len(re.findall(r"^\| `service-", unchanged, re.MULTILINE))
    assert f"{2000 - listed} unchanged images are not listed. The whole report is in the run's artifact." in unchanged


OWN = {"h2", "table", "thead", "tbody", "tr", "th", "td", "p", "ul", "li", "strong", "code", "blockquote", "details",
       "summary", "a", "!--"}  # fmt: skip


@pytest.mark.parametrize("make", [mixed_report, hostile_report, passing_report])
def test_foreign_text_makes_no_markup(make: object) -> None:
    rendered = html(render_comment(make(), address=ADDRESS))  # type: ignore[operator]
    assert set(re.findall(r"<\s*/?\s*([a-zA-Z0-9!-]+)", rendered)) <= OWN
    assert re.findall(r"<a [^>]*>", rendered) == [f'<a href="{ADDRESS}">']
    assert rendered.count("<!--") == 1
    assert {len(re.findall(r"<t[hd][ >]", row)) for row in re.findall(r"<tr>.*?</tr>", rendered, re.DOTALL)} <= {
        4,
        5,
        8,
    }


@given(st.text(max_size=60))
def test_no_name_closes_its_place_or_forges_the_marker(name: str) -> None:
    image = judged(image_size=3 * GB).model_copy(update={"name": name, "notes": [name], "dockerfile": name})
    text = render_comment(run(image, judged(name)))
    rendered = html(text)
    assert rendered.count("<!--") == 1
    assert rendered.count("<details>") == rendered.count("</details>") == 2
    assert not re.search(r"<(?!/?(?:t[hd]))\w+\s[^>]*>", rendered)
    assert not re.search(r"^\s*::", text, re.MULTILINE)


def test_an_address_that_is_none_is_no_link() -> None:
    text = render_comment(passing_report(), address="javascript:alert(1)//](x)")
    assert "<a " not in html(text)
    assert re.findall(r"<a [^>]*>", html(render_comment(passing_report(), address="https://x/a)<img src=x>"))) == []


def test_a_run_without_a_report() -> None:
    assert render_without_report(key="k", failed=True, address=ADDRESS) == (
        "<!-- ci-budget-comment: k -->\n## ❔ not-measured: ci-budget\n\n"
        "The run left no report, so nothing is known. This is no pass.\n\n"
        f"[The whole report]({ADDRESS}).\n"
    )
    assert "nothing to build" in render_without_report(key="k", failed=False, address=None)


@pytest.mark.parametrize("key", ["", " ", "a b", "x-->", "a--b", "-->", "a\nb", "x" * 81, "é", HOSTILE])
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(ValueError, match="is no key"):
        marker_of(key)


def test_what_did_not_change_in_a_stage_is_calm_too() -> None:
    image = judge_image(
        measured(stages=[stage(peak_disk=4 * GB), stage("late", 1, reached=False)]),
        limits=limits(),
        baselines=[entry(stages={"builder": {"peak_disk": 4 * GB}})],
        options=GateOptions(),
    )
    assert is_quiet(run(image))
