"""Workflow commands: written exactly as GitHub reads them, and never made of untrusted text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_budget.core.text.workflow_text import (
    LONGEST_LOG_LINE,
    escape_command_data,
    escape_command_property,
    format_annotation,
    format_command,
    neutralise_log_line,
)


def runner_reads_a_command(line: str) -> bool:
    """What actions/runner's ActionCommand.cs takes for a command: `::name …::` at the start, `##[name]` anywhere."""
    return re.match(r"\s*::[^\s:]+.*::", line) is not None or "##[" in line


def test_escapes_follow_the_toolkit() -> None:
    assert escape_command_data("50 % of\r\na: b, c") == "50 %25 of%0D%0Aa: b, c"
    assert escape_command_property("50 % of\r\na: b, c") == "50 %25 of%0D%0Aa%3A b%2C c"
    assert escape_command_data("%0A") == "%250A"


def test_an_annotation_on_a_line() -> None:
    assert (
        format_annotation("error", "too large:\n12 GB", title="a: size, peak", file="svc/Dockerfile", line=7)
        == "::error title=a%3A size%2C peak,file=svc/Dockerfile,line=7::too large:%0A12 GB"
    )
    assert format_annotation("warning", "near the limit") == "::warning::near the limit"
    assert format_command("endgroup") == "::endgroup::"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("::error::injected", "| ::error::injected"),
        ("  ::set-output name=verdict::pass", "|   ::set-output name=verdict::pass"),
        ("\t::add-path::/tmp", "|     ::add-path::/tmp"),
        ("::stop-commands::x", "| ::stop-commands::x"),
        ("##[error]injected", "# #[error]injected"),
        ("text ##[set-env name=A]b", "text # #[set-env name=A]b"),
        ("###[error]", "## #[error]"),
        ("\x1b[31m::error::red\x1b[0m", "| ::error::red"),
        ("\x1b]0;title\x07::error::x", "| ::error::x"),
        ("#\x1b[1m#[error]x", "# #[error]x"),
        ("10 %\r 20 %\r::error::x", "| ::error::x"),
        ("one\n::error::two", "one\\n::error::two"),
        ("\u2028::error::x", "\\u2028::error::x"),
        ("\u00a0::error::x", "\\xa0::error::x"),
        ("\x00\x08bell\x07", "\\x00\\x08bell\\x07"),
        ("std::vector<int> a::b", "std::vector<int> a::b"),
        ("caf\udce9 \ud801", "caf\\xe9 \\ud801"),
        ("plain text — with ümlaut", "plain text — with ümlaut"),
        ("line\r\n", "line"),
        ("", ""),
    ],
)
def test_a_log_line_stays_text(said: str, shown: str) -> None:
    assert neutralise_log_line(said) == shown


def test_a_long_line_is_cut_and_says_so() -> None:
    assert neutralise_log_line("x" * (LONGEST_LOG_LINE + 5)) == "x" * LONGEST_LOG_LINE + "… (5 more characters)"


PIECES = [*":#[]\r\n\t \x1b\x00\u2028\xa0\x85", "error", "a", "\x1b[", "m", "::", "##["]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_nothing_becomes_a_command(said: str) -> None:
    shown = neutralise_log_line(said)
    assert not runner_reads_a_command(shown)
    assert shown.isprintable()
