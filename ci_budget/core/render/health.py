"""What `doctor` found: a table for people, JSON, and node_exporter's text format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import StringIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ci_budget.core.health.facts import DiskFacts
from ci_budget.core.health.finding import Finding, Status, exit_code, worst_status
from ci_budget.core.render.escape import escape_terminal, silence_commands, silence_json

_STYLES = {Status.OK: "green", Status.SKIPPED: "dim", Status.WARN: "yellow", Status.CRITICAL: "bold red"}


def render_health_text(
    findings: Sequence[Finding], *, width: int = 100, colour: bool = False, ascii_only: bool = False
) -> str:
    """One line a check, the command that mends it below each that failed, and the sum at the end."""
    out = StringIO()
    console = Console(
        file=out, width=max(width, 40) - 1, color_system="standard" if colour else None, force_terminal=colour,
        no_color=not colour, markup=False, emoji=False, highlight=False, legacy_windows=False, _environ={},
    )  # fmt: skip
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", max_width=28)
    table.add_column(overflow="fold")
    for finding in findings:
        said = Text(escape_terminal(finding.message, ascii_only=ascii_only))
        if finding.mend is not None and finding.status > Status.OK:
            said.append("\nmend: ", style="bold")
            said.append(escape_terminal(finding.mend, ascii_only=ascii_only))
        table.add_row(
            Text(finding.status.word, style=_STYLES[finding.status]),
            Text(escape_terminal(finding.check, ascii_only=ascii_only)),
            said,
        )
    console.print(table)
    console.print()
    console.print(Text(_summary(findings), style=_STYLES[worst_status(findings)]))
    lines = silence_commands(out.getvalue()).split("\n")
    return "\n".join(line.rstrip() for line in lines)


def render_health_json(findings: Sequence[Finding], disks: Sequence[DiskFacts]) -> str:
    """`status`, `exit_code`, `checks[]` and the filesystems' levels in bytes; ended by a line break."""
    data = {
        "schema_version": 1,
        "status": Status(exit_code(findings)).word,
        "exit_code": exit_code(findings),
        "checks": [
            {"check": one.check, "status": one.status.word, "message": one.message, "mend": one.mend}
            for one in findings
        ],
        "disks": [
            {
                "mount_point": disk.mount_point, "holds": disk.holds, "filesystem": disk.kind, "total": disk.total,
                "available": disk.available, "inodes": disk.inodes, "free_inodes": disk.free_inodes,
            }
            for disk in disks
        ],
    }  # fmt: skip
    return silence_json(json.dumps(data, indent=2)) + "\n"


def render_health_metrics(findings: Sequence[Finding], disks: Sequence[DiskFacts], *, now: int) -> str:
    """Prometheus' text exposition format 0.0.4, for node_exporter's textfile collector. `now`: Unix seconds.

    Skipped checks have no sample: an absent series is not a healthy one.
    """
    judged = [one for one in findings if one.status is not Status.SKIPPED]
    families: list[tuple[str, str, list[tuple[dict[str, str], int]]]] = [
        ("ci_budget_doctor_status", "A check of ci-budget doctor: 0 ok, 1 warn, 2 critical.",
         [({"check": one.check}, int(one.status)) for one in judged]),
        ("ci_budget_doctor_worst", "The worst of all checks: 0 ok, 1 warn, 2 critical.", [({}, exit_code(findings))]),
        ("ci_budget_doctor_last_run_seconds", "When ci-budget doctor last ran, in Unix time.", [({}, now)]),
        ("ci_budget_disk_size_bytes", "Size of a filesystem that builds use.",
         [({"mountpoint": disk.mount_point}, disk.total) for disk in disks]),
        ("ci_budget_disk_available_bytes", "Bytes of it that users can still take.",
         [({"mountpoint": disk.mount_point}, disk.available) for disk in disks]),
        ("ci_budget_disk_inodes", "Inodes of it; 0 where there is no fixed number.",
         [({"mountpoint": disk.mount_point}, disk.inodes) for disk in disks]),
        ("ci_budget_disk_free_inodes", "Free inodes of it.",
         [({"mountpoint": disk.mount_point}, disk.free_inodes) for disk in disks]),
    ]  # fmt: skip
    lines = []
    for name, told, samples in families:
        lines += [f"# HELP {name} {told}", f"# TYPE {name} gauge"]
        lines += [f"{name}{_labels(labels)} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _summary(findings: Sequence[Finding]) -> str:
    counts = {status: sum(one.status is status for one in findings) for status in Status}
    text = f"{counts[Status.OK]} ok, {counts[Status.WARN]} warn, {counts[Status.CRITICAL]} critical"
    skipped = f", {counts[Status.SKIPPED]} not looked at" if counts[Status.SKIPPED] else ""
    return f"{Status(exit_code(findings)).word}: {text}{skipped}"


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_label_value(value)}"' for name, value in labels.items()) + "}"


def _label_value(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
