"""The command line: what the commands are called, and what is common to all of them.

Commands are loaded when they are asked for, so that `--help` and completion stay quick. Every option
is also read from the environment: `CI_BUDGET_CHECK_DISK_MODE` is `--disk-mode` of `check`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Literal

import click

from ci_budget import __version__

Color = Literal["auto", "always", "never"]

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "check": ("ci_budget.commands.check_options", "Build, measure, compare, report: the gate."),
    "baseline": ("ci_budget.commands.baseline_options", "Show the accepted values, or accept a report's."),
    "report": ("ci_budget.commands.report_options", "From the history: trends, drift, worst offenders."),
    "release": ("ci_budget.commands.release_options", "The release gate: exactly the measured image, in its budgets."),
    "explain": ("ci_budget.commands.explain_options", "Why an image is as large as it is."),
    "plan": ("ci_budget.commands.plan", "Print the images that a change touches."),
    "merge": ("ci_budget.commands.merge_options", "One verdict and one report from the shards of a matrix."),
    "comment": ("ci_budget.commands.comment_options", "Post or update the one comment on a pull request."),
    "issue": ("ci_budget.commands.issue", "Open, update or close the one issue about drift."),
    "doctor": ("ci_budget.commands.doctor_options", "Is this host fit? Each failing check says how to mend it."),
    "prune": ("ci_budget.commands.prune_options", "Give back disk: own leftovers first, base images last."),
    "volume": ("ci_budget.commands.volume_options", "Give Docker's data a reserved filesystem of its own."),
    "init": ("ci_budget.commands.init", "Start a config from the repository's Dockerfiles."),
    "validate": ("ci_budget.commands.validate", "Check the config, without an engine."),
    "schema": ("ci_budget.commands.schema", "Print the config's JSON Schema, for editors."),
    "action": ("ci_budget.commands.action", ""),
}
"""Every command that exists: the module whose `command` it is, and its line in `--help` (empty: not listed)."""


@dataclass(frozen=True, kw_only=True)
class Shell:
    """What the options before the command say: use of colour, and how much is told."""

    color: Color = "auto"
    verbose: int = 0


class Lines(click.types.StringParamType):
    """Text that a repeatable option takes; its environment variable holds one value a line."""

    name = "text"

    def split_envvar_value(self, rv: str) -> list[str]:
        """Blanks belong to the values: a build argument may hold some."""
        return [line.strip() for line in rv.splitlines() if line.strip()]


LINES: Final = Lines()


class LazyGroup(click.Group):
    """A group that imports a command's module when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of the table."""
        return [name for name, (_, text) in COMMANDS.items() if text]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(COMMANDS[cmd_name][0]).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name][0]}.command is no click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest command named where there is none."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            from ci_budget.core.text.suggestion import suggest

            ctx.fail(f"there is no command '{name}'; {suggest(name, COMMANDS, kind='commands')}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items() if text])


_COMPLETION: Final = "_CI_BUDGET_COMPLETE"
_EPILOG = """\
Exit codes: 0 passed, 1 the gate says no, 2 usage or config, 3 could not measure, 4 the build failed,
70 a bug in ci-budget, 130/143 interrupted/terminated.

\b
Every option is read from the environment as well: CI_BUDGET_CHECK_DISK_MODE is check's --disk-mode.
Completion: eval "$(_CI_BUDGET_COMPLETE=bash_source ci-budget)", likewise zsh_source and fish_source.
"""


@click.group(
    cls=LazyGroup,
    name="ci-budget",
    epilog=_EPILOG,
    context_settings={
        "auto_envvar_prefix": "CI_BUDGET",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 110,
    },
)
@click.version_option(__version__, "--version", prog_name="ci-budget", message="%(prog)s %(version)s")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colours; auto: on a terminal, unless NO_COLOR is set.",
)
@click.option("-v", "--verbose", count=True, help="Tell more; twice: everything.")
@click.pass_context
def cli(ctx: click.Context, color: Color, verbose: int) -> None:
    """A build-budget gate for container images.

    Builds every stage inside a disk budget that the kernel enforces, measures what the build really cost, compares
    that with budgets and baselines, and says why it changed.
    """
    ctx.obj = Shell(color=color, verbose=verbose)
    ctx.color = True if color == "always" else False if color == "never" or os.environ.get("NO_COLOR") else None


def shell_of(ctx: click.Context) -> Shell:
    """What the options before the command say."""
    found = ctx.find_object(Shell)
    return found if found is not None else Shell()


def run_command(arguments: list[str] | None = None) -> int:
    """Run the command line (None: the process's own); returns the command's exit code.

    Raises click's exceptions and CiBudgetError. Not by `cli.main`: that one ends a process whose reader
    went away with 1, which here means that the gate says no.
    """
    completion = os.environ.get(_COMPLETION)
    if completion:
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "ci-budget", _COMPLETION, completion)
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with cli.make_context("ci-budget", words) as context:
            result: Any = cli.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    if not isinstance(result, int):
        raise TypeError(f"a command returned {type(result).__name__} instead of an exit code")
    return int(result)
