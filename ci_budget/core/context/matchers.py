"""Items of an expression as a test of texts, in time that no pattern can make explode."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from ci_budget.core.context.expressions import ANY, BEGINNING, END, SLASH, WORD_EDGE, Anchor, Atom, CharSet, Item, Skip

Match = Callable[[str], bool]

MOST_LOOPS = 2
_MOST_STATES = 4096


def compile_items(items: Sequence[Item]) -> Match:
    """A test of whole texts, in time linear in the text (quadratic at most), whatever the items."""
    literal = find_literal(items)
    if literal is not None:
        return literal.__eq__
    if count_loops(items) <= MOST_LOOPS:
        matches = re.compile(join_expression(items)).fullmatch
        return lambda text: matches(text) is not None
    return Automaton(items).matches


def count_loops(items: Sequence[Item]) -> int:
    """How many items can take up more or less of a text."""
    return sum(isinstance(item, Skip) or (isinstance(item, Atom) and (item.many or item.optional)) for item in items)


def find_literal(items: Sequence[Item]) -> str | None:
    """The one text that the items match, if there is but one."""
    if count_loops(items):
        return None
    chars = [item.chars.literal if isinstance(item, Atom) else None for item in items]
    return "".join(char for char in chars if char is not None) if None not in chars else None


def join_expression(items: Sequence[Item]) -> str:
    """The items for Python's `re`."""
    parts = []
    for item in items:
        if isinstance(item, Skip):
            parts.append("(?s:(?:.*/)?)" if item.newline else "(?:.*/)?")
        elif isinstance(item, Anchor):
            parts.append(item.expression)
        else:
            parts.append(f"{item.chars.expression}{'*' if item.many else '?' if item.optional else ''}")
    return "".join(parts)


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
                self._steps += [None, Atom(stretch, many=True), Atom(SLASH)]
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
                if _is_free(self._steps[position], before, after):
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


def _is_free(step: Atom | Anchor | None, before: str, after: str) -> bool:
    """Whether a step can be taken without a character, between these two; empty: there is none."""
    if isinstance(step, Atom):
        return step.many or step.optional
    if step == BEGINNING:
        return not before
    if step == END:
        return not after
    return step is None or (_is_word(before) != _is_word(after)) is (step == WORD_EDGE)


def _is_word(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char == "_")
