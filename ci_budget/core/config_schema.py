"""The config's JSON Schema (draft 2020-12), for editors."""

from __future__ import annotations

from typing import Any

from ci_budget.core.config import Config


def config_schema() -> dict[str, Any]:
    """The schema of `ci-budget.yml`; it accepts every form that a person may write: `15GB`, `2%`, `off`."""
    schema = Config.model_json_schema(mode="validation")
    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ci-budget.yml",
        "description": "Budgets for container image builds: what to build, and the limits that the gate compares with.",
    }
    return described | {key: value for key, value in schema.items() if key not in described}
