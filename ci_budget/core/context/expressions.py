"""The part of Go's regular expressions that an ignore pattern can turn into, parsed into items.

moby's patternmatcher writes a pattern as a Go regular expression and hands it what the user wrote
between backslashes and brackets: `[!b]`, `[[:alpha:]]`, `\\d`, `[a-c*]` mean what Go makes of them.
Syntax: https://pkg.go.dev/regexp/syntax, with the flags that `regexp.Compile` sets.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

Ranges = tuple[tuple[int, int], ...]
HIGHEST = 0x10FFFF


class BadExpressionError(ValueError):
    """Go would refuse to compile the expression."""


@dataclass(frozen=True, slots=True)
class CharSet:
    """Code points, as inclusive ranges; `negated`: all others."""

    ranges: Ranges
    negated: bool = False

    def admits(self, char: str) -> bool:
        """Whether the set has this character."""
        code = ord(char)
        return any(low <= code <= high for low, high in self.ranges) is not self.negated

    @property
    def literal(self) -> str | None:
        """The one character of the set, if it has but one."""
        if not self.negated and len(self.ranges) == 1 and self.ranges[0][0] == self.ranges[0][1]:
            return chr(self.ranges[0][0])
        return None

    @property
    def expression(self) -> str:
        """The set for Python's `re`."""
        if self.literal is not None:
            return re.escape(self.literal)
        if not self.ranges:
            return "(?s:.)" if self.negated else "(?!)"
        body = "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in self.ranges)
        return f"[{'^' if self.negated else ''}{body}]"


ANY = CharSet((), negated=True)
SLASH = CharSet(((0x2F, 0x2F),))
NO_SLASH = CharSet(((0x2F, 0x2F),), negated=True)
NO_SLASH_OR_NEWLINE = CharSet(((0x0A, 0x0A), (0x2F, 0x2F)), negated=True)


@dataclass(frozen=True, slots=True)
class Atom:
    """One character of a set, any number of them (`many`), or one or none (`optional`)."""

    chars: CharSet
    many: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing, or anything up to a slash: `(.*/)?`. `newline`: a line break counts as a character too."""

    newline: bool = False


@dataclass(frozen=True, slots=True)
class Anchor:
    """An assertion, in the syntax of Python's `re`."""

    expression: str


BEGINNING = Anchor(r"\A")
END = Anchor(r"\Z")
WORD_EDGE = Anchor(r"(?a:\b)")
NO_WORD_EDGE = Anchor(r"(?a:\B)")
_ANCHORS = {"A": BEGINNING, "z": END, "b": WORD_EDGE, "B": NO_WORD_EDGE}

Item = Atom | Skip | Anchor


def literals(text: str) -> tuple[Item, ...]:
    """The items that match exactly this text."""
    return tuple(Atom(_single(char)) for char in text)


def parse_expression(text: str) -> tuple[tuple[Item, ...], ...]:
    """The alternatives of a Go expression, which is looked for anywhere in a path, as items that match whole paths.

    Raises BadExpressionError.
    """
    alternatives: list[list[Item]] = [[]]
    at, stacked = 0, False
    while at < len(text):
        items = alternatives[-1]
        repeat = _REPEAT.match(text, at)
        before, at, was_stacked, stacked = at, at + 1, stacked, False
        if repeat:
            if was_stacked or not items:
                raise BadExpressionError(f"{repeat[0]} repeats nothing that can be repeated")
            items += _repeat(items.pop(), repeat)
            at, stacked = repeat.end(), True
        elif text.startswith("(.*/)?", before):
            items.append(Skip())
            at, stacked = before + 6, True
        elif text.startswith(".*", before):
            items += [Skip(), Atom(NO_SLASH_OR_NEWLINE, many=True)]
            at, stacked = before + 2, True
        elif text[before] == "|":
            alternatives.append([])
        elif text[before] in "^$":
            items.append(BEGINNING if text[before] == "^" else END)
        elif text.startswith("\\Q", before):
            quoted, _, _ = text[before + 2 :].partition("\\E")
            items += literals(quoted)
            at = before + 2 + len(quoted) + 2
        elif text[before] == "\\" and text[at : at + 1] in _ANCHORS:
            items.append(_ANCHORS[text[at]])
            at += 1
        else:
            chars, at = _parse_set(text, before)
            stacked = text.startswith("*", at)
            items.append(Atom(chars, many=stacked))
            at += stacked
    return tuple(_anchor(items) for items in alternatives)


def _repeat(item: Item, repeat: re.Match[str]) -> list[Item]:
    """What `{2}`, `{2,}` or `{2,3}` makes of the item before it."""
    least = int(repeat[1])
    most = least if repeat[2] is None else int(repeat[3]) if repeat[3] else None
    if max(least, most or 0) > _MOST_REPEATS or (most is not None and most < least):
        raise BadExpressionError(f"{repeat[0]} is no number of repetitions")
    if not isinstance(item, Atom):
        return [item] if least else []
    rest = [Atom(item.chars, many=True)] if most is None else [Atom(item.chars, optional=True)] * (most - least)
    return [*[item] * least, *rest]


def _anchor(items: list[Item]) -> tuple[Item, ...]:
    """Whole paths only: where the items are not held to an end, anything may stand there."""
    start = next((at for at, item in enumerate(items) if item != BEGINNING), len(items))
    held = bool(items) and items[-1] == END
    body = items[start : len(items) - held]
    anything = Atom(ANY, many=True)
    return (*([] if start else [anything]), *body, *([] if held else [anything]))


