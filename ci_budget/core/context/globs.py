"""Go's `path/filepath` patterns: `Clean`, and `Match` as BuildKit uses it on ignore files and COPY sources.

Paths are text decoded with `surrogateescape`, so that every file name has one; separators are `/`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator


class BadGlobError(ValueError):
    """The pattern is malformed: Go's `ErrBadPattern`."""


def clean_path(path: str) -> str:
    """The shortest equal path, as Go's `filepath.Clean`: `a//b/../c/` is `a/c`, the empty path `.`."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def check_glob(pattern: str) -> None:
    """Raise BadGlobError when Go's `filepath.Match(pattern, ".")` calls the pattern malformed.

    It looks at a pattern only as far as the name fits: what comes after is never checked.
    """
    name = "."
    for star, chunk in _split_chunks(pattern):
        matches = re.compile(_translate_chunk(chunk)).match
        found = next(filter(None, (matches(name, start) for start in range(len(name) + 1 if star else 1))), None)
        if found is None:
            return
        name = name[found.end() :]


def has_wildcards(component: str) -> bool:
    """Whether BuildKit expands this path component of a COPY source."""
    return re.search(r"[*?\[]", re.sub(r"\\.", "", component, flags=re.DOTALL)) is not None


def compile_glob(pattern: str) -> Callable[[str], bool]:
    """A test of whole paths by Go's `filepath.Match`; a malformed pattern matches nothing.

    As in Go, `*` and `?` stay within a component, a class does not, and what stands between two
    stars matches where it first can: the atomic groups keep the match linear.
    """
    try:
        chunks = [(star, _translate_chunk(chunk)) for star, chunk in _split_chunks(pattern)]
    except BadGlobError:
        return lambda _path: False
    parts = []
    for index, (star, expression) in enumerate(chunks):
        last = index == len(chunks) - 1
        if not star:
            parts.append(expression)
        else:
            parts.append(f"[^/]*?{expression}" if last else f"(?>[^/]*?{expression})")
    matches = re.compile("".join(parts)).fullmatch
    return lambda path: matches(path) is not None


def _split_chunks(pattern: str) -> Iterator[tuple[bool, str]]:
    """The pieces between stars, each with whether a star stands before it."""
    at = 0
    while at < len(pattern):
        start = at
        while at < len(pattern) and pattern[at] == "*":
            at += 1
        star, begin, in_class = at > start, at, False
        while at < len(pattern):
            char = pattern[at]
            if char == "\\":
                at += 1
            elif char == "[":
                in_class = True
            elif char == "]":
                in_class = False
            elif char == "*" and not in_class:
                break
            at += 1
        at = min(at, len(pattern))
        yield star, pattern[begin:at]


def _translate_chunk(chunk: str) -> str:
    """The chunk as a regular expression of `re`. Raises BadGlobError."""
    parts, at = [], 0
    while at < len(chunk):
        char = chunk[at]
        at += 1
        if char == "[":
            expression, at = _translate_class(chunk, at)
            parts.append(expression)
        elif char == "?":
            parts.append("[^/]")
        elif char == "\\":
            if at == len(chunk):
                raise BadGlobError("a backslash at the end escapes nothing")
            parts.append(re.escape(chunk[at]))
            at += 1
        else:
            parts.append(re.escape(char))
    return "".join(parts)


def _translate_class(chunk: str, at: int) -> tuple[str, int]:
    negated = chunk[at : at + 1] == "^"
    at += negated
    ranges: list[str] = []
    count = 0
    while not (count and chunk[at] == "]"):
        low, at = _class_char(chunk, at)
        high = low
        if chunk[at] == "-":
            high, at = _class_char(chunk, at + 1)
        if low <= high:
            ranges.append(f"\\U{ord(low):08x}-\\U{ord(high):08x}")
        count += 1
    if not ranges:
        return ("(?s:.)" if negated else "(?!)"), at + 1
    return f"[{'^' if negated else ''}{''.join(ranges)}]", at + 1


def _class_char(chunk: str, at: int) -> tuple[str, int]:
    """One end of a range; something, at least the closing bracket, has to follow it."""
    if at >= len(chunk) or chunk[at] in "-]":
        raise BadGlobError("a character class is empty, not closed, or lacks the end of a range")
    if chunk[at] == "\\":
        at += 1
    if at + 1 >= len(chunk):
        raise BadGlobError("a character class is not closed")
    if "\udc80" <= chunk[at] <= "\udcff":
        raise BadGlobError("a character class contains bytes that are not UTF-8")
    return chunk[at], at + 1
