"""BuildKit's own Dockerfile parser, written in Go: the PyPI package `dockerfile` (a shared object of 4 MB).

It is imported at the first use: less than 10 ms and 5 MB of memory, measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_MOST_TRIES = 10_000
_MOST_TRIED_BYTES = 4 * 1024 * 1024
_HEREDOC = re.compile(rb"<<-?[ \t]*([^\s<]+)")
_UNTERMINATED = "unterminated heredoc"

# The parser cuts words byte by byte, ends its input at NUL, and its binding fails on text that is no UTF-8.
# So it is given ASCII: every other byte as DEL and two hexadecimal digits. Unicode blanks stay, they separate words.
_FOREIGN = re.compile(
    rb"(\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80)|[\x00\x7f-\xff]"
)
_DISGUISED = re.compile(rb"\x7f([0-9a-f]{2})")


@dataclass(frozen=True, kw_only=True)
class Command:
    """One instruction as the parser sees it: name in lower case, flags and words apart, 1-based inclusive lines.

    `inner` is the instruction inside an ONBUILD, in lower case, else empty. `heredocs` are (name, content).
    """

    name: str
    inner: str
    arguments: tuple[str, ...]
    flags: tuple[str, ...]
    is_json: bool
    heredocs: tuple[tuple[str, str], ...]
    line: int
    end_line: int
    original: str


def parse_commands(text: bytes) -> list[Command]:
    """The instructions of a Dockerfile. Raises ValueError with the parser's message."""
    return [_command(found) for found in _parse(text)]


def failing_line(lines: Sequence[bytes], escape: str) -> int | None:
    """The first line (1-based) of the first instruction that the parser refuses; its own messages name no line.

    None where that would take long to find out, or where no single instruction is to blame.
    """
    sign = re.escape(escape.encode())
    continued = re.compile(rb"(?:^|[^" + sign + rb"])" + sign + rb"[ \t]*\r*$")
    start = tries = tried = 0
    while start < len(lines):
        if _is_empty(lines[start]):
            start += 1
            continue
        end = start + 1
        last = lines[start]
        while end < len(lines) and continued.search(last):
            last = last if _is_empty(lines[end]) else lines[end]
            end += 1
        ends = iter(_heredoc_ends(lines, start, end))
        while (error := _complaint(lines[start:end])) == _UNTERMINATED:
            longer = next(ends, None)
            if longer is None:
                break
            end = longer
            tries += 1
            tried += sum(map(len, lines[start:end]))
            if tries > _MOST_TRIES or tried > _MOST_TRIED_BYTES:
                return None
        if error:
            return start + 1
        start = end
    return None


def _heredoc_ends(lines: Sequence[bytes], start: int, end: int) -> Iterator[int]:
    """Where heredocs that begin in an instruction's lines may end: behind each line that is one of their words."""
    words = {word.strip(b"'\"\\") for line in lines[start:end] for word in _HEREDOC.findall(line)}
    return (at + 1 for at in range(end, len(lines)) if lines[at].strip(b"\t\r") in words)


def _complaint(lines: Sequence[bytes]) -> str | None:
    try:
        _parse(b"\n".join(lines))
    except ValueError as error:
        return str(error)
    return None


def _is_empty(line: bytes) -> bool:
    content = line.strip()
    return not content or content.startswith(b"#")


def _parse(text: bytes) -> Sequence[Any]:
    import dockerfile  # not at the top: most commands never need it

    disguised = _FOREIGN.sub(lambda match: match[1] or b"\x7f%02x" % match[0][0], text)
    try:
        return tuple(dockerfile.parse_string(disguised.decode("utf-8")))
    except dockerfile.GoParseError as error:
        raise ValueError(_plain(str(error))) from error


def _command(found: Any) -> Command:
    return Command(
        name=_plain(found.cmd or "").lower(),
        inner=_plain(found.sub_cmd or "").lower(),
        arguments=tuple(_plain(word) for word in found.value),
        flags=tuple(_plain(flag) for flag in found.flags),
        is_json=bool(found.json),
        heredocs=tuple((_plain(doc.name), _plain(doc.content)) for doc in found.heredocs),
        line=int(found.start_line),
        end_line=int(found.end_line),
        original=_plain(found.original or ""),
    )


def _plain(text: str) -> str:
    """Text from the parser with the disguised bytes back in it; what is no UTF-8 becomes U+FFFD."""
    if "\x7f" not in text:
        return text
    raw = _DISGUISED.sub(lambda match: bytes([int(match[1], 16)]), text.encode("utf-8"))
    return raw.decode("utf-8", "replace")
