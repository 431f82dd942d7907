"""Ignore rules on lists of paths; the table holds on a real engine too (tests/engine/test_context_engine.py)."""

from __future__ import annotations

import pytest

from ci_budget.core.context.ignore import LARGEST_FILE, LONGEST_LINE, IgnoreRules
from ci_budget.errors import ConfigError, ExitCode
from tests.ignore_table import TABLE, Row


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_keeps_what_the_engine_keeps(row: Row) -> None:
    rules = IgnoreRules.parse(row.rules)
    assert tuple(path for path in row.paths if not rules.ignores(path)) == row.kept


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\n!\n", ".dockerignore:2: a lone '!' is no pattern\n  Name after it what to keep."),
        (b"!/\n", ".dockerignore:1: a lone '!' is no pattern\n  Name after it what to keep."),
        (b"/!\n", ".dockerignore:1: a lone '!' is no pattern\n  Name after it what to keep."),
        (
            b"\n\n[\n",
            ".dockerignore:3: the pattern '[' is malformed: "
            "a character class is empty, not closed, or lacks the end of a range",
        ),
        (b"# a\n![a\n", ".dockerignore:2: the pattern '![a' is malformed: a character class is not closed"),
        (
            b"[a-]\n",
            ".dockerignore:1: the pattern '[a-]' is malformed: "
            "a character class is empty, not closed, or lacks the end of a range",
        ),
        (
            b"[]\n",
            ".dockerignore:1: the pattern '[]' is malformed: "
            "a character class is empty, not closed, or lacks the end of a range",
        ),
        (b"a\\\n", ".dockerignore:1: the pattern 'a\\\\' is malformed: a backslash at the end escapes nothing"),
        (
            b"[\xff]\n",
            ".dockerignore:1: the pattern '[\\udcff]' is malformed: "
            "a character class contains bytes that are not UTF-8",
        ),
        (
            b"a\tb\n",
            ".dockerignore:1: the pattern 'a\\tb' has a control character, which the engine refuses",
        ),
        (
            b"a\n" + b"b" * (LONGEST_LINE + 1),
            ".dockerignore:2: the line is longer than the 65535 bytes that the engine reads",
        ),
        (b"\n" * (LARGEST_FILE + 1), ".dockerignore: the ignore file is larger than 4194304 bytes"),
    ],
)
def test_refuses_with_file_and_line(data: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        IgnoreRules.parse(data)
    assert str(caught.value) == message
    assert caught.value.exit_code == ExitCode.CONFIG


@pytest.mark.parametrize(
    ("data", "path", "fault"),
    [
        (b"a\n[z-a]\n", "b", "the range z-a runs backwards"),
        (b"*\n![z-a]\n", "b", "the range z-a runs backwards"),
        (b"x\nd\\e\n", "b", "\\e is no escape sequence"),
        (b"x\n\\pX*\n", "b", "\\pX names no Unicode category"),
        (b"x\n[[:nix:]]\n", "b", "there is no character class [:nix:]"),
        (b"x\nb{3,2}*\n", "b", "{3,2} is no number of repetitions"),
        (b"x\nb{1001}*\n", "b", "{1001} is no number of repetitions"),
        (b"x\n*{2}\n", "b", "{2} repeats nothing that can be repeated"),
        (b"x\ny*[b\n", "b", "a character class is not closed"),
    ],
)
def test_refuses_when_a_path_is_compared(data: bytes, path: str, fault: str) -> None:
    rules = IgnoreRules.parse(data, "services/a/.dockerignore")
    with pytest.raises(ConfigError) as caught:
        rules.ignores(path)
    assert str(caught.value).startswith("services/a/.dockerignore:2: the pattern '")
    assert str(caught.value).endswith(f"' is malformed: {fault}")


def test_a_line_may_be_as_long_as_the_engine_reads() -> None:
    assert IgnoreRules.parse(b"b" * LONGEST_LINE + b"\na\n").ignores("a")


def test_control_characters_are_fine_beside_other_scripts() -> None:
    """The patterns are then encoded on their way."""
    assert IgnoreRules.parse("a\tb\né\n".encode()).ignores("a\tb")


def test_patterns_remember_their_lines() -> None:
    rules = IgnoreRules.parse(b"\xef\xbb\xbf# c\n\na/\r\n!/a/b\n")
    assert [(pattern.line, pattern.text, pattern.exception) for pattern in rules.patterns] == [
        (3, "a", False),
        (4, "a/b", True),
    ]
    assert rules.has_exceptions
    assert not IgnoreRules.parse(b"a\n").has_exceptions


def test_a_pattern_without_effect_on_a_directory_still_keeps_contents_back() -> None:
    """`a` is not remembered for the directory, as `a*` did its work; so `a/b` is sent, and arrives empty."""
    folder = IgnoreRules.parse(b"a*\n!a/b\na\n").root().enter("a")
    assert folder is not None
    assert folder.excluded
    assert not folder.ignores("b")
    assert folder.empties is not None
    assert folder.empties("b")
    assert folder.ignores("c")


def test_walks_only_where_something_can_be_kept() -> None:
    root = IgnoreRules.parse(b"*\n!a/*/c\n!d/e/**\nf\n").root()
    assert root.enter("b") is None
    assert root.enter("f") is None
    a, d = root.enter("a"), root.enter("d")
    assert a is not None
    assert d is not None
    assert a.uniform is True
    inner = a.enter("x")
    assert inner is not None
    assert inner.enter("c") is not None
    assert inner.enter("y") is None
    assert d.enter("x") is None
    assert d.enter("e") is not None


def test_patterns_from_elsewhere() -> None:
    rules = IgnoreRules.from_patterns(["*.md", "!README.md", " b "])
    assert [path for path in ("a.md", "README.md", "b", "c") if not rules.ignores(path)] == ["README.md", "c"]
    with pytest.raises(ConfigError, match="Dockerfile:7: the pattern '\\['"):
        IgnoreRules.from_patterns(["["], "Dockerfile", 7)
