"""The report as SARIF 2.1.0, `report.sarif`, for code scanning: what the gate refused, and every finding.

Format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/. GitHub keeps the first 5,000 results of a run and tells an
alert from another one by `partialFingerprints`, which therefore hold no measured number.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import Any
from urllib.parse import quote

from ci_budget.core.records.report import Report
from ci_budget.core.render.escape import silence_json
from ci_budget.core.render.remarks import Remark, finding_remarks, gate_remarks
from ci_budget.core.text.plain_text import one_line, shorten
from ci_budget.errors import ExitCode

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MOST_RESULTS = 5000
_LONGEST = 2000
_ORDER = ("error", "warning", "note")


def render_sarif(report: Report) -> str:
    """One run with one result a remark, errors first; ended by a line break. Nothing to say: a run without results."""
    remarks = [*gate_remarks(report), *finding_remarks(report)]
    kept = sorted(remarks, key=lambda remark: _ORDER.index(remark.severity))[:MOST_RESULTS]
    rules = {rule: index for index, rule in enumerate(dict.fromkeys(_rule_id(remark) for remark in kept))}
    seen: Counter[str] = Counter()
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "ci-budget",
                "semanticVersion": report.ci_budget,
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "invocations": [_invocation(report)],
        "automationDetails": {"id": "ci-budget/"},
        "columnKind": "unicodeCodePoints",
        "results": [_result(remark, rules, seen) for remark in kept],
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return silence_json(json.dumps(document, indent=2)) + "\n"


def _invocation(report: Report) -> dict[str, Any]:
    return {
        "executionSuccessful": report.exit_code in (ExitCode.OK, ExitCode.GATE),
        "exitCode": report.exit_code,
        "startTimeUtc": report.started,
    }


def _rule_id(remark: Remark) -> str:
    return f"{'finding' if remark.is_finding else 'gate'}/{remark.rule}"


def _rule(rule: str) -> dict[str, Any]:
    group, _, name = rule.partition("/")
    said = f"Advice: {name}." if group == "finding" else f"The gate on {name}."
    return {"id": rule, "shortDescription": {"text": said}}


def _result(remark: Remark, rules: dict[str, int], seen: Counter[str]) -> dict[str, Any]:
    rule = _rule_id(remark)
    identity = "\n".join((remark.image, rule, remark.stage or "", remark.file))
    seen[identity] += 1  # several of one kind in one place differ by their order alone
    found: dict[str, Any] = {
        "ruleId": rule,
        "ruleIndex": rules[rule],
        "level": remark.severity,
        "message": {"text": _text(f"{remark.image}: {remark.title}: {remark.message}")},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(remark.file)},
                    "region": {"startLine": max(remark.line, 1)},
                }
            }
        ],
        "partialFingerprints": {"ciBudget/v1": _digest(f"{identity}\n{seen[identity]}")},
    }
    if remark.bytes is not None:
        found["properties"] = {"bytes": remark.bytes}
    return found


def _text(text: str) -> str:
    """Untrusted text as a message: one line, and no embedded link (SARIF 3.11.6)."""
    return one_line(shorten(text, _LONGEST)).replace("](", "] (")


def _uri(path: str) -> str:
    escaped = quote(path.encode("utf-8", "surrogateescape"), safe="/")
    return f"file://{escaped}" if path.startswith("/") else escaped


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
