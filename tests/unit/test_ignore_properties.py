"""Whatever the bytes are: ignore rules are read or refused, and compare in bounded time.

`CI_BUDGET_PROPERTY_EXAMPLES=10000` tries many more.
"""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_budget.core.context.expressions import Atom, BadExpressionError, Item, Skip, parse_expression
from ci_budget.core.context.globs import clean_path, compile_glob
from ci_budget.core.context.ignore import IgnoreRules
from ci_budget.core.context.ignore_folders import IgnoreFolder, PlainFolder, QuickFolder
from ci_budget.core.context.ignore_patterns import build_test, parse_pattern
from ci_budget.core.context.matchers import Automaton, join_expression
from ci_budget.errors import ConfigError

EXAMPLES = int(os.environ.get("CI_BUDGET_PROPERTY_EXAMPLES", "60"))
PIECES = (
    "a", "b", "c", "/", "*", "**", "?", "!", "[", "]", "[^a]", "[a-c]", "\\", "|", "{2}", "{0,2}", "{1,}", "^", "$",
    ".", "#", " ", "\\d", "\\b", "\\Q", "\\E", "[[:alpha:]]", "\ufeff", "é", "\n", "\r\n", "a/b", "**/", "/**", "-",
)  # fmt: skip
NAMES = ("a", "b", "c", "ab", "a.b", "é", "1", "a b", "a\nb")

rules_text = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
plain_pattern = st.lists(
    st.sampled_from(("a", "b", "c", "/", "*", "**", "?", "[ab]", ".", "ab")), min_size=1, max_size=7
)
plain_line = st.tuples(st.sampled_from(("", "", "!")), plain_pattern.map("".join)).map("".join)
plain_rules = st.lists(plain_line, min_size=1, max_size=8).map("\n".join)
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4)


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.one_of(st.binary(max_size=80), rules_text.map(str.encode)), path=paths)
def test_any_bytes_are_read_or_refused(data: bytes, path: list[str]) -> None:
    try:
        rules = IgnoreRules.parse(data)
        rules.ignores("/".join(path))
    except ConfigError as error:
        assert error.file == ".dockerignore"
        assert error.line is None or 1 <= error.line <= data.count(b"\n") + 1
        return
    assert len(rules.patterns) <= data.count(b"\n") + 1


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=st.one_of(plain_rules, rules_text), path=paths)
def test_quick_and_plain_folders_agree(text: str, path: list[str]) -> None:
    """The fast walk gives what the engine's own way gives, at every step down."""
    try:
        rules = IgnoreRules.parse(text.encode())
    except ConfigError:
        return
    quick, plain = rules.root(), open_plain(rules)
    if not isinstance(quick, QuickFolder):
        return
    compare(quick, plain, path)


def open_plain(rules: IgnoreRules) -> PlainFolder:
    none = (False,) * len(rules.patterns)
    return PlainFolder(patterns=rules.patterns, file=None, prefix="", held=none, known=none, excluded=False)


def compare(quick: IgnoreFolder, plain: IgnoreFolder, path: list[str]) -> None:
    for name in (path[0], *NAMES):
        ignored = plain.ignores(name)
        assert quick.ignores(name) is ignored
        assert quick.uniform in (None, ignored)
        if not ignored:
            assert (quick.empties is not None and quick.empties(name)) is (
                plain.empties(name) if plain.empties else False
            )
    inner_quick, inner_plain = quick.enter(path[0]), plain.enter(path[0])
    if inner_plain is None:
        assert inner_quick is None
    elif inner_quick is None:
        assert_all_ignored(inner_plain, path[1:])
    else:
        assert inner_quick.excluded is inner_plain.excluded
        if len(path) > 1:
            compare(inner_quick, inner_plain, path[1:])


def assert_all_ignored(plain: IgnoreFolder, path: list[str]) -> None:
    """The quick walk turned back where the plain one goes on: nothing below may be kept."""
    assert plain.excluded
    assert all(plain.ignores(name) for name in NAMES)
    inner = plain.enter(path[0]) if path else None
    if inner is not None:
        assert_all_ignored(inner, path[1:])


@settings(max_examples=EXAMPLES, deadline=None)
@given(pattern=st.lists(st.sampled_from(PIECES), max_size=10).map("".join), path=paths)
def test_the_automaton_and_re_agree(pattern: str, path: list[str]) -> None:
    try:
        alternatives = parse_pattern(pattern)
    except BadExpressionError:
        return
    text = "/".join(path)
    for items in alternatives:
        expected = re.fullmatch(join_expression(items), text) is not None
        assert Automaton(items).matches(text) is expected
        test = build_test((items,))
        assert test.whole(text) is expected


MANY = 300


@pytest.mark.parametrize(
    ("pattern", "path", "ignored"),
    [
        ("**a" * 12, "a/" * MANY + "a", True),
        ("**a" * 12 + "b", "a" * MANY, False),
        ("**a/" * 12 + "b", "a/" * MANY + "c", False),
        ("*a" * 20 + "b", "a" * MANY, False),
        ("d/" + "*a" * 20, "d/" + "a" * MANY, True),
        ("*/" * 30 + "b", "a/" * 30 + "c", False),
        ("**/" + "*a*" * 10 + "/**/b", "a/" * MANY + "c", False),
        ("[^x]*" * 20 + "y", "a" * MANY, False),
        ("a{0,1000}" * 5 + "*b", "a" * MANY, False),
        ("\\b**a" * 10 + "b", "a/" * MANY, False),
        ("*a|" * 30 + "x", "b" * MANY, False),
        ("?" * MANY + "*", "a" * MANY, True),
    ],
)
def test_many_stars_do_not_explode(pattern: str, path: str, ignored: bool) -> None:
    """A matcher that tries one way after the other would not come back from most of these; the suite has a timeout."""
    rules = IgnoreRules.from_patterns([pattern])
    assert rules.ignores(path.rstrip("/")) is ignored


def test_a_glob_with_many_stars_does_not_explode() -> None:
    assert not compile_glob("*a" * 30 + "b")("a" * MANY)


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [("", "."), ("a//b/../c/", "a/c"), ("//a", "/a"), ("/..", "/"), ("./a/.", "a"), ("../a", "../a"), ("!/", "!")],
)
def test_clean_paths(path: str, cleaned: str) -> None:
    assert clean_path(path) == cleaned


def test_expressions_become_items() -> None:
    (items,) = parse_expression("^a(.*/)?[^/]*$")
    kinds: list[type[Item]] = [type(item) for item in items]
    assert kinds == [Atom, Skip, Atom]
