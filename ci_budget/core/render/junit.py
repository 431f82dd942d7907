"""The report as JUnit XML, `junit.xml`: a suite an image, a case a metric, so that a CI system charts the gate.

Format: the common subset of Jenkins, GitLab and GitHub reporters (testmoapp/junitxml). `failure`: the gate says no.
`error`: it could not be measured or compared. `skipped`: nothing is held to a limit there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from ci_budget.core.records.report import ImageReport, Metric, Report, Verdict
from ci_budget.core.text.plain_text import one_line, shorten
from ci_budget.core.text.units import format_seconds

_LONGEST = 4000
_OUTCOMES = {
    Verdict.FAIL: "failure",
    Verdict.BUILD_FAILED: "failure",
    Verdict.NOT_MEASURED: "error",
    Verdict.INCOMPARABLE: "error",
    Verdict.NO_BASELINE: "error",
}
_FAILURES = {"ceiling": "failure", "build": "failure", "timeout": "failure", "smoke": "failure", "environment": "error"}


def render_junit(report: Report) -> str:
    """The document, ended by a line break. A report without images has one case, in error: nothing is known."""
    suites = [(image.name, list(_cases(image)), image) for image in report.images]
    root = ElementTree.Element("testsuites", name="ci-budget")
    if not suites:
        cases = [_Case(name="check", outcome="error", message="no image was checked", kind="not-measured")]
        _add_suite(root, "ci-budget", cases, report.started, 0)
    for name, cases, image in suites:
        _add_suite(root, name, cases, report.started, _seconds(image))
    for key in ("tests", "failures", "errors", "skipped"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    root.set("time", str(sum(int(suite.get("time", "0")) for suite in root)))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


@dataclass(frozen=True, kw_only=True)
class _Case:
    """One test case; `outcome` is the element that says how it ended, empty for a pass."""

    name: str
    outcome: str = ""
    message: str = ""
    kind: str = ""


def _cases(image: ImageReport) -> Iterator[_Case]:
    if image.failure is not None:
        place = f"{image.dockerfile}:{image.failure.line}: " if image.failure.line is not None else ""
        mend = f". {image.failure.mend}" if image.failure.mend else ""
        yield _Case(
            name="build",
            outcome=_FAILURES[image.failure.kind],
            message=f"{place}{image.failure.message.rstrip('.')}{mend}",
            kind=image.failure.kind,
        )
    for name, metric in image.metrics.named():
        yield _case(name, metric)
    for stage in image.stages:
        for name, metric in stage.metrics.items():
            if metric.gated:  # the others only repeat the image's
                yield _case(f"{stage.name}: {name}", metric)
    if image.smoke is not None and image.failure is None:
        said = f"{'passed' if image.smoke.passed else 'failed'} in {format_seconds(image.smoke.seconds)}"
        yield _Case(
            name="smoke",
            outcome="" if image.smoke.passed else "failure",
            message=f"{said}: {image.smoke.message}" if image.smoke.message else said,
            kind="smoke",
        )


def _case(name: str, metric: Metric) -> _Case:
    outcome = _OUTCOMES.get(metric.verdict, "") if metric.gated else "skipped"
    return _Case(name=name, outcome=outcome, message=metric.message or metric.verdict.value, kind=metric.verdict.value)


def _add_suite(root: ElementTree.Element, name: str, cases: list[_Case], started: str, seconds: int) -> None:
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=_text(name),
        tests=str(len(cases)),
        failures=str(sum(case.outcome == "failure" for case in cases)),
        errors=str(sum(case.outcome == "error" for case in cases)),
        skipped=str(sum(case.outcome == "skipped" for case in cases)),
        time=str(seconds),
        timestamp=started.removesuffix("Z"),
    )
    for case in cases:
        element = ElementTree.SubElement(suite, "testcase", name=_text(case.name), classname=_text(name), time="0")
        if case.outcome == "skipped":
            ElementTree.SubElement(element, "skipped", message=_text(case.message))
        elif case.outcome:
            ElementTree.SubElement(element, case.outcome, message=_text(case.message), type=case.kind)
        elif case.message:
            ElementTree.SubElement(element, "system-out").text = _text(case.message)


def _seconds(image: ImageReport) -> int:
    found = image.metrics.build_seconds
    return found.value or 0 if found is not None else 0


def _text(text: str) -> str:
    """Untrusted text without what XML 1.0 cannot hold; a line that a runner could read as a command is broken up."""
    return one_line(shorten(text, _LONGEST)).replace("##[", "# #[")
