"""`comment` on the command line: its options, kept apart from its work so that `--help` loads nothing else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click


@dataclass(frozen=True, kw_only=True)
class CommentOptions:
    """What was asked of `comment`; None and "": as the run says."""

    report: Path | None = None
    from_artifact: str | None = None
    pull_request: int | None = None
    key: str = "default"
    repository: str | None = None
    author: str | None = None
    address: str | None = None
    api_url: str | None = None


@click.command(name="comment", short_help="Post or update the one comment on a pull request.")
@click.option("--report", type=click.Path(path_type=Path), help="Report folder or report.json; 'none': there is none.")
@click.option("--from-artifact", metavar="NAME", help="Take the report from the run that started this workflow.")
@click.option("--pull-request", type=click.IntRange(min=1), metavar="N", help="[default: the event's]")
@click.option("--key", default="default", show_default=True, help="Tells several comments on one pull request apart.")
@click.option("--repository", metavar="OWNER/NAME", help="[default: the run's]")
@click.option("--author", metavar="LOGIN", help="Who the token writes as.  [default: asked for]")
@click.option("--address", metavar="URL", help="Where the whole report can be had.  [default: the run's page]")
@click.option("--api-url", metavar="URL", help="GitHub's API.  [default: the run's, else github.com's]")
def command(**values: Any) -> int:
    """Post the report as the one comment on a pull request, or bring that comment up to date.

    The token is read from the variable GITHUB_TOKEN and needs the permission pull-requests: write. Where everything
    passed and nothing changed beyond its tolerance, no comment is made; one that is there is brought up to date.
    """
    from ci_budget.commands.comment import open_api, run_comment
    from ci_budget.edges.github import read_context

    options, context = CommentOptions(**values), read_context(os.environ)
    with open_api(options, context, os.environ) as api:
        return run_comment(options, context=context, api=api, say=click.echo)
