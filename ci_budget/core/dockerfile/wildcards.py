"""The `*` and `?` patterns of `${name#pattern}`, `${name%pattern}` and `${name/pattern/text}`.

BuildKit turns them into regular expressions of Go, which run in linear time; Python's would not on hostile input.
Here a bit vector holds every position of the pattern that the text read so far can have reached.
`?` and `*` match any character but a line break.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_GROUP = re.compile(r"\$(?:\$|\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))")


@dataclass(frozen=True, kw_only=True)
class _Pattern:
    """Tokens to match in order (None: any character); `stars` has bit i set where a `*` stands before token i."""

    tokens: tuple[str | None, ...]
    stars: int

    def reversed(self) -> _Pattern:
        size = len(self.tokens)
        stars = sum(1 << (size - at) for at in range(size + 1) if self.stars >> at & 1)
        return _Pattern(tokens=self.tokens[::-1], stars=stars)

    def run(self, text: str, start: int = 0, *, anywhere: bool = False) -> Iterator[int]:
        """The ends of matches that begin at `start`, or (with `anywhere`) at any position from there on."""
        masks, wild = _masks(self.tokens)
        accept = 1 << len(self.tokens)
        reached = 1
        if reached & accept:
            yield start
        for at in range(start, len(text)):
            char = text[at]
            stay = 0 if char == "\n" else reached & self.stars
            mask = masks.get(char, 0) | (0 if char == "\n" else wild)
            reached = (reached & mask) << 1 | stay | (1 if anywhere else 0)
            if not reached:
                return
            if reached & accept:
                yield at + 1


def cut_prefix(value: str, pattern: str, *, greedy: bool) -> str:
    """`value` without the shortest (`greedy`: longest) start that matches. Raises ValueError for a bad pattern."""
    return value[_end(_parse(pattern), value, greedy=greedy) :]


def cut_suffix(value: str, pattern: str, *, greedy: bool) -> str:
    """`value` without the shortest (`greedy`: longest) end that matches. Raises ValueError for a bad pattern."""
    return value[: len(value) - _end(_parse(pattern).reversed(), value[::-1], greedy=greedy)]


def replace(value: str, pattern: str, replacement: str, *, every: bool, longest: int) -> str:
    """`value` with the first (`every`: each) longest match of `pattern` replaced.

    With `every`, `$0` and `$name` in the replacement are Go's templates, as in BuildKit. Raises ValueError for a bad
    pattern and where the result has more than `longest` characters.
    """
    parsed = _parse(pattern)
    starts = {len(value) - end for end in parsed.reversed().run(value[::-1], anywhere=True)}
    pieces: list[str] = []
    length = at = copied = 0
    previous_end = -1
    while at <= len(value):
        if at not in starts:
            at += 1
            continue
        end = at + _end(parsed, value[at:], greedy=True) if parsed.stars else at + len(parsed.tokens)
        if end == at == previous_end:
            at += 1
            continue
        inserted = _from_template(replacement, value[at:end]) if every else replacement
        pieces += (value[copied:at], inserted)
        length += at - copied + len(inserted)
        if length > longest:
            raise ValueError(f"it expands to more than {longest // 1024} KiB")
        copied = previous_end = end
        at = max(end, at + 1)
        if not every:
            break
    return "".join((*pieces, value[copied:]))


def _end(pattern: _Pattern, text: str, *, greedy: bool) -> int:
    end = 0
    for reached in pattern.run(text):
        end = reached
        if not greedy:
            break
    return end


def _parse(pattern: str) -> _Pattern:
    tokens: list[str | None] = []
    stars = at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            stars |= 1 << len(tokens)
        elif char == "?":
            tokens.append(None)
        elif char == "\\":
            escaped = pattern[at : at + 1]
            if escaped not in ("}", "/", "*", "?", "\\"):
                raise ValueError(f"invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'")
            at += 1
            tokens.append(escaped)
        else:
            tokens.append(char)
    return _Pattern(tokens=tuple(tokens), stars=stars)


def _masks(tokens: tuple[str | None, ...]) -> tuple[dict[str, int], int]:
    """For each character the bits of the tokens that are this character, and the bits of those that are any."""
    masks: dict[str, int] = {}
    wild = 0
    for at, token in enumerate(tokens):
        if token is None:
            wild |= 1 << at
        else:
            masks[token] = masks.get(token, 0) | 1 << at
    return masks, wild


def _from_template(template: str, matched: str) -> str:
    def filled(group: re.Match[str]) -> str:
        if group[0] == "$$":
            return "$"
        return matched if (group[1] or group[2]) == "0" else ""

    return _GROUP.sub(filled, template)
