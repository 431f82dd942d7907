"""Expansion of `$name` and `${name...}` in the words of a Dockerfile, quotes and escapes included.

Follows BuildKit's `frontend/dockerfile/shell/lex.go` (`Lex.ProcessWord`): `-`, `+`, `?` with and without `:`,
`#`, `##`, `%`, `%%`, `/` and `//`. Input and results are bounded, because a few lines can ask for gigabytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ci_budget.core.dockerfile.wildcards import cut_prefix, cut_suffix, replace

MAX_VALUE = 64 * 1024
MAX_PRODUCED = 4 * 1024 * 1024
_MATCHING_COST = 4
_MAX_DEPTH = 50
_SPECIAL = frozenset("@*#?-$!0")
_END = ""


class ExpansionError(ValueError):
    """A word that cannot be expanded; the text says why, in BuildKit's words where it has some."""


@dataclass(frozen=True, kw_only=True)
class Expanded:
    """A word after expansion, and the names in it that had no value (each became nothing)."""

    text: str
    unset: tuple[str, ...]


@dataclass(kw_only=True)
class Expander:
    """Expands the words of one Dockerfile. `escape` is its escape character. What it may do in all is bounded."""

    escape: str = "\\"
    produced: int = field(default=0, init=False)

    def expand(self, word: str, values: Mapping[str, str]) -> Expanded:
        """`word` with its variables replaced from `values`, quotes removed and escapes resolved.

        Raises ExpansionError for a malformed `${...}`, an unclosed quote, a `${name:?message}` that strikes,
        and where the result grows beyond what any build could use.
        """
        if not any(char in word for char in ("$", "'", '"', self.escape)):
            return Expanded(text=word, unset=())
        scan = _Scan(word=word, values=values, escape=self.escape)
        text = scan.until(_END, raw=False)
        self.produced += len(text) + _MATCHING_COST * scan.matched
        if self.produced > MAX_PRODUCED:
            raise ExpansionError("the variables of this Dockerfile expand to more than 4 MiB of text")
        return Expanded(text=text, unset=tuple(dict.fromkeys(scan.unset)))


