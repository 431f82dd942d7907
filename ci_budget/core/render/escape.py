"""Untrusted text made harmless for a terminal, for GitHub's Markdown, and for a CI log that is JSON.

Names, paths and messages come from Dockerfiles, build logs and images: they must neither move a cursor, nor
become a link, a mention, a tag or a table cell, nor speak to the runner (`::error::`, `##[error]`).
"""

from __future__ import annotations

import re

from ci_budget.core.text.plain_text import one_line

_SIMPLE = re.compile(r"[A-Za-z0-9/._-][A-Za-z0-9 ._/:=+,%()-]*")
_ACTIVE = frozenset("\\`*[]<>&|~!$^{}")
_COMMAND_LINE = re.compile(r"^((?:\x1b\[[0-9;]*m|\s)*):(?=:)", re.MULTILINE)
_ORDERED = re.compile(r"^([0-9]+)([.)])(?=\s|$)")
_NO_BREAK = "&#8203;"


def escape_terminal(text: str, *, ascii_only: bool = False) -> str:
    """One line for a terminal: control and bidi characters become escapes such as `\\x1b`, line breaks `\\n`."""
    line = one_line(text).replace("##[", "# #[")
    return line.encode("ascii", "backslashreplace").decode("ascii") if ascii_only else line


def silence_commands(text: str) -> str:
    """A whole text for a CI log in which no line starts with `::` any more, blanks and colours aside."""
    return _COMMAND_LINE.sub(r"\1: ", text).replace("##[", "# #[")


def silence_json(text: str) -> str:
    """JSON text with the same meaning in which the runner finds no `##[` command."""
    return text.replace("##[", "\\u0023#[")


def escape_markdown(text: str) -> str:
    """Running text: every character that means something to GitHub's Markdown is written as an entity.

    Mentions and references (`@name`, `#12`) are broken by a zero-width space, because GitHub looks for them
    after entities are decoded. Entities cannot take part in Markdown's structure (CommonMark, 2.5).
    """
    line = one_line(text)
    out: list[str] = []
    for index, char in enumerate(line):
        before, after = line[index - 1 : index], line[index + 1 : index + 2]
        if char in "@#" or (char == "-" and line[max(0, index - 2) : index].upper() == "GH"):
            out.append(f"&#{ord(char)};{_NO_BREAK}")
        elif (
            char in _ACTIVE
            or (char == "_" and not (before.isalnum() and after.isalnum()))
            or (char == ":" and after in (":", "/"))
            or (char == "." and line[max(0, index - 3) : index].lower() == "www")
            or (index == 0 and char in "-+=")
        ):
            out.append(f"&#{ord(char)};")
        else:
            out.append(char)
    return _ORDERED.sub(lambda found: f"{found[1]}&#{ord(found[2])};", "".join(out))


def code(text: str) -> str:
    """A name as code: a code span where it is harmless, else `<code>` with all punctuation as entities."""
    line = one_line(text)
    if _SIMPLE.fullmatch(line) and "::" not in line and not line.endswith(" "):
        return f"`{line}`"
    return html_code(line)


def html_code(text: str) -> str:
    """A name as code where Markdown is not read, in `<summary>` for instance: all punctuation as entities."""
    return f"<code>{''.join(_entity(char) for char in one_line(text))}</code>"


def _entity(char: str) -> str:
    if char.isalnum() or char == " ":
        return char
    return f"&#{ord(char)};{_NO_BREAK}" if char in "@#" else f"&#{ord(char)};"
