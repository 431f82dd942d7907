"""report.json: the public format, in exact bytes."""

from __future__ import annotations

from ci_budget.core.records.report import Report
from ci_budget.core.render.escape import silence_json


def render_json(report: Report) -> str:
    """The report as JSON, indented, ended by a line break; safe to print into a CI log."""
    return silence_json(report.model_dump_json(indent=2)) + "\n"