@dataclass(kw_only=True)
class _Scan:
    """One pass over a word."""

    word: str
    values: Mapping[str, str]
    escape: str
    at: int = 0
    depth: int = 0
    raw: bool = False
    matched: int = 0
    unset: list[str] = field(default_factory=list)

    def peek(self) -> str:
        return self.word[self.at : self.at + 1]

    def next(self) -> str:
        char = self.peek()
        self.at += 1
        return char

    def until(self, stop: str, *, raw: bool) -> str:
        """The expanded text up to `stop`, which is consumed; with `raw` the escape characters stay in."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ExpansionError(f"substitutions are nested more than {_MAX_DEPTH} deep")
        before, self.raw = self.raw, raw
        parts = _Parts()
        while (char := self.peek()) != _END:
            if char == stop:
                break
            if char == "$":
                parts.add(self.dollar())
            elif char == "'":
                parts.add(self.single_quoted())
            elif char == '"':
                parts.add(self.double_quoted())
            else:
                parts.add(self.plain())
        if stop != _END and self.next() == _END:
            raise ExpansionError(f"unexpected end of statement while looking for matching {stop}")
        self.raw = before
        self.depth -= 1
        return parts.text()

    def plain(self) -> str:
        char = self.next()
        if char != self.escape:
            return char
        escaped = self.next()
        return char + escaped if self.raw else escaped

    def single_quoted(self) -> str:
        end = self.word.find("'", self.at + 1)
        if end < 0:
            raise ExpansionError("unexpected end of statement while looking for matching single-quote")
        text, self.at = self.word[self.at + 1 : end], end + 1
        return text

    def double_quoted(self) -> str:
        self.at += 1
        parts = _Parts()
        while (char := self.peek()) != '"':
            if char == _END:
                raise ExpansionError("unexpected end of statement while looking for matching double-quote")
            if char == "$":
                parts.add(self.dollar())
                continue
            self.at += 1
            if char == self.escape:
                if self.raw:
                    parts.add(char)
                following = self.peek()
                if following == _END:
                    continue
                if following in ('"', "$", self.escape):
                    char = self.next()
            parts.add(char)
        self.at += 1
        return parts.text()

    def dollar(self) -> str:
        self.at += 1
        if self.peek() != "{":
            name = self.name()
            return self.value(name)[0] if name else "$"
        self.at += 1
        if self.peek() == _END:
            raise ExpansionError("syntax error: missing '}'")
        if self.peek() in "{}:":
            raise ExpansionError("syntax error: bad substitution")
        name = self.name()
        sign = self.next()
        if sign == "}":
            return self.value(name)[0]
        if sign == "/":
            return self.replaced(name)
        colon = sign == ":"
        if colon:
            sign = self.next()
        shown = (":" if colon else "") + sign
        if not colon and (sign == _END or sign not in "+-?#%"):
            raise ExpansionError(f"unsupported modifier ({shown}) in substitution")
        if colon and sign in ("#", "%"):
            raise ExpansionError(f"unsupported modifier ({shown}) in substitution")
        word = self.enclosed("}", raw=sign in ("#", "%"))
        return self.substituted(name, sign, word, colon=colon)

    def substituted(self, name: str, sign: str, word: str, *, colon: bool) -> str:
        value, is_set = self.value(name)
        missing = not is_set or (colon and not value)
        if sign == "-":
            return word if missing else value
        if sign == "+":
            return "" if missing else word
        if sign == "?":
            if missing:
                state = "empty" if is_set else "unset"
                raise ExpansionError(f"{name}: {word or f'is not allowed to be {state}'}")
            return value
        if sign in ("#", "%"):
            greedy = word.startswith(sign)
            cut = cut_prefix if sign == "#" else cut_suffix
            self.matched += len(value)
            try:
                return cut(value, word[1:] if greedy else word, greedy=greedy)
            except ValueError as error:
                raise ExpansionError(str(error)) from error
        raise ExpansionError(f"unsupported modifier (:{sign}) in substitution")

    def replaced(self, name: str) -> str:
        every = self.peek() == "/"
        if every:
            self.at += 1
        pattern = self.enclosed("/", raw=True, what="'/' in ${}")
        replacement = self.enclosed("}", raw=True)
        value, _ = self.value(name)
        self.matched += len(value)
        try:
            return replace(value, pattern, replacement, every=every, longest=MAX_VALUE)
        except ValueError as error:
            raise ExpansionError(str(error)) from error

    def enclosed(self, stop: str, *, raw: bool, what: str = "'}'") -> str:
        try:
            return self.until(stop, raw=raw)
        except ExpansionError as error:
            if self.peek() == _END and "unexpected end" in str(error):
                raise ExpansionError(f"syntax error: missing {what}") from error
            raise

    def name(self) -> str:
        start = self.at
        first = self.peek()
        if first.isdecimal():
            while self.peek().isdecimal():
                self.at += 1
        elif first and first in _SPECIAL:
            self.at += 1
        else:
            while (char := self.peek()) and (char.isalpha() or char.isdecimal() or char == "_"):
                self.at += 1
        return self.word[start : self.at]

    def value(self, name: str) -> tuple[str, bool]:
        found = self.values.get(name)
        if found is None:
            self.unset.append(name)
            return "", False
        return found, True


@dataclass(kw_only=True)
class _Parts:
    """Text in pieces, refused when it grows too long."""

    pieces: list[str] = field(default_factory=list)
    length: int = 0

    def add(self, piece: str) -> None:
        self.length += len(piece)
        if self.length > MAX_VALUE:
            raise ExpansionError(f"it expands to more than {MAX_VALUE // 1024} KiB")
        self.pieces.append(piece)

    def text(self) -> str:
        return "".join(self.pieces)
