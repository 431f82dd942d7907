"""`issue`: the one issue about drift, from what `report --format json` printed."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command(name="issue", short_help="Open, update or close the one issue about drift.")
@click.option(
    "--trends",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="What `report --format json` printed.",
)
@click.option("--repository", metavar="OWNER/NAME", help="[default: the run's]")
@click.option("--author", metavar="LOGIN", help="Who the token writes as.  [default: asked for]")
@click.option("--address", metavar="URL", help="Where the whole report can be had.  [default: the run's page]")
@click.option("--api-url", metavar="URL", help="GitHub's API.  [default: the run's, else github.com's]")
def command(trends: Path, repository: str | None, author: str | None, address: str | None, api_url: str | None) -> int:
    """Open one issue when an image's drift, growth or verdict crosses the threshold of the report; update it, close it.

    The token is read from the variable GITHUB_TOKEN and needs the permission issues: write.
    """
    from ci_budget.commands.comment import open_api
    from ci_budget.commands.comment_options import CommentOptions
    from ci_budget.core.history.drift_issue import LARGEST_TRENDS, read_drift
    from ci_budget.edges.files.config_file import read_bounded
    from ci_budget.edges.github import read_context
    from ci_budget.edges.web.issues import put_issue
    from ci_budget.edges.web.pull_requests import find_author
    from ci_budget.errors import ExitCode

    context = read_context(os.environ)
    drift = read_drift(read_bounded(trends, LARGEST_TRENDS), str(trends), address=address or context.run_url)
    with open_api(CommentOptions(repository=repository, api_url=api_url), context, os.environ) as api:
        done, number = put_issue(api, drift, author=author or find_author(api))
        click.echo(f"{api.repository}{f'#{number}' if number is not None else ''}: issue {done}")
    return ExitCode.OK
