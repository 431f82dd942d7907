"""`schema`: the config's JSON Schema, for editors."""

from __future__ import annotations

import json

import click

from ci_budget.core.config.schema import config_schema
from ci_budget.errors import ExitCode


@click.command(name="schema", short_help="Print the config's JSON Schema, for editors.")
def command() -> int:
    """Print the config's JSON Schema.

    \b
    In an editor with the YAML language server:
      ci-budget schema > ci-budget.schema.json
    and as the first line of ci-budget.yml:
      # yaml-language-server: $schema=ci-budget.schema.json
    """
    click.echo(json.dumps(config_schema(), indent=2))
    return ExitCode.OK
