"""`volume` on the command line: its options, kept apart from its work so that `--help` loads nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from ci_budget.commands.amount_options import SIZE

_PATH = click.Path(path_type=Path)


@dataclass(frozen=True, kw_only=True)
class CreateOptions:
    """What was asked of `volume create`. Sizes in bytes; `data_root` None: the engine's own."""

    size: int
    data_root: Path | None
    group: str | None
    file: Path | None
    name: str
    reserve: int
    fstab: Path
    dry_run: bool


@dataclass(frozen=True, kw_only=True)
class SnapshotOptions:
    """What was asked of `volume snapshot`. `size` in bytes; None for a fifth of the volume."""

    size: int | None
    data_root: Path | None
    dry_run: bool


@click.group(name="volume", short_help="Give Docker's data a reserved filesystem of its own.")
def command() -> None:
    """Give Docker's data a reserved filesystem of its own, so that it can never fill the system's disk."""


@command.command(name="create", short_help="Make it, mount it, enter it in fstab.")
@click.option("--size", type=SIZE, required=True, help="Of the filesystem, such as 60GB.")
@click.option("--data-root", type=_PATH, help="The engine's data.  [default: as daemon.json says, or /var/lib/docker]")
@click.option("--group", help="Take this volume group.  [default: the one with most room, if one has enough]")
@click.option(
    "--file", type=_PATH, help="Take a loop file, here.  [default: /var/lib/ci-budget-docker.ext4, without LVM]"
)
@click.option("--name", default="ci-budget-docker", show_default=True, help="Of the logical volume.")
@click.option("--reserve", type=SIZE, default="5GB", show_default=True, help="What must stay free where the file lies.")
@click.option("--fstab", type=_PATH, default="/etc/fstab", show_default=True, help="The table that gets the line.")
@click.option("--dry-run", is_flag=True, help="Only print the commands.")
def create_command(
    size: int,
    data_root: Path | None,
    group: str | None,
    file: Path | None,
    name: str,
    reserve: int,
    fstab: Path,
    dry_run: bool,
) -> int:
    """Make the filesystem, mount it at the engine's data-root, and enter it in fstab.

    A logical volume where a volume group has room, else a reserved file on a loop device. The engine must be stopped
    and its data-root empty; whatever else is in the way is refused, and nothing is overwritten.
    """
    if group is not None and file is not None:
        raise click.UsageError("--group and --file exclude each other")
    from ci_budget.commands.volume import create

    return create(
        CreateOptions(
            size=size,
            data_root=data_root,
            group=group,
            file=file,
            name=name,
            reserve=reserve,
            fstab=fstab,
            dry_run=dry_run,
        )
    )


@command.command(name="snapshot", short_help="Snapshot it (LVM) before a critical build.")
@click.option("--size", type=SIZE, help="How much may change before it is full.  [default: a fifth of the volume]")
@click.option("--data-root", type=_PATH, help="The engine's data.  [default: as the engine or daemon.json says]")
@click.option("--dry-run", is_flag=True, help="Only print the commands.")
def snapshot_command(size: int | None, data_root: Path | None, dry_run: bool) -> int:
    """Snapshot the logical volume of the engine's data before a critical build, and say how to go back."""
    from ci_budget.commands.volume import snapshot

    return snapshot(SnapshotOptions(size=size, data_root=data_root, dry_run=dry_run))
