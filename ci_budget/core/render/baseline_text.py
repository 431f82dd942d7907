"""The baseline on a terminal: the accepted values, and what an update did to each of them."""

from __future__ import annotations

from collections.abc import Sequence

from ci_budget.core.gate.fingerprint import describe
from ci_budget.core.records.baseline import Baseline, BaselineEntry
from ci_budget.core.records.baseline_update import BaselineChange
from ci_budget.core.records.metrics import METRIC_NAMES, STAGE_METRIC_NAMES, metric_unit
from ci_budget.core.render.escape import escape_terminal, silence_commands
from ci_budget.core.text.units import format_delta, format_distinct, format_value

_EXACT = 1000


def render_baseline_text(baseline: Baseline, images: Sequence[str]) -> str:
    """The accepted values of `images`, entry by entry: sizes as a person reads them, with the exact bytes."""
    lines: list[str] = []
    for image in images:
        lines.append(f"{image}:")
        for entry in baseline.entries(image):
            lines.append(f"  {describe(entry.fingerprint)}")
            commit = f" at commit {entry.commit[:12]}" if entry.commit else ""
            lines.append(f"  recorded {entry.recorded}{commit}")
            lines.extend(f"    {line}" for line in _value_lines(entry))
    return _finished(lines)


def render_update(changes: Sequence[BaselineChange], path: str) -> str:
    """What happened to each value and, where one was kept, why; then the file's path and what to do with it."""
    lines: list[str] = []
    image = None
    for change in changes:
        if change.image != image:
            image = change.image
            lines.append(f"{image}:")
        name = change.metric if change.stage is None else f"{change.stage}: {change.metric}"
        lines.append(f"  {change.kind:<10} {name}: {_change_said(change)}")
    changed = sum(change.kind in ("added", "lowered", "raised", "dropped") for change in changes)
    if changed:
        values = f"{changed} value{'s' if changed > 1 else ''}"
        lines.append(f"{path}: {values} changed; review and commit it")
    else:
        lines.append(f"{path}: nothing changed")
    return _finished(lines)


def _value_lines(entry: BaselineEntry) -> list[str]:
    rows = [(name, name, entry.metrics.get(name)) for name in METRIC_NAMES]
    for stage, values in sorted(entry.stages.items()):
        rows += [(f"{stage}: {name}", name, values.get(name)) for name in STAGE_METRIC_NAMES]
    known = [(title, metric_unit(name), value) for title, name, value in rows if value is not None]
    width = max((len(title) for title, _, _ in known), default=0)
    return [
        f"{title:<{width}}  {format_value(value, unit)}"
        + (f"  ({value:,} B)" if unit == "bytes" and value >= _EXACT else "")
        for title, unit, value in known
    ]


def _change_said(change: BaselineChange) -> str:
    unit = metric_unit(change.metric)
    if change.before is None or change.measured is None:
        known = format_value(change.measured if change.measured is not None else change.before, unit)
        if change.kind == "unmeasured":
            return f"{known} stays, this run did not measure it"
        return f"{known}, the report has no such stage any more" if change.kind == "dropped" else known
    if change.kind == "same":
        return format_value(change.before, unit)
    before, measured = format_distinct([change.before, change.measured], unit)
    delta = format_delta(change.measured - change.before, unit)
    if change.kind == "kept":
        return f"{before} stays, {measured} is higher ({delta}); accept it with --raise {change.metric}"
    return f"{before} -> {measured} ({delta})"


def _finished(lines: Sequence[str]) -> str:
    return silence_commands("\n".join(escape_terminal(line) for line in lines)) + "\n"
