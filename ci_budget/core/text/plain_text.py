"""Untrusted text made fit for a terminal and a CI log: no control characters, no workflow commands.

GitHub's runner reads a line that starts with `::` (after blanks), and `##[` anywhere in a line, as
a command to itself (actions/runner, ActionCommand.cs).
"""

from __future__ import annotations


def one_line(text: str) -> str:
    """The text on one line: whatever cannot be printed is shown as an escape such as `\\n` or `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def plain_lines(text: str) -> str:
    """The text with its line breaks kept, nothing unprintable in a line, and no line a workflow command."""
    return "\n".join(_inert(one_line(line.expandtabs(4))) for line in text.split("\n"))


def plain_line(text: str) -> str:
    """The text on one line that is no workflow command."""
    return plain_lines(one_line(text))


def shorten(text: str, longest: int = 60) -> str:
    """At most `longest` characters, with `...` at the end where some were left out."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _inert(line: str) -> str:
    line = line.replace("##[", "# #[")
    return f"| {line}" if line.lstrip().startswith("::") else line


def _escape(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte of a name that is no UTF-8, as Python keeps it
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
