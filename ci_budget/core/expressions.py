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
NO_SLASH = CharSet(((0x2F, 0x2F),), negated=True)
NO_SLASH_OR_NEWLINE = CharSet(((0x0A, 0x0A), (0x2F, 0x2F)), negated=True)


@dataclass(frozen=True, slots=True)
class Atom:
    """One character of a set, or (`many`) any number of them."""

    chars: CharSet
    many: bool = False


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


def parse_expression(text: str) -> tuple[Item, ...]:
    """The items of a Go expression, without its outer `^` and `$`. Raises BadExpressionError."""
    items: list[Item] = []
    at = 0
    while at < len(text):
        if text.startswith("(.*/)?", at):
            items.append(Skip())
            at += 6
        elif text.startswith(".*", at):
            items += [Skip(), Atom(NO_SLASH_OR_NEWLINE, many=True)]
            at += 2
        elif text[at] == "^":
            items.append(BEGINNING)
            at += 1
        elif text.startswith("\\Q", at):
            quoted, closed, _ = text[at + 2 :].partition("\\E")
            if not closed:
                # the quotation swallows the end anchor too: nothing holds the match to the end any more
                return (*items, *literals(f"{quoted}$"), Atom(ANY, many=True))
            items += literals(quoted)
            at += len(quoted) + 4
        elif text[at] == "\\" and text[at + 1 : at + 2] in _ANCHORS:
            items.append(_ANCHORS[text[at + 1]])
            at += 2
        else:
            chars, at = _parse_set(text, at)
            many = text.startswith("*", at)
            items.append(Atom(chars, many))
            at += many
    return tuple(items)


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
    if char == "x" and (digits := re.compile("[0-9A-Fa-f]{2}").match(text, at + 1)):
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
