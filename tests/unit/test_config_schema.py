"""The JSON Schema: it says what the config's readers accept, in a form that editors use."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ci_budget.core.config.amounts import read_limit, read_tolerance
from ci_budget.core.config.model import Config
from ci_budget.core.config.schema import config_schema


def test_it_describes_every_key() -> None:
    schema = config_schema()
    assert list(schema["properties"]) == list(Config.model_fields)
    assert schema["required"] == ["version", "images"]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    image = schema["$defs"]["ImageConfig"]
    assert {"context", "dockerfile", "target", "budgets", "stages", "smoke", "warn_at"} <= set(image["properties"])
    assert all("description" in one or "$ref" in one for one in image["properties"].values())


def test_it_needs_no_title_and_allows_no_null_but_for_build_arguments() -> None:
    schema = config_schema()
    arguments = schema["$defs"]["ImageConfig"]["properties"].pop("build_args")
    assert "null" in arguments["additionalProperties"]["type"]
    schema.pop("title")
    text = json.dumps(schema)
    assert '"null"' not in text
    assert '"title"' not in text


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        *[("peak_disk", value) for value in ("15GB", "15 GiB", "0.4MB", "7", 7, "off", False, "1k", "1G", "x", "")],
        *[("layers", value) for value in (3, "3", "off", "3GB", -1, "-1")],
        *[("build_seconds", value) for value in ("90s", "1h30m", "2m", 90, "90", "off", "soon", "", "1d", "30m1h")],
    ],
)  # fmt: skip
def test_budgets_are_accepted_as_they_are_read(metric: str, value: object) -> None:
    unit = {"peak_disk": "bytes", "layers": "count", "build_seconds": "seconds"}[metric]
    schema = config_schema()["$defs"]["Budgets"]["properties"][metric]
    assert accepts(schema, value) is not raises(read_limit, value, unit)


@pytest.mark.parametrize(
    "value", ["2%", "2.5 %", "10MB", 0, "off", False, ["2%", "10MB"], ["2%"], [], "lots", ["lots"], "2%%", [["2%"]]]
)
def test_tolerances_are_accepted_as_they_are_read(value: object) -> None:
    schema = config_schema()["$defs"]["Tolerances"]["properties"]["peak_disk"]
    assert accepts(schema, value) is not raises(read_tolerance, value, "bytes")


def raises(read: Any, value: object, unit: str) -> bool:
    try:
        read(value, unit)
    except ValueError:
        return True
    return False


def accepts(schema: dict[str, Any], value: object) -> bool:
    """Enough of JSON Schema for the values of a config (draft 2020-12, validation vocabulary)."""
    if "anyOf" in schema:
        return any(accepts(branch, value) for branch in schema["anyOf"])
    if "enum" in schema:
        return any(value == one and type(value) is type(one) for one in schema["enum"])
    if schema["type"] == "array":
        return (
            isinstance(value, list)
            and len(value) >= schema.get("minItems", 0)
            and all(accepts(schema["items"], item) for item in value)
        )
    if schema["type"] == "integer":
        return isinstance(value, int) and not isinstance(value, bool) and value >= schema.get("minimum", value)
    assert schema["type"] == "string", schema
    return isinstance(value, str) and re.search(schema.get("pattern", ""), value) is not None
