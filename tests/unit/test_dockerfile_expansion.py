"""Variables, quotes and escapes in the words of a Dockerfile."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_budget.core.dockerfile.expansion import Expander, ExpansionError
from ci_budget.core.dockerfile.wildcards import cut_prefix, cut_suffix, replace

VALUES = {
    "A": "foobarbaz", "EMPTY": "", "V": "1.2.3", "P": "linux/arm/v7", "STAR": "a*b*c", "LINES": "one\ntwo", "_x1": "u",
}  # fmt: skip


@pytest.mark.parametrize(
    ("word", "result"),
    [
        ("plain", "plain"),
        ("$A", "foobarbaz"),
        ("${A}-$_x1-", "foobarbaz-u-"),
        ("$NONE.", "."),
        ("$1x", "x"),
        ("$$A", "A"),
        ("$", "$"),
        ("a$-b", "ab"),
        (r"\$A", "$A"),
        (r"a\b\\", "ab\\"),
        ("'$A'", "$A"),
        ('"$A"', "foobarbaz"),
        (r'"\$A \"x\" \y"', '$A "x" \\y'),
        ("${NONE:-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${NONE-x}", "x"),
        ("${A:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${NONE+x}", ""),
        ("${A:?no}", "foobarbaz"),
        ("${EMPTY?no}", ""),
        ("${NONE:-${A:+deep$V}}", "deep1.2.3"),
        ('${NONE:-"a b"}', "a b"),
        (r"${NONE:-a\}b}", "a}b"),
        ("${A#f*b}", "arbaz"),
        ("${A##f*b}", "az"),
        ("${A#x}", "foobarbaz"),
        ("${V%.*}", "1.2"),
        ("${V%%.*}", "1"),
        ("${V#?}", ".2.3"),
        (r"${STAR#a\*}", "b*c"),
        (r"${STAR%\**}", "a*b"),
        ("${LINES##*}", "\ntwo"),
        ("${V/./-}", "1-2.3"),
        ("${V//./-}", "1-2-3"),
        (r"${P//\//-}", "linux-arm-v7"),
        ("${A/b*/X}", "fooX"),
        ("${A//?/z}", "zzzzzzzzz"),
        ("${A//ba?/[$0]}", "foo[][]"),
        ("${V///-}", "-1-.-2-.-3-"),
        ("${NONE//a/b}", ""),
    ],
)
def test_words_expand_as_in_buildkit(word: str, result: str) -> None:
    assert Expander().expand(word, VALUES).text == result


def test_the_names_without_a_value_are_told() -> None:
    assert Expander().expand("$A$B${C:-$D}$B", VALUES).unset == ("B", "D", "C")
    assert Expander().expand("${E}", {"E": ""}).unset == ()


def test_the_escape_character_is_the_files_own() -> None:
    assert Expander(escape="`").expand(r"C:\x`$A", VALUES).text == r"C:\x$A"


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("${", "syntax error: missing '}'"),
        ("${A:-x", "syntax error: missing '}'"),
        ("${}", "syntax error: bad substitution"),
        ("${:x}", "syntax error: bad substitution"),
        ("${A!x}", "unsupported modifier (!) in substitution"),
        ("${A:=x}", "unsupported modifier (:=) in substitution"),
        ("${A:#x}", "unsupported modifier (:#) in substitution"),
        ("${A/x}", "syntax error: missing '/' in ${}"),
        (r"${A#\q}", r"invalid pattern (\q) in substitution: invalid escape '\q'"),
        ("${NONE:?say which}", "NONE: say which"),
        ("${EMPTY:?}", "EMPTY: is not allowed to be empty"),
        ("${NONE?}", "NONE: is not allowed to be unset"),
        ("'a", "unexpected end of statement while looking for matching single-quote"),
        ('"a', "unexpected end of statement while looking for matching double-quote"),
        ("${A:-" * 60, "substitutions are nested more than 50 deep"),
        ("$A" * 20_000, "it expands to more than 64 KiB"),
        ("${BIG//x/" + "y" * 1000 + "}", "it expands to more than 64 KiB"),
    ],
)
def test_what_cannot_be_expanded_says_why(word: str, reason: str) -> None:
    with pytest.raises(ExpansionError) as caught:
        Expander().expand(word, {**VALUES, "BIG": "x" * 1000})
    assert str(caught.value) == reason


def test_all_words_together_are_bounded() -> None:
    expander = Expander()
    with pytest.raises(ExpansionError, match="more than 4 MiB"):
        for _ in range(200):
            expander.expand("${BIG}", {"BIG": "x" * 60_000})


@given(value=st.text("ab\n", max_size=12), pattern=st.text("ab*?", max_size=6), greedy=st.booleans())
def test_patterns_match_as_regular_expressions_do(value: str, pattern: str, greedy: bool) -> None:
    expression = pattern.replace("?", ".").replace("*", ".*" if greedy else ".*?")
    prefix = re.match(expression, value)
    assert cut_prefix(value, pattern, greedy=greedy) == (value[prefix.end() :] if prefix else value)
    backwards = re.match(pattern[::-1].replace("?", ".").replace("*", ".*" if greedy else ".*?"), value[::-1])
    expected = value[: len(value) - backwards.end()] if backwards else value
    assert cut_suffix(value, pattern, greedy=greedy) == expected
    anywhere = pattern.replace("?", ".").replace("*", ".*")
    assert replace(value, pattern, "-", every=False, longest=1000) == re.sub(anywhere, "-", value, count=1)
    # Python, unlike Go, also replaces an empty match right behind another match.
    if not re.fullmatch(anywhere, ""):
        assert replace(value, pattern, "-", every=True, longest=1000) == re.sub(anywhere, "-", value)


def test_a_hostile_pattern_takes_no_exponential_time() -> None:
    assert cut_suffix("a" * 100_000, "*a" * 30 + "b", greedy=True) == "a" * 100_000