_REPEAT = re.compile(r"\{(0|[1-9][0-9]*)(,(0|[1-9][0-9]*)?)?\}")
_MOST_REPEATS = 1000
_DIGIT: Ranges = ((0x30, 0x39),)
_SPACE: Ranges = ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20))
_WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_PERL = {"d": _DIGIT, "s": _SPACE, "w": _WORD}
_POSIX: dict[str, Ranges] = {
    "alnum": ((0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)),
    "alpha": ((0x41, 0x5A), (0x61, 0x7A)),
    "ascii": ((0x00, 0x7F),),
    "blank": ((0x09, 0x09), (0x20, 0x20)),
    "cntrl": ((0x00, 0x1F), (0x7F, 0x7F)),
    "digit": _DIGIT,
    "graph": ((0x21, 0x7E),),
    "lower": ((0x61, 0x7A),),
    "print": ((0x20, 0x7E),),
    "punct": ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)),
    "space": ((0x09, 0x0D), (0x20, 0x20)),
    "upper": ((0x41, 0x5A),),
    "word": _WORD,
    "xdigit": ((0x30, 0x39), (0x41, 0x46), (0x61, 0x66)),
}
_CONTROLS = {"a": 0x07, "f": 0x0C, "n": 0x0A, "r": 0x0D, "t": 0x09, "v": 0x0B}


def _single(char: str) -> CharSet:
    return CharSet(((ord(char), ord(char)),))


def _parse_set(text: str, at: int) -> tuple[CharSet, int]:
    if text[at] == "[":
        return _parse_class(text, at + 1)
    if text[at] == "\\":
        shorthand = _parse_shorthand(text, at)
        if shorthand is not None:
            return CharSet(shorthand), at + (3 if text[at + 1] in "pP" else 2)
        code, at = _parse_escape(text, at + 1)
        return CharSet(((code, code),)), at
    return _single(text[at]), at + 1


def _parse_class(text: str, at: int) -> tuple[CharSet, int]:
    negated = text.startswith("^", at)
    at += negated
    ranges: list[tuple[int, int]] = []
    first = True
    while first or not text.startswith("]", at):
        first = False
        named = re.compile(r"\[:(.*?):\]", re.DOTALL).match(text, at)
        shorthand = _parse_shorthand(text, at)
        if named:
            name = named[1].removeprefix("^")
            if name not in _POSIX:
                raise BadExpressionError(f"there is no character class {named[0]}")
            ranges += _complement(_POSIX[name]) if named[1].startswith("^") else _POSIX[name]
            at = named.end()
        elif shorthand is not None:
            ranges += shorthand
            at += 3 if text[at + 1] in "pP" else 2
        else:
            low, at = _class_char(text, at)
            high = low
            if text.startswith("-", at) and text[at + 1 : at + 2] not in ("]", ""):
                high, at = _class_char(text, at + 1)
            if high < low:
                raise BadExpressionError(f"the range {chr(low)}-{chr(high)} runs backwards")
            ranges.append((low, high))
    return CharSet(tuple(ranges), negated), at + 1


def _class_char(text: str, at: int) -> tuple[int, int]:
    if at >= len(text):
        raise BadExpressionError("a character class is not closed")
    if text[at] == "\\":
        return _parse_escape(text, at + 1)
    return ord(text[at]), at + 1


def _parse_shorthand(text: str, at: int) -> Ranges | None:
    r"""The set of `\d`, `\D`, `\pL` and the like at this place, or None."""
    if not text.startswith("\\", at):
        return None
    letter = text[at + 1 : at + 2]
    if letter.lower() in _PERL:
        ranges = _PERL[letter.lower()]
    elif letter in ("p", "P"):
        category = text[at + 2 : at + 3]
        if category not in tuple("CLMNPSZ"):
            raise BadExpressionError(f"\\{letter}{category} names no Unicode category")
        ranges = _unicode_category(category)
    else:
        return None
    return _complement(ranges) if letter.isupper() else ranges


def _parse_escape(text: str, at: int) -> tuple[int, int]:
    char = text[at : at + 1]
    octal = re.compile("0[0-7]{0,2}|[1-7][0-7]{1,2}").match(text, at)
    if octal:
        return int(octal[0], 8), octal.end()
    if char == "x" and (braced := re.compile(r"\{([0-9A-Fa-f]+)\}").match(text, at + 1)):
        if int(braced[1], 16) <= HIGHEST:
            return int(braced[1], 16), braced.end()
    elif char == "x" and (digits := re.compile("[0-9A-Fa-f]{2}").match(text, at + 1)):
        return int(digits[0], 16), digits.end()
    if char in _CONTROLS:
        return _CONTROLS[char], at + 1
    if char.isascii() and char and not char.isalnum():
        return ord(char), at + 1
    raise BadExpressionError(f"\\{char} is no escape sequence")


def _complement(ranges: Ranges) -> Ranges:
    gaps, at = [], 0
    for low, high in sorted(ranges):
        if at < low:
            gaps.append((at, low - 1))
        at = max(at, high + 1)
    return (*gaps, (at, HIGHEST)) if at <= HIGHEST else tuple(gaps)


@cache
def _unicode_category(letter: str) -> Ranges:
    ranges: list[tuple[int, int]] = []
    for code in range(HIGHEST + 1):
        if unicodedata.category(chr(code))[0] == letter:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1] = (ranges[-1][0], code)
            else:
                ranges.append((code, code))
    return tuple(ranges)
