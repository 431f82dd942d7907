"""`prune` on the command line: its options, kept apart from its work so that `--help` loads nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from ci_budget.cli import LINES
from ci_budget.commands.amount_options import DURATION, SIZE


@dataclass(frozen=True, kw_only=True)
class PruneOptions:
    """What was asked of `prune`. Ages in seconds, `target_free` in bytes."""

    config: Path | None
    dry_run: bool
    engine: bool
    cache_older: int
    unused_older: int
    bases: bool
    keep: tuple[str, ...]
    target_free: int | None


@click.command(name="prune", short_help="Give back disk: own leftovers first, base images last.")
@click.option("--dry-run", is_flag=True, help="Only say what would go, class by class.")
@click.option("--target-free", type=SIZE, help="Stop when this much is available; take nothing but leftovers if it is.")
@click.option("--engine", is_flag=True, help="Also take what others left on the engine: old cache, unused images.")
@click.option(
    "--cache-older", type=DURATION, default="72h", show_default=True, help="With --engine: cache unused for this long."
)
@click.option(
    "--unused-older", type=DURATION, default="168h", show_default=True,
    help="With --engine: named images that no container uses, not pulled, built or tagged for this long.",
)  # fmt: skip
@click.option("--bases", is_flag=True, help="With --engine: at last also the base images of the config.")
@click.option(
    "--keep", multiple=True, type=LINES, metavar="PATTERN", help="Never this image, such as 'python:*'; repeatable."
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The config whose base images are kept.  [default: ci-budget.yml, here or above, if there is one]",
)
def command(
    config: Path | None,
    dry_run: bool,
    engine: bool,
    cache_older: int,
    unused_older: int,
    bases: bool,
    keep: tuple[str, ...],
    target_free: int | None,
) -> int:
    """Give disk back, in this order: what killed runs left, seeds, old build cache, dangling images, unused images.

    Without --engine only what ci-budget made goes. Exit code 3 says that --target-free was not reached.
    """
    if not engine and (bases or keep):
        raise click.UsageError("--bases and --keep are about the engine's images: they need --engine")
    from ci_budget.commands.prune import run_prune

    return run_prune(
        PruneOptions(
            config=config,
            dry_run=dry_run,
            engine=engine,
            cache_older=cache_older,
            unused_older=unused_older,
            bases=bases,
            keep=keep,
            target_free=target_free,
        )
    )
