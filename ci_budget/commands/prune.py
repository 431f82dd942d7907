"""`prune`: give disk back, and say what went."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import click

from ci_budget.commands.optional_config import optional_config
from ci_budget.commands.prune_options import PruneOptions
from ci_budget.core.config.model import ImageConfig
from ci_budget.core.prune_plan import PruneRules, expected_steps, plan_steps
from ci_budget.core.render.prune import render_prune_done, render_prune_plan
from ci_budget.core.stages.planning import plan_stages
from ci_budget.core.stages.references import parse_reference
from ci_budget.core.text.plain_text import plain_lines
from ci_budget.core.text.units import format_size
from ci_budget.edges.build_site import open_host_engine
from ci_budget.edges.config_file import ImageFiles, check_files
from ci_budget.edges.disk_mode import own_platform
from ci_budget.edges.docker_engine import DockerEngine
from ci_budget.edges.privileges import rerun_as_root, sudo_works
from ci_budget.edges.pruning import Storeroom
from ci_budget.edges.state import state_directory
from ci_budget.errors import ConfigError, ExitCode, UnmeasuredError

_DOCKER_IMAGE = "docker-image://"


def run_prune(options: PruneOptions) -> int:
    """Prune, or say what would go. Raises UnmeasuredError where the engine or the state cannot be reached."""
    if os.geteuid() != 0 and sudo_works():  # the checks ran as root, and so their state is root's
        rerun_as_root([])
    references = base_references(options) if options.engine else []
    host, problem = open_host_engine()
    if host is None and options.engine:
        raise UnmeasuredError(f"--engine needs the runner's engine: {problem}")
    try:
        return _prune(options, host, references)
    finally:
        if host is not None:
            host.close()


def base_references(options: PruneOptions) -> list[str]:
    """The images from outside that the config's Dockerfiles name, of every stage. Raises ConfigError."""
    found = optional_config(Path.cwd(), options.config)
    if found is None:
        return []
    parsed, folder = found
    references: list[str] = []
    for files in check_files(parsed, folder):
        image = parsed.config.images[files.name]
        references += _externals(files, image, image.target)
        for stage in files.parsed.stages:  # what this target never needs may be another's base
            with contextlib.suppress(ConfigError):
                references += _externals(files, image, stage.name)
        named = [source for source in image.build_contexts.values() if source.startswith(_DOCKER_IMAGE)]
        references += [str(parse_reference(source.removeprefix(_DOCKER_IMAGE))) for source in named]
    return sorted(set(references))


def _externals(files: ImageFiles, image: ImageConfig, target: str | None) -> list[str]:
    plan = plan_stages(
        files.parsed,
        target=target,
        build_args={name: str(value) for name, value in image.build_args.items() if value not in (None, "")},
        platform=image.platform or own_platform(),
        build_contexts=tuple(image.build_contexts),
    )
    return [one.reference for one in plan.externals]


def _prune(options: PruneOptions, host: DockerEngine | None, references: list[str]) -> int:
    store = Storeroom.open(state_directory(), host)
    before = store.available()
    if options.target_free is not None and options.engine and store.engine_disk not in before:
        raise UnmeasuredError(
            "the engine's disk cannot be seen from here, so nobody can tell when --target-free is reached",
            mend="Run on the host itself as root, or leave --target-free out.",
        )
    protected = [found.id for name in references if host is not None and (found := host.image(name)) is not None]
    rules = PruneRules(
        engine=options.engine,
        cache_older=options.cache_older,
        unused_older=options.unused_older,
        bases=options.bases,
        protected=frozenset(protected),
        keep=options.keep,
    )
    steps = plan_steps(store.stock(), rules, now=time.time())
    target = options.target_free
    if options.dry_run:
        click.echo(render_prune_plan(expected_steps(steps, before, target), before, target), nl=False)
        return ExitCode.OK
    done = store.carry_out(steps, target, lambda text: click.echo(plain_lines(text), err=True))
    after = store.available()
    click.echo(render_prune_done(done, before, after, target), nl=False)
    short = [disk for disk, free in after.items() if target is not None and free < target]
    if short and target is not None:
        more = "" if options.engine else " `--engine` takes old build cache and unused images as well."
        raise UnmeasuredError(
            f"{' and '.join(short)} has less than {format_size(target)} available, and nothing more may go",
            mend=f"Remove other data there, or enlarge the disk.{more}",
        )
    return ExitCode.OK
