"""Reports as text and Markdown, compared with whole expected texts in `golden/`.

After a wanted change: `CI_BUDGET_REGENERATE_GOLDEN=1 python -m pytest tests/unit/test_render.py`, then read the
difference and commit it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from ci_budget.core.records.baseline_update import accept_report
from ci_budget.core.records.report import Report
from ci_budget.core.render.annotations import render_annotations
from ci_budget.core.render.baseline_text import render_baseline_text, render_update
from ci_budget.core.render.comment import render_comment
from ci_budget.core.render.escape import code, escape_markdown, escape_terminal, silence_commands
from ci_budget.core.render.json_text import render_json
from ci_budget.core.render.junit import render_junit
from ci_budget.core.render.markdown import render_markdown
from ci_budget.core.render.sarif import render_sarif
from ci_budget.core.render.text import render_text
from tests.unit.golden_reports import (
    HOSTILE,
    hostile_report,
    mixed_report,
    passing_report,
    sample_baseline,
    unmeasured_report,
)

GOLDEN = Path(__file__).parent / "golden"
REGENERATE = os.environ.get("CI_BUDGET_REGENERATE_GOLDEN") == "1"  # before conftest clears the environment
FOLDER = "/home/someone/report"
ADDRESS = "https://github.com/acme/widgets/actions/runs/1"

TEXTS: dict[str, Callable[[], str]] = {
    "mixed.txt": lambda: render_text(mixed_report(), report_folder=FOLDER),
    "mixed-ascii-70.txt": lambda: render_text(mixed_report(), width=70, ascii_only=True, report_folder=FOLDER),
    "mixed-colour.txt": lambda: render_text(mixed_report(), colour=True, report_folder=FOLDER),
    "mixed.md": lambda: render_markdown(mixed_report(), report_folder=FOLDER),
    "passing.txt": lambda: render_text(passing_report()),
    "passing.md": lambda: render_markdown(passing_report()),
    "unmeasured.txt": lambda: render_text(unmeasured_report(), report_folder=FOLDER),
    "unmeasured.md": lambda: render_markdown(unmeasured_report(), report_folder=FOLDER),
    "hostile.txt": lambda: render_text(hostile_report(), report_folder=FOLDER),
    "hostile.md": lambda: render_markdown(hostile_report(), report_folder=FOLDER),
    "comment.md": lambda: render_comment(mixed_report(), address=ADDRESS, folder="ci-budget-report"),
    "comment-hostile.md": lambda: render_comment(hostile_report(), address=ADDRESS),
    "mixed.sarif": lambda: render_sarif(mixed_report()),
    "mixed.xml": lambda: render_junit(mixed_report()),
    "mixed-annotations.txt": lambda: render_annotations(mixed_report()),
    "mixed.json": lambda: render_json(mixed_report()),
    "baseline-show.txt": lambda: render_baseline_text(sample_baseline(), ["app"]),
    "baseline-update.txt": lambda: _update_text(),
}


def _update_text() -> str:
    report = passing_report()
    baseline = sample_baseline().model_copy(update={"images": {"gateway": sample_baseline().images["app"]}})
    lower = baseline.images["gateway"][0]
    entry = lower.model_copy(update={"metrics": {**lower.metrics, "layers": 7, "context_size": 399_999}})
    _, changes = accept_report(
        baseline.model_copy(update={"images": {"gateway": [entry]}}), report, raise_metrics=["context_size"]
    )
    return render_update(changes, ".ci-budget/baseline.json")


@pytest.mark.parametrize("name", TEXTS)
def test_whole_texts(name: str) -> None:
    found = TEXTS[name]()
    path = GOLDEN / name
    if REGENERATE:
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")


def test_no_text_is_left_over() -> None:
    assert {path.name for path in GOLDEN.iterdir() if path.suffix != ".html"} >= set(TEXTS)


REPORTS = {"mixed": mixed_report, "unmeasured": unmeasured_report, "hostile": hostile_report}


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("make", REPORTS.values(), ids=REPORTS)
def test_lines_fit_the_terminal(make: Callable[[], Report], width: int) -> None:
    found = render_text(make(), width=width, ascii_only=True)
    assert found.isascii()
    assert max(len(line) for line in found.splitlines()) <= width
    assert not re.search(r"[^\n\x20-\x7e]", found)


@pytest.mark.parametrize("width", [40, 77, 100, 500])
@pytest.mark.parametrize("colour", [False, True])
def test_hostile_text_on_a_terminal(width: int, colour: bool) -> None:
    found = render_text(hostile_report(), width=width, colour=colour)
    own = re.sub(r"\x1b\[[0-9;]*m", "", found) if colour else found
    assert not [char for char in own if not char.isprintable() and char != "\n"]
    assert not re.search(r"^\s*::", own, re.MULTILINE)
    assert "##[" not in own
    assert "\\x1b[31mred" in own.replace("\n", "").replace("  ", "")


ALLOWED = {
    "h2", "h3", "table", "thead", "tbody", "tr", "th", "td", "p", "ul", "li", "strong", "code", "blockquote",
    "details", "summary",
}  # fmt: skip


@pytest.mark.parametrize("make", REPORTS.values(), ids=REPORTS)
def test_markdown_holds_nothing_but_our_own_markup(make: Callable[[], Report]) -> None:
    source = render_markdown(make(), report_folder=FOLDER)
    html = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(source)
    tags = set(re.findall(r"<\s*/?\s*([a-zA-Z0-9!-]+)", html))
    assert tags <= ALLOWED
    assert not re.search(r"<(?!/?(?:t[hd]))\w+\s[^>]*>", html), "no tag has attributes, alignment of cells aside"
    assert html.count("<table>") == len(re.findall(r"^\|[ :|-]+\|$", source, re.MULTILINE))
    for line in html.splitlines():
        row = re.findall(r"<t[hd]", line)
        assert len(row) <= 1
    columns = [len(re.findall(r"<t[hd][ >]", row)) for row in re.findall(r"<tr>.*?</tr>", html, re.DOTALL)]
    assert set(columns) <= {4, 7, 8}, "hostile text makes no cell of its own"
    assert "://" not in source
    assert not re.search(r"(?<!`)[@#](?=\w)", source.replace("&#", "")), "no mention, no reference"
    assert not re.search(r"^\s*::|##\[", source, re.MULTILINE)


@pytest.mark.parametrize("write", [escape_markdown, code])
@pytest.mark.parametrize("around", ["{}", "| {} | x |\n|---|---|\n| {} | y |", "- {}", "> {}", "**{}**"])
def test_hostile_markdown_is_shown_as_it_is(write: Callable[[str], str], around: str) -> None:
    pieces = [*HOSTILE.split(" "), HOSTILE, "1. x", "- x", "+ x", "a|b\\|c", "`", "``x``", "--", "=", "&amp;", "a\\"]
    for piece in filter(None, pieces):
        html = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(
            around.replace("{}", write(piece))
        )  # fmt: skip
        body = re.sub(r"</?(?:p|table|thead|tbody|tr|th|td|ul|li|blockquote|strong|code)>", "", html)
        assert "<" not in body, piece
        shown = body.replace("\u200b", "").strip()
        for entity, char in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
            shown = shown.replace(entity, char)
        wanted = escape_terminal(piece).replace("# #[", "##[")
        assert shown.split("\n")[0].strip() == wanted.strip(), piece


def test_a_terminal_line() -> None:
    assert escape_terminal("a\x1b[31m\u202eb\r\n##[error]x\té") == "a\\x1b[31m\\u202eb\\r\\n# #[error]x\\té"
    assert escape_terminal("é→", ascii_only=True) == "\\xe9\\u2192"


def test_no_line_is_a_command() -> None:
    text = "::error::x\n  ::set-env::y\n\x1b[1m::z::\n##[warning]w a::b\n:: :"
    assert silence_commands(text) == ": :error::x\n  : :set-env::y\n\x1b[1m: :z::\n# #[warning]w a::b\n: : :"


def test_a_large_report_is_cut_at_whole_images() -> None:
    report = mixed_report()
    many = report.model_copy(update={"images": report.images * 20})
    found = render_markdown(many, report_folder=FOLDER, largest=60_000)
    assert 50_000 < len(found.encode()) <= 60_000
    assert found.endswith(f"images left out:** the whole report is `{FOLDER}`.\n")
    assert found.count("<details>") == found.count("</details>")
    assert found.startswith("## ❌ fail: ci-budget (exit 1)\n")


def test_a_huge_text_does_not_swamp_the_report() -> None:
    report = mixed_report()
    noted = report.model_copy(update={"notes": ["x" * 3_000_000]})
    assert len(render_markdown(noted).encode()) < 100_000


def test_json_keeps_its_meaning_and_speaks_to_no_runner() -> None:
    report = hostile_report()
    text = render_json(report)
    assert "##[" not in text
    assert not re.search(r"^\s*::", text, re.MULTILINE)
    assert Report.model_validate(json.loads(text)) == report


@pytest.mark.parametrize("width", [1, 40, 60])
def test_no_figure_is_cut_on_a_narrow_terminal(width: int) -> None:
    """A cut `12.5 GB` would be 12.5, or 1."""
    said = " ".join(render_text(mixed_report(), width=width).split())
    assert "image_size: now 1.50 GB, baseline 2.00 GB, limit 2.02 GB, change -500 MB (-25.0 %), verdict pass" in said
    assert "builder: line 1, peak 12.5 GB, added 7.00 GB, size 8.00 GB, layers 5, time 134 s, verdict fail" in said
