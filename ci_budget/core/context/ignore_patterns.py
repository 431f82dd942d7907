"""One pattern of an ignore file: what moby's patternmatcher makes of it, as a fast and linear match.

A pattern is split where it can be: into what the directory of a path must look like and what its
last component must look like, so that a directory is looked at once and each file only by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ci_budget.core.context.expressions import NO_SLASH, SLASH, Atom, Item, Skip, literals, parse_expression
from ci_budget.core.context.matchers import MOST_LOOPS, Match, compile_items, count_loops, find_literal, join_expression

_EVERYTHING: tuple[Item, ...] = (Skip(newline=True), Atom(NO_SLASH, many=True))
# moby means to escape { | } too, but its table of characters ends before them
_ESCAPED = frozenset(".+()$")


def parse_pattern(pattern: str) -> tuple[tuple[Item, ...], ...]:
    """The alternatives of a cleaned pattern without its `!`. Raises BadExpressionError where Go's compiler would."""
    kind, expression = _translate(pattern.removeprefix("\ufeff"))
    if kind == "exact":
        return (literals(pattern),)
    if kind == "prefix":
        return ((*literals(pattern[:-2]), *_EVERYTHING),)
    if kind == "suffix":
        # counted in bytes, as the original does; only a leading byte order mark makes a difference
        rest = pattern.encode()[2:].decode("utf-8", "surrogateescape")
        if rest.startswith("/"):
            return ((Skip(newline=True), *literals(rest[1:])),)
        return ((*_EVERYTHING, *literals(rest)),)
    return parse_expression(expression)


def _translate(pattern: str) -> tuple[str, str]:
    """How patternmatcher compares (`exact`, `prefix`, `suffix`, `regexp`), and its Go expression."""
    kind, parts, at = "exact", ["^"], 0
    while at < len(pattern):
        char, first = pattern[at], at == 0
        at += 1
        if pattern.startswith("**", at - 1):
            at += 1
            at += pattern.startswith("/", at)
            at_end = at == len(pattern)
            parts.append(".*" if at_end else "(.*/)?")
            kind = "suffix" if first else "prefix" if at_end and kind == "exact" else "regexp"
        elif char in "*?":
            parts.append("[^/]*" if char == "*" else "[^/]")
            kind = "regexp"
        elif char == "\\" and at < len(pattern):
            parts.append(f"\\{pattern[at]}")
            at += 1
            kind = "regexp"
        elif char in "[]":
            parts.append(char)
            kind = "regexp"
        else:
            parts.append(f"\\{char}" if char in _ESCAPED else char)
    return kind, "".join((*parts, "$"))


@dataclass(frozen=True, kw_only=True)
class NameTest:
    """What the last component of a path must look like: one of three, the cheapest that is enough."""

    literal: str | None = None
    suffix: str | None = None
    expression: str | None = None


@dataclass(frozen=True, kw_only=True)
class PathTest:
    """A pattern, ready to compare.

    `split` is where the items of the last component begin, None where the pattern cannot be split; then
    only `whole` tells. `lead` is the text that every matching path starts with, `depth` the number of
    slashes in every matching path, if fixed.
    """

    alternatives: tuple[tuple[Item, ...], ...]
    split: int | None = None
    lead: str = ""
    depth: int | None = None

    @cached_property
    def place(self) -> Match | None:
        """Test of the path's directory, ending in a slash (empty for the root); None: any directory will do."""
        items = self.alternatives[0][: self.split]
        if self.split is None or items == (Skip(newline=True),):
            return None
        return _has_no_newline if items == (Skip(),) else compile_items(items)

    @cached_property
    def name(self) -> NameTest | None:
        """Test of the last component, for paths whose directory passes `place`."""
        return _test_name(self.alternatives[0][self.split :]) if self.split is not None else None

    @cached_property
    def whole(self) -> Match:
        """Test of a whole path."""
        tests = [compile_items(items) for items in self.alternatives]
        return tests[0] if len(tests) == 1 else lambda path: any(test(path) for test in tests)

    @cached_property
    def is_local(self) -> bool:
        """Whether it depends on the directory of a path at all (line breaks aside)."""
        return self.name is None or bool(self.lead) or self.depth is not None or self.place not in _ANYWHERE

    def reaches(self, directory: str) -> bool:
        """Whether something below this directory (ending in a slash) could match; True when in doubt."""
        if self.depth is not None and directory.count("/") > self.depth:
            return False
        return directory.startswith(self.lead) or self.lead.startswith(directory)


def _has_no_newline(directory: str) -> bool:
    return "\n" not in directory


_ANYWHERE = (None, _has_no_newline)


def build_test(alternatives: tuple[tuple[Item, ...], ...]) -> PathTest:
    """Take a parsed pattern apart."""
    if len(alternatives) > 1:
        return PathTest(alternatives=alternatives)
    (items,) = alternatives
    certain = next((at for at, item in enumerate(items) if find_literal([item]) is None), len(items))
    fixed = all(item == Atom(SLASH) or _is_within_name(item) for item in items)
    return PathTest(
        alternatives=alternatives,
        split=_find_split(items),
        lead=find_literal(items[:certain]) or "",
        depth=sum(item == Atom(SLASH) for item in items) if fixed else None,
    )


def _find_split(items: Sequence[Item]) -> int | None:
    """Where the last component begins: right behind a slash, or behind a `**` that starts at one."""
    split = len(items)
    while split and _is_within_name(items[split - 1]):
        split -= 1
    if count_loops(items[split:]) > MOST_LOOPS and not all(_is_plain(item) for item in items[split:]):
        return None
    at = split
    while at and isinstance(items[at - 1], Skip):
        at -= 1
    return split if at == 0 or items[at - 1] == Atom(SLASH) else None


def _is_within_name(item: Item) -> bool:
    return isinstance(item, Atom) and not item.chars.admits("/")


def _is_plain(item: Item) -> bool:
    """A single character, or a star over all of a name."""
    return isinstance(item, Atom) and not item.optional and (not item.many or item.chars == NO_SLASH)


def _test_name(items: Sequence[Item]) -> NameTest:
    literal = find_literal(items)
    if literal is not None:
        return NameTest(literal=literal)
    if items[0] == Atom(NO_SLASH, many=True) and (suffix := find_literal(items[1:])) is not None:
        return NameTest(suffix=suffix)
    if count_loops(items) <= MOST_LOOPS:
        return NameTest(expression=join_expression(items))
    return NameTest(expression=_glob_expression(items))


def _glob_expression(items: Sequence[Item]) -> str:
    """For plain items: what stands between two stars is taken where it first matches, in an atomic group,
    which keeps the match from going back and forth."""
    pieces: list[list[Item]] = [[]]
    for item in items:
        if isinstance(item, Atom) and item.many:
            pieces.append([])
        else:
            pieces[-1].append(item)
    first, *middle, last = [join_expression(piece) for piece in pieces]
    star = f"{NO_SLASH.expression}*"
    return "".join((first, *(f"(?>{star}?{piece})" for piece in middle), star, last))
