"""What `explain` says of one image: text for a terminal, Markdown, JSON in exact bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

from ci_budget.core.inventory.explanation import Explanation
from ci_budget.core.inventory.model import Inventory
from ci_budget.core.records.report import Finding, ImageReport
from ci_budget.core.render.disk_steps import step_place, step_text
from ci_budget.core.render.escape import code, escape_markdown, escape_terminal, silence_commands, silence_json
from ci_budget.core.text.plain_text import shorten
from ci_budget.core.text.units import format_size

_LONGEST_COMMAND = 70


@dataclass(frozen=True, kw_only=True)
class _List:
    """One list of the page: its title, the columns' names (those of numbers end with `>`), rows, and what was left."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    left: int = 0


def render_explanation_text(
    found: Explanation,
    report: ImageReport,
    *,
    top: int = 15,
    width: int = 100,
    colour: bool = False,
    ascii_only: bool = False,
) -> str:
    """The explanation for a terminal of `width` columns, each list with `top` rows at most."""
    from rich.console import Console  # heavy, and only for terminals
    from rich.table import Table
    from rich.text import Text

    out = StringIO()
    console = Console(
        file=out, width=max(width, 60), color_system="standard" if colour else None, force_terminal=colour,
        no_color=not colour, markup=False, emoji=False, highlight=False, legacy_windows=False, _environ={},
    )  # fmt: skip

    def say(text: str, style: str = "") -> None:
        console.print(Text(escape_terminal(text, ascii_only=ascii_only), style=style))

    say(found.name, "bold")
    for line in [*_summary(found.inventory), *(f"note: {note}" for note in report.notes)]:
        say(f"  {line}")
    for one in [*_lists(found, top), *_disk(report, top)]:
        console.print()
        say(one.title, "bold")
        table = Table(box=None, show_header=True, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
        for column in one.columns:
            figure = column.endswith(">")  # a cut one would be another
            table.add_column(
                column.removesuffix(">"), justify="right" if figure else "left", no_wrap=figure, overflow="fold"
            )
        for row in one.rows:
            table.add_row(*(Text(escape_terminal(cell, ascii_only=ascii_only)) for cell in row))
        console.print(table)
        if one.left:
            say(f"  and {one.left:,} more (--top shows more)")
    if report.findings:
        console.print()
        say("What to do about it", "bold")
        for finding in report.findings[:top]:
            say(f"  {_told(finding)}")
    console.print()
    say(f"Next: {_next(found, report)}")
    return "\n".join(line.rstrip() for line in silence_commands(out.getvalue()).split("\n"))


def render_explanation_markdown(found: Explanation, report: ImageReport, *, top: int = 15) -> str:
    """The explanation as GitHub's Markdown; whatever comes from the image is escaped."""
    lines = [
        f"## {escape_markdown(found.name)}",
        "",
        *(f"- {escape_markdown(one)}" for one in _summary(found.inventory)),
        *(f"- note: {escape_markdown(note)}" for note in report.notes),
    ]
    for one in [*_lists(found, top), *_disk(report, top)]:
        lines += ["", f"### {one.title}", ""]
        lines.append(f"| {' | '.join(column.removesuffix('>') for column in one.columns)} |")
        lines.append(f"|{'|'.join('---:' if column.endswith('>') else '---' for column in one.columns)}|")
        for row in one.rows:
            cells = [code(cell) if index == len(row) - 1 else escape_markdown(cell) for index, cell in enumerate(row)]
            lines.append(f"| {' | '.join(cells)} |")
        if one.left:
            lines += ["", f"and {one.left:,} more"]
    if report.findings:
        lines += ["", "### What to do about it", ""]
        lines += [f"- {escape_markdown(_told(finding))}" for finding in report.findings[:top]]
    return "\n".join(lines) + "\n"


def render_explanation_json(found: Explanation, report: ImageReport) -> str:
    """Everything in bytes, ended by a line break. `layer` is an index, the lowest 0."""
    inventory = found.inventory
    data: dict[str, Any] = {
        "schema_version": 1,
        "name": found.name,
        "image_id": inventory.image_id,
        "platform": inventory.platform,
        "size": inventory.size,
        "source": inventory.source,
        "wasted_bytes": inventory.waste.total if inventory.waste else None,
        "waste": inventory.waste.model_dump(mode="json") if inventory.waste else None,
        "dive": inventory.dive.model_dump(mode="json") if inventory.dive else None,
        "steps": [
            {
                "layer": step.layer, "diff_id": inventory.layers[step.layer].diff_id, "command": step.command,
                "stage": step.stage, "line": step.line, "inherited": step.inherited, "size": step.size,
                "files": step.files, "hides": step.hides,
            }
            for step in found.steps
        ],
        "paths": [
            {"path": path.path, "size": path.size, "layer": path.layer, "hidden": path.hidden} for path in found.paths
        ],
        "packages": [
            {**one.record.model_dump(mode="json"), "stage": one.step.stage, "line": one.step.line}
            for one in found.packages
        ],
        "same_content": None
        if inventory.same_content is None
        else [one.model_dump(mode="json") for one in found.same_content],
        "build_steps": [one.model_dump(mode="json") for one in report.steps],
        "findings": [one.model_dump(mode="json") for one in report.findings],
        "notes": list(report.notes),
    }  # fmt: skip
    return silence_json(json.dumps(data, indent=2)) + "\n"


def _summary(inventory: Inventory) -> list[str]:
    own = [layer for layer in inventory.layers if not layer.inherited]
    inherited = len(inventory.layers) - len(own)
    files = sum(layer.files for layer in inventory.layers)
    split = f", {inherited} of them from the base image" if inherited else ""
    lines = [
        f"{format_size(inventory.size)} in {_count(len(inventory.layers), 'layer')}{split}; {_count(files, 'file')}"
    ]
    waste = inventory.waste
    if waste is not None and waste.total:
        lines.append(
            f"wasted: {format_size(waste.total)} (overwritten {format_size(waste.overwritten)}, deleted later "
            f"{format_size(waste.deleted)}, hidden {format_size(waste.hidden)})"
        )
    lines.append(f"{inventory.platform or 'platform unknown'}; {inventory.image_id}; read from {inventory.source}")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _lists(found: Explanation, top: int) -> list[_List]:
    whole = max(1, found.inventory.size)
    steps = [step for step in found.steps if step.size or step.hides]
    lists = [
        _List(
            title="Steps by size",
            columns=("size>", "share>", "hides>", "where", "step"),
            rows=[
                (
                    format_size(step.size), f"{100 * step.size / whole:.0f} %",
                    format_size(step.hides) if step.hides else "-", step.place,
                    shorten(step.command, _LONGEST_COMMAND),
                )
                for step in steps[:top]
            ],
            left=max(0, len(steps) - top),
        ),
        _List(
            title="Paths by size",
            columns=("size>", "where", "path"),
            rows=[
                (format_size(path.size), found.step(path.layer).place, path.path + (" (hidden)" if path.hidden else ""))
                for path in found.paths[:top]
            ],
            left=max(0, len(found.paths) - top),
        ),
        _List(
            title="Packages by size",
            columns=("size>", "by", "where", "package"),
            rows=[
                (
                    format_size(one.record.size), one.record.manager, one.step.place,
                    f"{one.record.name} {one.record.version}",
                )
                for one in found.packages[:top]
            ],
            left=max(0, len(found.packages) - top),
        ),
        _List(
            title="Wasted by size",
            columns=("size>", "files>", "cause", "written by", "hidden by", "largest"),
            rows=[
                (
                    format_size(one.size), f"{one.files:,}", one.cause, found.step(one.wrote).place,
                    found.step(one.hid).place, one.largest,
                )
                for one in found.waste[:top]
            ],
            left=max(0, len(found.waste) - top),
        ),
        _List(
            title="The same content more than once",
            columns=("size>", "times>", "paths"),
            rows=[
                (format_size(one.size), str(len(one.paths)), ", ".join(one.paths[:4]))
                for one in found.same_content[:top]
            ],
            left=max(0, len(found.same_content) - top),
        ),
    ]  # fmt: skip
    return [one for one in lists if one.rows]


def _disk(report: ImageReport, top: int) -> list[_List]:
    """What each step of the measured build did to the disk, those first that wrote most."""
    ran = [step for step in report.steps if step.wrote]
    ran.sort(key=lambda step: -(step.wrote or 0))
    if not ran:
        return []
    rows = [
        (
            format_size(step.wrote or 0), format_size(max(0, step.added or 0)), format_size(step.gave_back or 0),
            "peak" if step.at_peak else "", step_place(step), step_text(step),
        )
        for step in ran[:top]
    ]  # fmt: skip
    columns = ("wrote>", "kept>", "gave back>", "", "where", "step")
    guessed = any(step.line is not None and step.located_by != "provenance" for step in ran)
    title = "Disk by step of the build" + (" (~: line found by the step's name)" if guessed else "")
    return [_List(title=title, columns=columns, rows=rows, left=max(0, len(ran) - top))]


def _told(finding: Finding) -> str:
    size = f" ({format_size(finding.bytes)})" if finding.bytes is not None else ""
    return f"{finding.rule}{size}: {finding.message} {finding.mend}"


def _next(found: Explanation, report: ImageReport) -> str:
    if not report.dockerfile:  # it was not built here
        return "`ci-budget check` builds the image and says which lines of its Dockerfile brought this"
    return f"ci-budget explain {found.name} --format json has every number in bytes"
