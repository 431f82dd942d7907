"""`volume`: a reserved filesystem for Docker's data, and a snapshot of it before a critical build."""

from __future__ import annotations

import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from ci_budget.commands.volume_options import CreateOptions, SnapshotOptions
from ci_budget.core.text.plain_text import plain_lines
from ci_budget.core.text.units import format_size
from ci_budget.core.volume.creation import VolumeWish, find_obstacles, moving_advice, plan_volume
from ci_budget.core.volume.snapshot import find_snapshot_obstacle, plan_snapshot
from ci_budget.core.volume.steps import render_steps
from ci_budget.edges.engine.host_daemon import config_file, read_config
from ci_budget.edges.engine.host_engine import open_host_engine
from ci_budget.edges.host.filesystem import read_usage
from ci_budget.edges.host.volumes import carry_out, gather_volume_facts, volume_below
from ci_budget.edges.processes import run
from ci_budget.edges.sandbox.privileges import rerun_as_root, sudo_works
from ci_budget.errors import ExitCode, UnmeasuredError

_FILE = Path("/var/lib/ci-budget-docker.ext4")


def create(options: CreateOptions) -> int:
    """Make the volume, or print the commands. Raises UnmeasuredError for whatever stands in the way."""
    _require_root()
    engine_root = _engine_root()
    data_root = _absolute(options.data_root) or Path(engine_root or _configured_root())
    file = _absolute(options.file)
    wish = VolumeWish(
        data_root=str(data_root),
        size=options.size,
        name=options.name,
        group=options.group,
        file=None if file is None else str(file),
        reserve=options.reserve,
        fstab=str(_absolute(options.fstab)),
    )
    facts = gather_volume_facts(data_root, file or _FILE, Path(wish.fstab), engine_root=engine_root)
    obstacles = find_obstacles(wish, facts)
    plan = plan_volume(wish, facts)
    if options.dry_run:
        click.echo(plain_lines(f"# {plan.title}, at {data_root}\n{render_steps(plan.steps)}"), nl=False)
    if obstacles:
        advice = "Nothing was changed."
        if facts.engine_runs or (facts.entries and not facts.mounted):
            advice = f"{advice} {moving_advice(str(data_root), shlex.join(['ci-budget', *sys.argv[1:]]))}"
        raise UnmeasuredError(f"no volume can be made: {'; '.join(obstacles)}", mend=advice)
    if options.dry_run:
        return ExitCode.OK
    carry_out(plan, lambda text: click.echo(plain_lines(text), err=True))
    levels = read_usage(data_root)
    click.echo(
        plain_lines(
            f"made {plan.title}, mounted at {data_root}: {format_size(levels.available)} available, "
            f"{levels.free_inodes:,} inodes\n"
            f"in {wish.fstab}: {plan.fstab_line}\n"
            "next: start the engine, and look with `ci-budget doctor`"
        )
    )
    return ExitCode.OK


def snapshot(options: SnapshotOptions) -> int:
    """Take a snapshot, or print the commands. Raises UnmeasuredError where there is no LVM below the data."""
    _require_root()
    data_root = _absolute(options.data_root) or Path(_engine_root() or _configured_root())
    volume = volume_below(data_root)
    obstacle = find_snapshot_obstacle(volume, options.size)
    if obstacle is not None:
        raise UnmeasuredError(obstacle, mend="Give less with --size, or give the group another disk (vgextend).")
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    plan = plan_snapshot(volume, str(data_root), options.size, stamp)
    later = ["after the build, one of both:", "to give it up:", *plan.drop, "to go back to it:", *plan.go_back]
    comment = "\n".join(f"# {line}" for line in later)
    if options.dry_run:
        click.echo(plain_lines(f"{plan.command.shown}\n{comment}"))
        return ExitCode.OK
    run(plan.command.words)
    click.echo(plain_lines(f"took the snapshot {plan.name}\n{comment}"))
    return ExitCode.OK


def _require_root() -> None:
    if os.geteuid() == 0:
        return
    if sudo_works():
        rerun_as_root([])
    raise UnmeasuredError(
        "volumes and mounts are root's matter", mend="Run it as root, or allow this user sudo without a password."
    )


def _engine_root() -> str | None:
    """Where the engine that answers keeps its data; None where none does, or it is on another machine."""
    engine, _ = open_host_engine()
    if engine is None:
        return None
    try:
        return engine.facts().data_root if engine.docker_host.startswith("unix://") else None
    finally:
        engine.close()


def _configured_root() -> str:
    """Where an engine that is stopped would keep its data."""
    return str(read_config(config_file()).get("data-root") or "/var/lib/docker")


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else Path(os.path.normpath(path.absolute()))
