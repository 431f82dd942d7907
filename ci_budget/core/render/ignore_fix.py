"""What `--fix-ignore` wrote, as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence

from ci_budget.core.findings.ignore_lines import IgnoreLine
from ci_budget.core.render.escape import escape_terminal
from ci_budget.core.text.units import format_size


def render_ignore_fix(lines: Sequence[IgnoreLine], *, file: str, before: int, after: int) -> str:
    """The lines that were added to `file`, with what each keeps out, and the context's bytes before and after."""
    shown = escape_terminal(file)
    if not lines:
        return f"{shown}: no line is lacking; the context has {format_size(before)}.\n"
    width = max(len(escape_terminal(line.pattern)) for line in lines)
    told = [
        f"  {escape_terminal(line.pattern):{width}}  {format_size(line.size):>8}  {line.files:,} "
        f"{'file' if line.files == 1 else 'files'}, {line.why}"
        for line in lines
    ]
    plural = "line" if len(lines) == 1 else "lines"
    head = f"{shown}: {len(lines)} {plural} added; the context goes from {format_size(before)} to {format_size(after)}."
    return "\n".join([head, *told]) + "\n"
