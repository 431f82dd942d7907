"""One pattern of an ignore file: what moby's patternmatcher makes of it, as a fast and linear match.

A pattern is split where it can be: into what the directory of a path must look like and what its
last component must look like, so that a directory is looked at once and each file only by its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ci_budget.core.expressions import (
    ANY,
    BEGINNING,
    END,
    NO_SLASH,
    WORD_EDGE,
    Anchor,
    Atom,
    CharSet,
    Item,
    Skip,
    literals,
    parse_expression,
)

Match = Callable[[str], bool]

_EVERYTHING: tuple[Item, ...] = (Skip(newline=True), Atom(NO_SLASH, many=True))
_ESCAPED = frozenset(".+()|{}$")
_SLASH = CharSet(((0x2F, 0x2F),))
_MOST_LOOPS = 2
_MOST_STATES = 4096


def parse_pattern(pattern: str) -> tuple[Item, ...]:
    """The items of a cleaned pattern without its `!`. Raises BadExpressionError where Go's compiler would."""
    kind, expression = _translate(pattern.removeprefix("\ufeff"))
    if kind == "exact":
        return literals(pattern)
    if kind == "prefix":
        return (*literals(pattern[:-2]), *_EVERYTHING)
    if kind == "suffix":
        # counted in bytes, as the original does; only a leading byte order mark makes a difference
        rest = pattern.encode("utf-8", "surrogateescape")[2:].decode("utf-8", "surrogateescape")
        return (Skip(newline=True), *literals(rest[1:])) if rest[:1] == "/" else (*_EVERYTHING, *literals(rest))
    return parse_expression(expression)


def _translate(pattern: str) -> tuple[str, str]:
    """How patternmatcher compares (`exact`, `prefix`, `suffix`, `regexp`), and its Go expression."""
    kind, parts, at = "exact", [], 0
    while at < len(pattern):
        char, first = pattern[at], at == 0
        at += 1
        if pattern.startswith("**", at - 1):
            at += 1
            at += pattern.startswith("/", at)
            if at < len(pattern):
                parts.append("(.*/)?")
                kind = "regexp"
            elif kind == "exact":
                kind = "prefix"
            else:
                parts.append(".*")
                kind = "regexp"
            if first:
                kind = "suffix"
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
    return kind, "".join(parts)


@dataclass(frozen=True)
class NameTest:
    """What the last component of a path must look like: one of three, the cheapest that is enough."""

    literal: str | None = None
    suffix: str | None = None
    expression: str | None = None


@dataclass(frozen=True)
class PathTest:
    """A pattern, ready to compare.

    `name` is None where the pattern cannot be split; then only `whole` tells. `lead` is the text that
    every matching path starts with, `depth` the number of slashes in every matching path, if fixed.
    """

    items: tuple[Item, ...]
    split: int | None
    lead: str
    depth: int | None

    @cached_property
    def place(self) -> Match | None:
        """Test of the path's directory, ending in a slash (empty for the root); None: any directory will do."""
        items = self.items[: self.split]
        return None if self.split is None or items == (Skip(newline=True),) else compile_items(items)

    @cached_property
    def name(self) -> NameTest | None:
        """Test of the last component, for paths whose directory passes `place`."""
        return _test_name(self.items[self.split :]) if self.split is not None else None

    @cached_property
    def whole(self) -> Match:
        """Test of a whole path."""
        return compile_items(self.items)

    def reaches(self, directory: str) -> bool:
        """Whether something below this directory (ending in a slash) could match; True when in doubt."""
        if self.depth is not None and directory.count("/") > self.depth:
            return False
        return directory.startswith(self.lead) or self.lead.startswith(directory)


def build_test(items: tuple[Item, ...]) -> PathTest:
    """Take a parsed pattern apart."""
    lead: list[str] = []
    for item in items:
        if not isinstance(item, Atom) or item.many or item.chars.literal is None:
            break
        lead.append(item.chars.literal)
    fixed = all(isinstance(item, Atom) and (item.chars == _SLASH or _within_name(item)) for item in items)
    depth = sum(item == Atom(_SLASH) for item in items) if fixed else None
    return PathTest(items=items, split=_find_split(items), lead="".join(lead), depth=depth)


def _find_split(items: Sequence[Item]) -> int | None:
    """Where the last component begins: right behind a slash, or behind a `**` that starts at one."""
    split = len(items)
    if _count_loops(items) > _MOST_LOOPS and not _has_plain_stars(items):
        return None
    while split and _within_name(items[split - 1]):
        split -= 1
    at = split
    while at and isinstance(items[at - 1], Skip):
        at -= 1
    return split if at == 0 or items[at - 1] == Atom(_SLASH) else None


def _within_name(item: Item) -> bool:
    return isinstance(item, Atom) and not item.chars.admits("/")


def _count_loops(items: Sequence[Item]) -> int:
    return sum(isinstance(item, Skip) or (isinstance(item, Atom) and item.many) for item in items)


