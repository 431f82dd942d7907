"""Annotations: as many as GitHub shows, a line each, whatever the text."""

from __future__ import annotations

import pytest

from ci_budget.core.records.report import Finding, ImageReport, Report, Verdict
from ci_budget.core.render.annotations import render_annotations
from tests.unit.golden_reports import HOSTILE, hostile_report, passing_report


def report(findings: int = 0, *, failures: int = 0, message: str = "too much", name: str = "app") -> Report:
    """One image with so many findings, and so many others whose build failed."""
    found = [
        Finding(rule="r", severity="note", bytes=100 - at, file="Dockerfile", line=at + 1, message=f"f{at}", mend="m")
        for at in range(findings)
    ]
    first = ImageReport(name=name, verdict=Verdict.PASS, exit_code=0, dockerfile="Dockerfile", findings=found)
    failed = [
        ImageReport.model_validate(
            {"name": f"{name}{at}", "verdict": "fail", "exit_code": 4, "dockerfile": "Dockerfile",
             "failure": {"kind": "build", "message": message}}
        )
        for at in range(failures)
    ]  # fmt: skip
    return passing_report().model_copy(update={"images": [first, *failed]})


def test_the_five_largest_findings() -> None:
    assert render_annotations(report(6)).splitlines() == [
        f"::notice title=app%3A r%2C {100 - at} B,file=Dockerfile,line={at + 1}::f{at} m" for at in range(5)
    ]


@pytest.mark.parametrize(("failures", "named", "left"), [(10, 10, None), (11, 9, 2), (30, 9, 21)])
def test_ten_of_a_level(failures: int, named: int, left: int | None) -> None:
    expected = [f"::error title=app{at}%3A build,file=Dockerfile,line=1::too much" for at in range(named)]
    if left is not None:
        expected.append(f"::error::{left} more; the summary and the report name them all")
    assert render_annotations(report(failures=failures)).splitlines() == expected


def test_long_texts_are_cut() -> None:
    (line,) = render_annotations(report(failures=1, message="x" * 2001, name="n" * 300)).splitlines()
    assert line == f"::error title={'n' * 197}...,file=Dockerfile,line=1::{'x' * 1997}..."
    assert render_annotations(report(failures=1, message="x" * 2000)).endswith(f"::{'x' * 2000}\n")


def test_hostile_text_is_one_command_a_line() -> None:
    lines = render_annotations(hostile_report()).split("\n")
    assert lines.pop() == ""
    assert {line.split(" ")[0] for line in lines} == {"::error", "::warning"}
    assert all(line.isprintable() for line in lines)
    message = render_annotations(report(failures=1, message="a\r\n::error::b\x1b[31m\u2028%0A")).splitlines()
    assert message == ["::error title=app0%3A build,file=Dockerfile,line=1::a\\r\\n::error::b\\x1b[31m\\u2028%250A"]
    assert HOSTILE not in "".join(lines)
