"""GitHub's workflow commands: how to write one, and how to keep untrusted text from being one.

Format and escapes: actions/toolkit, packages/core/src/command.ts; what the runner reads as a
command: actions/runner, src/Runner.Common/ActionCommand.cs.
"""

from __future__ import annotations

import re
from typing import Literal

from ci_budget.core.text.plain_text import plain_lines

LONGEST_LOG_LINE = 4096
"""Characters of a build log's line that are shown; the rest is cut off."""

_TERMINAL_CONTROL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")

Level = Literal["error", "warning", "notice"]


def escape_command_data(text: str) -> str:
    """Text that stands after the second `::` of a command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_command_property(text: str) -> str:
    """Text that stands as the value of a command's property, as in `file=…`."""
    return escape_command_data(text).replace(":", "%3A").replace(",", "%2C")


def format_command(name: str, data: str = "", **properties: str | int | None) -> str:
    """A command on one line, without its line break; properties that are None are left out."""
    given = [f"{key}={escape_command_property(str(value))}" for key, value in properties.items() if value is not None]
    return f"::{name}{' ' if given else ''}{','.join(given)}::{escape_command_data(data)}"


def format_annotation(
    level: Level, message: str, *, title: str | None = None, file: str | None = None, line: int | None = None
) -> str:
    """An annotation as a command; GitHub shows it in the diff only where `file` and `line` are known."""
    return format_command(level, message, title=title, file=file, line=line)


def neutralise_log_line(text: str) -> str:
    """One line of a build's output as text that no terminal and no runner reads as a command.

    Colours and cursor movements go, other control characters are shown as escapes, and a long
    line is cut. A line break inside the text is shown as `\\n`.
    """
    line = _TERMINAL_CONTROL.sub("", text).rstrip("\r\n")
    # A progress bar draws over itself with carriage returns: its last state is what a person would see.
    line = line.rsplit("\r", 1)[-1]
    if len(line) > LONGEST_LOG_LINE:
        line = f"{line[:LONGEST_LOG_LINE]}… ({len(line) - LONGEST_LOG_LINE} more characters)"
    return plain_lines(line.replace("\n", "\\n"))
