"""The config's JSON Schema (draft 2020-12), for editors."""

from __future__ import annotations

from typing import Any

from ci_budget.core.config.model import Config


def config_schema() -> dict[str, Any]:
    """The schema of `ci-budget.yml`; it accepts every form that a person may write: `15GB`, `2%`, `off`."""
    schema = Config.model_json_schema(mode="validation")
    described = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ci-budget.yml",
        "description": "Budgets for container image builds: what to build, and the limits that the gate compares with.",
    }
    return described | {key: _tidy(value) for key, value in schema.items() if key not in described}


def _tidy(schema: Any) -> Any:
    """Without made-up titles, and without `null`: a key that has no value is an error."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _tidy(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
        and not (key == "default" and (value is None or isinstance(value, dict)))
    }
    branches = [branch for branch in kept.get("anyOf", []) if branch != {"type": "null"}]
    if len(branches) == 1:
        del kept["anyOf"]
        return {**branches[0], **kept}
    return kept | {"anyOf": branches} if branches else kept
