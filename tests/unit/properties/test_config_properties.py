"""Whatever a config holds, it is read or refused with a documented error, in bounded size."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_budget.core.config.limits import Budgets, StageBudgets
from ci_budget.core.config.model import Config
from ci_budget.core.config.text import ConfigProblemsError, ParsedConfig, parse_config
from ci_budget.core.config.yaml_tree import TreeError, read_tree
from ci_budget.core.render.config_summary import config_data, render_config
from ci_budget.core.text.plain_text import plain_lines

KEYS = sorted(
    {*Config.model_fields, *Budgets.model_fields, *StageBudgets.model_fields, "budgets", "stages", "context",
     "dockerfile", "target", "smoke", "command", "build_args", "secrets", "tolerance", "warn_at", "timeout",
     "web", "mode", "<<"}
)  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**20),
    st.floats(),
    st.sampled_from(["15GB", "2%", "off", "1h30m", "auto", "../x", "/x", "id=a,env=B", "\0", "\n::error::x", "\ud800"]),
    st.text(max_size=20),
)
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=25,
)
YAML_PIECES = st.lists(
    st.sampled_from(
        [*KEYS, "version: 1\n", "images:\n", "  web:\n", "    ", ": ", "\n", "- ", "[", "]", "{", "}", ", ", "&a ",
         "*a", "!x ", "|\n", ">\n", "'", '"', "#", "---\n", "...\n", "? ", "%YAML 1.1\n", "\t", "\r\n", "\ufeff",
         "\x85", "~"]
    ),
    max_size=40,
).map("".join)  # fmt: skip
ROUND_TRIP = [metric for metric in Budgets.model_fields if metric != "build_seconds"]
AMOUNTS = st.integers(0, 10**12)
PERCENTS = st.decimals(0, 1000, places=2).map(lambda share: f"{share}%")


def read(text: bytes | str) -> ParsedConfig | None:
    try:
        return parse_config(text, "ci-budget.yml")
    except ConfigProblemsError as error:
        lines = str(error).split("\n")
        assert all(line.startswith("ci-budget.yml:") and line.isprintable() for line in lines)
        assert 1 <= len(lines) <= 21
        assert len(str(error)) < 21 * 2000
        return None


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    read(data)


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    read(text)


@given(YAML_PIECES)
def test_any_pieces_of_yaml(text: str) -> None:
    read(text)


@given(DATA)
def test_any_data(data: Any) -> None:
    read(json.dumps(data))


@given(st.dictionaries(st.sampled_from(KEYS), DATA, max_size=6))
def test_any_data_where_an_image_is_expected(data: dict[str, Any]) -> None:
    parsed = read(json.dumps({"version": 1, "images": {"web": data}}))
    if parsed is not None:
        render_config(parsed, {"web": {}})
        json.dumps(config_data(parsed, {"web": {}}))


@given(st.binary(max_size=300))
def test_a_tree_has_a_line_for_every_value(data: bytes) -> None:
    try:
        tree = read_tree(data)
    except TreeError as error:
        assert error.problem.line is None or 1 <= error.problem.line <= data.count(b"\n") + data.count(b"\r") + 300
        return
    assert all(line >= 1 for line in tree.lines().values())


@given(
    budgets=st.fixed_dictionaries({}, optional=dict.fromkeys(ROUND_TRIP, st.integers(0, 2**63 - 1) | st.just("off"))),
    tolerance=st.fixed_dictionaries({}, optional=dict.fromkeys(ROUND_TRIP, AMOUNTS | st.just("off") | PERCENTS)),
    name=st.text(string.ascii_letters + string.digits, min_size=1, max_size=10),
)
def test_what_was_read_is_written_and_read_back(budgets: dict[str, Any], tolerance: dict[str, Any], name: str) -> None:
    for counted in ("layers", "peak_inodes"):
        if isinstance(budgets.get(counted), int):
            budgets[counted] %= 10**15
    config = Config.model_validate({"version": 1, "images": {name: {"budgets": budgets, "tolerance": tolerance}}})
    written = config.model_dump_json(exclude_unset=True)
    parsed = parse_config(written, "ci-budget.yml")
    assert parsed.config == config
    assert {metric: config.budget_of(name, metric) for metric in budgets} == budgets


@given(st.text())
def test_plain_lines_hold_no_command_and_no_control_character(text: str) -> None:
    plain = plain_lines(text)
    assert plain.count("\n") == text.count("\n")
    assert "##[" not in plain
    for line in plain.split("\n"):
        assert line.isprintable()
        assert not line.lstrip().startswith("::")


@pytest.mark.parametrize("text", ["##[", "####[[", "##\x00[", "\r::x", " \t::x", "\u3000::x", "\x0b::x", "\u2028::x"])
def test_plain_lines_by_hand(text: str) -> None:
    test_plain_lines_hold_no_command_and_no_control_character.hypothesis.inner_test(text)  # type: ignore[attr-defined]
