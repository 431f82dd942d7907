"""`prune`: give disk back, and say what went."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
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
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.engine.host_engine import open_host_engine
from ci_budget.edges.files.config_file import ImageFiles, check_files
from ci_budget.edges.host.pruning import Storeroom
from ci_budget.edges.sandbox.privileged_container import (
    container_problem,
    drop_inherited_mounts,
    own_image_name,
    prune_in_container,
)
from ci_budget.edges.sandbox.privileges import rerun_as_root, sudo_works
from ci_budget.edges.sites.disk_mode import own_platform
from ci_budget.edges.sites.state import root_state, state_directory
from ci_budget.errors import ConfigError, ExitCode, UnmeasuredError

_DOCKER_IMAGE = "docker-image://"


def run_prune(options: PruneOptions) -> int:
    """Prune, or say what would go. Raises UnmeasuredError where the engine or the state cannot be reached."""
    if os.geteuid() != 0 and sudo_works():  # the checks ran as root, and so their state is root's
        rerun_as_root([])
    drop_inherited_mounts()
    references = base_references(options.config) if options.engine else []
    host, problem = open_host_engine()
    if host is None and options.engine:
        raise UnmeasuredError(f"--engine needs the runner's engine: {problem}")
    try:
        others = ExitCode.OK if os.geteuid() == 0 else _prune_for_root(options, host)
        return max(others, _prune(options, host, references))
    finally:
        if host is not None:
            host.close()


def _prune_for_root(options: PruneOptions, host: DockerEngine | None) -> int:
    """What sandboxes left that ran in a privileged container: it is root's, and goes the way it came."""
    roots = root_state()
    if not roots.is_dir():
        return ExitCode.OK
    problem = container_problem(host)
    if host is not None and problem is None:
        arguments = ["--dry-run"] if options.dry_run else []
        arguments += [] if options.target_free is None else [f"--target-free={options.target_free}"]
        done = prune_in_container(host, sandbox_image=_sandbox_image(options.config), arguments=arguments)
        if done is not None:
            click.echo(plain_lines(done.stderr.decode("utf-8", "replace")), err=True, nl=False)
            click.echo(f"In {roots}, through a privileged container:\n{plain_lines(done.text)}")
            click.echo("On the engine, and in this user's own state:")
            return ExitCode.OK if done.exit_code == ExitCode.OK else ExitCode.UNMEASURED
        problem = "the engine has no image to start a privileged container from (a check makes one)"
    click.echo(f"not looked at: {roots} is root's, and {problem}", err=True)
    return ExitCode.OK


def _sandbox_image(config: Path | None) -> str | None:
    with contextlib.suppress(ConfigError):
        found = optional_config(Path.cwd(), config)
        return None if found is None else found[0].config.disk.sandbox_image
    return None


def base_references(config: Path | None) -> list[str]:
    """The images from outside that the config's Dockerfiles name, of every stage. Raises ConfigError."""
    found = optional_config(Path.cwd(), config)
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


def protected_images(references: Sequence[str], host: DockerEngine | None) -> frozenset[str]:
    """The ids of those images that the engine has, and of the one in which our sandboxes run."""
    found = [host.image(name) for name in (*references, own_image_name())] if host is not None else []
    return frozenset(image.id for image in found if image is not None)


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
    rules = PruneRules(
        engine=options.engine,
        cache_older=options.cache_older,
        unused_older=options.unused_older,
        bases=options.bases,
        protected=protected_images(references, host),
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
