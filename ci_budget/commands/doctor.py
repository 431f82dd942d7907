"""`doctor`: is this host fit to build on, and what mends it where it is not?"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import click

from ci_budget.commands.doctor_options import DoctorOptions
from ci_budget.commands.optional_config import optional_config
from ci_budget.core.config.model import Config
from ci_budget.core.daemon_advice import advise_daemon
from ci_budget.core.health.diagnosis import diagnose
from ci_budget.core.health.facts import GpuWish, Thresholds
from ci_budget.core.health.finding import exit_code
from ci_budget.core.render.health import render_health_json, render_health_metrics, render_health_text
from ci_budget.core.text.plain_text import plain_lines
from ci_budget.edges.engine.process import validate_config
from ci_budget.edges.files.metrics_file import write_metrics
from ci_budget.edges.host.host_facts import gather_daemon, gather_facts
from ci_budget.errors import ConfigError, ExitCode, UnmeasuredError


def run_doctor(options: DoctorOptions) -> int:
    """Examine the host; returns 0 ok, 1 warn, 2 critical."""
    if options.daemon_json:
        return advise()
    config, problem = _config(options)
    wishes = () if config is None else _gpu_wishes(config)
    facts = gather_facts(gpu_wishes=wishes, config_problem=problem)
    factor = options.free_factor or (config.disk.free_factor if config is not None else Decimal(2))
    findings = diagnose(
        facts,
        Thresholds(
            disk_warn=options.disk_warn,
            disk_critical=options.disk_critical,
            inodes_warn=options.inodes_warn,
            inodes_critical=options.inodes_critical,
            partition=options.partition,
            free_factor=factor,
        ),
    )
    if options.prometheus is not None:
        write_metrics(options.prometheus, render_health_metrics(findings, facts.disks, now=int(time.time())))
    if options.format == "json":
        click.echo(render_health_json(findings, facts.disks), nl=False)
        return exit_code(findings)
    tty = sys.stdout.isatty()
    colour = options.color == "always" or (options.color == "auto" and tty and not os.environ.get("NO_COLOR"))
    text = render_health_text(
        findings,
        width=min(shutil.get_terminal_size((110, 24)).columns, 140) if tty else 110,
        colour=colour,
        ascii_only=(sys.stdout.encoding or "").lower().replace("-", "") != "utf8",
    )
    click.echo(text, nl=False, color=True if colour else None)
    return exit_code(findings)


def advise() -> int:
    """Print the recommended daemon.json; what it changes and what dockerd says of it go to stderr."""
    facts = gather_daemon()
    if facts.config.problem is not None:
        raise UnmeasuredError(facts.config.problem, file=facts.config.path, mend="Run as root, or mend the file.")
    advice = advise_daemon(
        facts.config.settings,
        data_root=facts.data_root,
        disk_size=facts.disk_size,
        version=facts.version,
        log_driver=facts.log_driver,
    )
    text = json.dumps(advice.settings, indent=2) + "\n"
    with tempfile.TemporaryDirectory(prefix="ci-budget-") as folder:
        try:
            complaint = validate_config(text, Path(folder))
            said = "dockerd --validate: configuration OK"
        except UnmeasuredError as error:
            complaint, said = None, f"not validated: {error.what}"
    if complaint is not None:
        raise UnmeasuredError(
            f"dockerd refuses the recommended file: {complaint}",
            file=facts.config.path,
            mend="Mend what is in place first; nothing was changed.",
        )
    changes = [f"  {change}" for change in advice.changes] or ["  nothing: all limits are set"]
    lines = [f"on top of {facts.config.path}:", *changes, said, *_install(facts.config.path)]
    click.echo(plain_lines("\n".join(lines)), err=True)
    click.echo(text, nl=False)
    return ExitCode.OK


def _install(path: str) -> list[str]:
    return [f"to install: ci-budget doctor --daemon-json | sudo tee {path}.new, look at it, move it to {path}, then",
            "  sudo systemctl restart docker (running containers stop unless live-restore is on)"]  # fmt: skip


def _config(options: DoctorOptions) -> tuple[Config | None, str | None]:
    """The config where there is one; a broken one is a finding, not the end."""
    try:
        found = optional_config(Path.cwd(), options.config)
    except ConfigError as error:
        return None, str(error).splitlines()[0]
    return (None, None) if found is None else (found[0].config, None)


def _gpu_wishes(config: Config) -> tuple[GpuWish, ...]:
    return tuple(
        GpuWish(image=name, kind=image.smoke.gpu)
        for name, image in config.images.items()
        if image.smoke is not None and image.smoke.gpu != "off"
    )