def _literal(items: Sequence[Item]) -> str | None:
    """The one text that the items match, if there is but one."""
    chars = [item.chars.literal if isinstance(item, Atom) and not item.many else None for item in items]
    return "".join(char for char in chars if char is not None) if None not in chars else None


def _test_name(items: Sequence[Item]) -> NameTest:
    literal = _literal(items)
    if literal is not None:
        return NameTest(literal=literal)
    if items[0] == Atom(NO_SLASH, many=True) and (suffix := _literal(items[1:])) is not None:
        return NameTest(suffix=suffix)
    if _count_loops(items) <= _MOST_LOOPS:
        return NameTest(expression=_expression(items))
    return NameTest(expression=_glob_expression(items))


def _has_plain_stars(items: Sequence[Item]) -> bool:
    return all(item.chars == NO_SLASH for item in items if isinstance(item, Atom) and item.many)


def _glob_expression(items: Sequence[Item]) -> str:
    """For plain stars only: what stands between two of them is taken where it first matches, in an
    atomic group, which keeps the match from going back and forth."""
    pieces: list[list[Item]] = [[]]
    for item in items:
        if isinstance(item, Atom) and item.many:
            pieces.append([])
        else:
            pieces[-1].append(item)
    first, *middle, last = [_expression(piece) for piece in pieces]
    star = f"{NO_SLASH.expression}*"
    return "".join((first, *(f"(?>{star}?{piece})" for piece in middle), star, last))


def _expression(items: Sequence[Item]) -> str:
    """The items for Python's `re`."""
    parts = []
    for item in items:
        if isinstance(item, Skip):
            parts.append("(?s:(?:.*/)?)" if item.newline else "(?:.*/)?")
        elif isinstance(item, Anchor):
            parts.append(item.expression)
        else:
            parts.append(f"{item.chars.expression}{'*' if item.many else ''}")
    return "".join(parts)


def compile_items(items: Sequence[Item]) -> Match:
    """A test of whole texts, in time linear in the text (quadratic at most) whatever the pattern."""
    literal = _literal(items)
    if literal is not None:
        return literal.__eq__
    if _count_loops(items) <= _MOST_LOOPS:
        matches = re.compile(_expression(items)).fullmatch
        return lambda text: matches(text) is not None
    return Automaton(items).matches


class Automaton:
    """Matches items by following all possibilities at once; the sets of positions met are kept.

    Positions are the bits of an integer. Linear in the text, where `re` would try every way to share
    a text out among many stars.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        self._steps: list[Atom | Anchor | None] = []
        self._leaps: dict[int, int] = {}
        for item in items:
            if isinstance(item, Skip):
                self._leaps[len(self._steps)] = len(self._steps) + 3
                stretch = ANY if item.newline else CharSet(((0x0A, 0x0A),), negated=True)
                self._steps += [None, Atom(stretch, many=True), Atom(_SLASH)]
            else:
                self._steps.append(item)
        self._accept = 1 << len(self._steps)
        self._moves: dict[tuple[int, str, str], int] = {}
        self._anchored = any(isinstance(item, Anchor) for item in items)

    def matches(self, text: str) -> bool:
        """Whether the items match the whole text."""
        state, moves, before = 1, self._moves, ""
        for char in text:
            key = (state, before, char)
            following = moves.get(key)
            if following is None:
                if len(moves) >= _MOST_STATES:
                    moves.clear()
                following = moves[key] = self._move(self._close(state, before, char), char)
            if not following:
                return False
            state = following
            if self._anchored:
                before = "a" if _is_word(char) else "-"
        return bool(self._close(state, before, "") & self._accept)

    def _move(self, state: int, char: str) -> int:
        following = 0
        for position in _positions(state & ~self._accept):
            step = self._steps[position]
            if isinstance(step, Atom) and step.chars.admits(char):
                following |= 1 << (position if step.many else position + 1)
        return following

    def _close(self, state: int, before: str, after: str) -> int:
        """Add the positions that are reached without a character, between two characters; all are ahead."""
        waiting = state & ~self._accept
        while waiting:
            reached = 0
            for position in _positions(waiting):
                step = self._steps[position]
                if step is None or (isinstance(step, Atom) and step.many):
                    reached |= 1 << (position + 1)
                elif isinstance(step, Anchor) and _holds(step, before, after):
                    reached |= 1 << (position + 1)
                if position in self._leaps:
                    reached |= 1 << self._leaps[position]
            waiting = reached & ~state & ~self._accept
            state |= reached
        return state


def _positions(state: int) -> Iterator[int]:
    while state:
        bit = state & -state
        state ^= bit
        yield bit.bit_length() - 1


def _holds(anchor: Anchor, before: str, after: str) -> bool:
    """Whether an assertion is true between two characters; empty: there is none."""
    if anchor == BEGINNING:
        return not before
    if anchor == END:
        return not after
    return (_is_word(before) != _is_word(after)) is (anchor == WORD_EDGE)


def _is_word(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char == "_")
