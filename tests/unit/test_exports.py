"""SARIF against its official schema, JUnit against the subset that CI systems read, annotations of growth and advice.

The schema is that of OASIS (2.1.0-rtm.5) as the npm package @microsoft/jest-sarif 1.0.0-beta.0 (MIT) carries it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft4Validator

from ci_budget.core.gate.judgement import GateOptions, judge_run
from ci_budget.core.records.report import (
    Contributor,
    Finding,
    ImageReport,
    Metric,
    Metrics,
    Report,
    StageReport,
    Verdict,
)
from ci_budget.core.render import sarif
from ci_budget.core.render.annotations import render_annotations
from ci_budget.core.render.junit import render_junit
from ci_budget.core.render.sarif import render_sarif
from tests.unit.golden_reports import hostile_report, mixed_report, passing_report, unmeasured_report
from tests.unit.report_samples import STARTED

SCHEMA = Path(__file__).parents[1] / "fixtures" / "schemas" / "sarif-2.1.0-rtm.5.json"
GB = 10**9


def nothing() -> Report:
    return judge_run([], started=STARTED, commit=None, options=GateOptions())


def finding(size: int | None, severity: Any = "warning", **given: Any) -> Finding:
    values = {
        "rule": "pip-cache",
        "file": "app/Dockerfile",
        "line": 7,
        "message": "a cache.",
        "mend": "Drop it.",
    } | given
    return Finding(severity=severity, bytes=size, **values)


def grown(*findings: Finding, contributors: tuple[Contributor, ...] = (), delta: int = 2 * GB) -> Report:
    """One image that is too large, with what is known of it."""
    size = Metric(
        value=3 * GB, unit="bytes", delta=delta, verdict=Verdict.FAIL, gated=True, message="3.00 GB is too large"
    )
    image = ImageReport(
        name="app",
        verdict=Verdict.FAIL,
        exit_code=1,
        dockerfile="app/Dockerfile",
        stages=[StageReport(name="runtime", index=0, base="x", line=5, reached=True)],
        metrics=Metrics(image_size=size),
        findings=list(findings),
        contributors=list(contributors),
    )
    return judge_run([image], started=STARTED, commit=None, options=GateOptions())


REPORTS: dict[str, Callable[[], Report]] = {
    "mixed": mixed_report,
    "passing": passing_report,
    "unmeasured": unmeasured_report,
    "hostile": hostile_report,
    "nothing": nothing,
}


@pytest.fixture(scope="module")
def validator() -> Draft4Validator:
    schema = json.loads(SCHEMA.read_text())
    Draft4Validator.check_schema(schema)
    return Draft4Validator(schema, format_checker=Draft4Validator.FORMAT_CHECKER)


@pytest.mark.parametrize("make", REPORTS.values(), ids=REPORTS)
def test_sarif_is_valid(make: Callable[[], Report], validator: Draft4Validator) -> None:
    document = json.loads(render_sarif(make()))
    assert [error.message for error in validator.iter_errors(document)] == []
    (run,) = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(rules) == len(set(rules))
    fingerprints = [result["partialFingerprints"]["ciBudget/v1"] for result in run["results"]]
    assert len(fingerprints) == len(set(fingerprints))
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["message"]["text"].isprintable()
        assert "](" not in result["message"]["text"]


def test_the_validator_refuses_what_is_no_sarif(validator: Draft4Validator) -> None:
    document = json.loads(render_sarif(mixed_report()))
    document["runs"][0]["results"][0]["level"] = "fatal"
    document["runs"][0]["results"][1]["locations"][0]["physicalLocation"]["region"]["startLine"] = 0
    assert len(list(validator.iter_errors(document))) == 2


def test_sarif_names_an_alert_alike_in_every_run() -> None:
    def names(size: int) -> list[str]:
        document = json.loads(render_sarif(grown(finding(size, message=f"{size} bytes"), finding(5, line=9))))
        return [result["partialFingerprints"]["ciBudget/v1"] for result in document["runs"][0]["results"]]

    assert names(100) == names(200)


def test_sarif_is_bounded_and_keeps_what_the_gate_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MOST_RESULTS", 10)
    document = json.loads(render_sarif(grown(*(finding(number, "note") for number in range(20)))))
    results = document["runs"][0]["results"]
    assert len(results) == 10
    assert results[0]["ruleId"] == "gate/image_size"
    assert results[1]["properties"] == {"bytes": 19}


@pytest.mark.parametrize(
    ("path", "uri"),
    [("app/Dockerfile", "app/Dockerfile"), ("a b:c/ü%", "a%20b%3Ac/%C3%BC%25"), ("/abs/File", "file:///abs/File")],
)
def test_sarif_locations(path: str, uri: str) -> None:
    document = json.loads(render_sarif(grown(finding(1, file=path))))
    location = document["runs"][0]["results"][1]["locations"][0]["physicalLocation"]
    assert location == {"artifactLocation": {"uri": uri}, "region": {"startLine": 7}}


@pytest.mark.parametrize("make", REPORTS.values(), ids=REPORTS)
def test_junit_is_what_ci_systems_read(make: Callable[[], Report]) -> None:
    report = make()
    root = ElementTree.fromstring(render_junit(report))
    assert root.tag == "testsuites"
    assert len(root) == max(len(report.images), 1)
    for suite in root:
        assert suite.tag == "testsuite"
        assert set(suite.attrib) == {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"}
        kinds = [child.tag for case in suite for child in case]
        assert set(kinds) <= {"failure", "error", "skipped", "system-out"}
        assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == tuple(
            str(number) for number in (len(suite), kinds.count("failure"), kinds.count("error"), kinds.count("skipped"))
        )
        for case in suite:
            assert set(case.attrib) == {"name", "classname", "time"}
            assert len(case) <= 1
        names = [case.get("name") for case in suite]
        assert len(names) == len(set(names))
    said_no = int(root.get("failures", "")) + int(root.get("errors", "")) > 0
    assert said_no == (report.exit_code != 0)


def test_growth_is_annotated_where_it_was_brought_and_by_what() -> None:
    contributors = (
        Contributor(kind="this-change", name="torch 2.13.0 -> 2.14.1", before=1, after=2, delta=1900 * 10**6, line=12),
        Contributor(kind="this-change", name="/opt/", before=None, after=2, delta=200 * 10**6, line=14),
        Contributor(kind="this-change", name="/old", before=100, after=None, delta=-(10**8), line=2),
    )
    assert render_annotations(grown(contributors=contributors)) == (
        "::error title=app%3A image_size,file=app/Dockerfile,line=12::3.00 GB is too large; in the image: "
        "torch 2.13.0 -> 2.14.1: +1.90 GB; /opt/: +200 MB\n"
    )
    assert "line=2::3.00 GB is too large; in the image: /old: -100 MB" in render_annotations(
        grown(contributors=contributors, delta=-5)
    )


def test_the_largest_findings_are_annotated_after_what_failed() -> None:
    found = [finding(size * 10**6, line=size) for size in range(1, 8)]
    lines = render_annotations(grown(*found, finding(50, "note"), finding(10**9, "note", file=None, line=None)))
    assert lines == (
        "::error title=app%3A image_size,file=app/Dockerfile,line=5::3.00 GB is too large\n"
        "::warning title=app%3A pip-cache%2C 7.00 MB,file=app/Dockerfile,line=7::a cache. Drop it.\n"
        "::warning title=app%3A pip-cache%2C 6.00 MB,file=app/Dockerfile,line=6::a cache. Drop it.\n"
        "::warning title=app%3A pip-cache%2C 5.00 MB,file=app/Dockerfile,line=5::a cache. Drop it.\n"
        "::warning title=app%3A pip-cache%2C 4.00 MB,file=app/Dockerfile,line=4::a cache. Drop it.\n"
        "::notice title=app%3A pip-cache%2C 1.00 GB,file=app/Dockerfile,line=5::a cache. Drop it.\n"
    )
