"""`doctor` on the command line: its options, kept apart from its work so that `--help` loads nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

import click

from ci_budget.cli import Color, shell_of
from ci_budget.commands.amount_options import PERCENT, SIZE

_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """What was asked of `doctor`. `free_factor`: None where the config decides (else 2). `partition` in bytes."""

    config: Path | None
    format: Literal["text", "json"]
    prometheus: Path | None
    daemon_json: bool
    disk_warn: Decimal
    disk_critical: Decimal
    inodes_warn: Decimal
    inodes_critical: Decimal
    partition: int
    free_factor: Decimal | None
    color: Color


@click.command(name="doctor", short_help="Is this host fit? Each failing check says how to mend it.")
@click.option("--config", type=_FILE, help="The config, if there is one.  [default: ci-budget.yml, here or above]")
@click.option(
    "--format", "form", envvar="CI_BUDGET_DOCTOR_FORMAT", type=click.Choice(["text", "json"]), default="text",
    show_default=True, help="Of the output."
)  # fmt: skip
@click.option("--prometheus", type=_FILE, help="Also write this file (*.prom) for node_exporter's textfile collector.")
@click.option("--daemon-json", is_flag=True, help="Print a daemon.json with the limits that this host lacks, and end.")
@click.option("--disk-warn", type=PERCENT, default="80%", show_default=True, help="A disk this full is a warning.")
@click.option("--disk-critical", type=PERCENT, default="90%", show_default=True, help="A disk this full is critical.")
@click.option("--inodes-warn", type=PERCENT, default="80%", show_default=True, help="The same for inodes in use.")
@click.option("--inodes-critical", type=PERCENT, default="90%", show_default=True, help="The same for inodes in use.")
@click.option(
    "--partition", type=SIZE, default="60GB", show_default=True, help="What the engine's own partition should have."
)
@click.option(
    "--free-factor", type=float, help="Free space wanted, x the largest image.  [default: the config's, or 2]"
)
@click.pass_context
def command(
    ctx: click.Context,
    config: Path | None,
    form: Literal["text", "json"],
    prometheus: Path | None,
    daemon_json: bool,
    disk_warn: Decimal,
    disk_critical: Decimal,
    inodes_warn: Decimal,
    inodes_critical: Decimal,
    partition: int,
    free_factor: float | None,
) -> int:
    """Look at disks, engine, daemon.json, schedule, sandbox and GPU, and say how to mend what is amiss.

    Exit codes are a monitoring check's: 0 ok, 1 warn, 2 critical.
    """
    if disk_warn > disk_critical or inodes_warn > inodes_critical:
        raise click.UsageError("a warning threshold lies above its critical one")
    if prometheus is not None and prometheus.suffix != ".prom":
        raise click.BadParameter("node_exporter reads only files that end with .prom", param_hint="'--prometheus'")
    if free_factor is not None and not 0 < free_factor < 1000:
        raise click.BadParameter("must lie between 0 and 1000", param_hint="'--free-factor'")
    from ci_budget.commands.doctor import run_doctor

    return run_doctor(
        DoctorOptions(
            config=config,
            format=form,
            prometheus=prometheus,
            daemon_json=daemon_json,
            disk_warn=disk_warn,
            disk_critical=disk_critical,
            inodes_warn=inodes_warn,
            inodes_critical=inodes_critical,
            partition=partition,
            free_factor=None if free_factor is None else Decimal(str(free_factor)),
            color=shell_of(ctx).color,
        )
    )
