"""`comment`: post or update the one comment on a pull request, from a report file or from a run's artifact."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ci_budget.commands.comment_options import CommentOptions
from ci_budget.core.records.report import Report
from ci_budget.core.render.comment import is_quiet, marker_of, render_comment, render_without_report
from ci_budget.edges.files.report_files import parse_report, read_report
from ci_budget.edges.github import GitHubContext, WorkflowRun, read_token
from ci_budget.edges.web.github_api import GitHubApi
from ci_budget.edges.web.pull_requests import Text, find_author, find_pull_requests, put_comment
from ci_budget.edges.web.run_artifacts import read_run_report
from ci_budget.errors import ConfigError, ExitCode

NO_REPORT = "none"
"""Given as --report: the check left none."""

_BROKEN = ("failure", "timed_out", "cancelled", "startup_failure")


def open_api(options: CommentOptions, context: GitHubContext, environ: Mapping[str, str]) -> GitHubApi:
    """GitHub's API for the repository of this run, or the one that was named. Raises ConfigError without a token."""
    token, repository = read_token(environ), options.repository or context.repository
    if repository is None:
        raise ConfigError("the repository is not known", mend="Name it with --repository OWNER/NAME.")
    return GitHubApi(url=options.api_url or context.api_url, repository=repository, token=token)


def run_comment(
    options: CommentOptions,
    *,
    context: GitHubContext,
    api: GitHubApi,
    say: Callable[[str], None],
) -> int:
    """Find the pull request, write the comment, say what was done. Raises CiBudgetError where that cannot be done."""
    if options.from_artifact is None:
        number = options.pull_request or context.pull_request
        if number is None:
            raise ConfigError(
                "the pull request is not known: this run is not about one",
                mend="Name it with --pull-request; a workflow that workflow_run starts uses --from-artifact.",
            )
        text = _given_text(options, context)
    else:
        run = context.workflow_run
        if run is None:
            raise ConfigError(
                "--from-artifact takes the report of the run that started this workflow, and no run did",
                mend="It is for workflows `on: workflow_run`; elsewhere use --report.",
            )
        found = _pull_request_of(run, api, options, say)
        made = None if found is None else _text_of_run(run, api, options, context.run_url, say)
        if found is None or made is None:
            return ExitCode.OK
        number, text = found, made
    done = put_comment(api, number, text, author=options.author or find_author(api))
    say(f"{api.repository}#{number}: {'comment ' if done != 'nothing to tell' else ''}{done}")
    return ExitCode.OK


def _given_text(options: CommentOptions, context: GitHubContext) -> Text:
    address = options.address or context.run_url
    if str(options.report) == NO_REPORT:
        return _without_report(options.key, failed=True, address=address)
    path = options.report
    if path is None:
        if context.runner_temp is None:
            raise ConfigError("the report is not known", mend="Name its folder with --report.")
        path = context.runner_temp / "ci-budget-report"
    return _with_report(read_report(path), options.key, address=address, folder=str(path))


def _pull_request_of(
    run: WorkflowRun, api: GitHubApi, options: CommentOptions, say: Callable[[str], None]
) -> int | None:
    """The open pull request whose head the run was about: found by the commit, never by what the run left."""
    if run.event != "pull_request":
        say(f"run {run.id} was started by '{run.event}', not by a pull request: no comment")
        return None
    numbers = find_pull_requests(api, head_sha=run.head_sha, owner=run.owner, branch=run.branch)
    if options.pull_request is not None:
        numbers = [number for number in numbers if number == options.pull_request]
    if not numbers:
        say(f"no open pull request has the head {run.head_sha[:12]}: it was closed, or it moved on and has a newer run")
        return None
    if len(numbers) > 1:
        listed = ", ".join(f"#{number}" for number in numbers)
        raise ConfigError(
            f"{len(numbers)} open pull requests have the head {run.head_sha[:12]}: {listed}",
            mend="The run does not say which of them it was about; close all but one of them.",
        )
    return numbers[0]


def _text_of_run(
    run: WorkflowRun, api: GitHubApi, options: CommentOptions, page: str | None, say: Callable[[str], None]
) -> Text | None:
    name, address = options.from_artifact or "", options.address or page
    data = read_run_report(api, run.id, name)
    if data is not None:
        report = parse_report(data, f"report.json in the artifact '{name}' of run {run.id}")
        return _with_report(report, options.key, address=address, folder=name)
    if run.conclusion in _BROKEN:
        return _without_report(options.key, failed=True, address=address)
    if run.conclusion == "success":
        return _without_report(options.key, failed=False, address=address)
    say(f"run {run.id} ended as '{run.conclusion}' and left no report: no comment")
    return None


def _with_report(report: Report, key: str, *, address: str | None, folder: str) -> Text:
    body = render_comment(report, key=key, address=address, folder=folder)
    return Text(marker=_marker(key), body=body, quiet=is_quiet(report))


def _without_report(key: str, *, failed: bool, address: str | None) -> Text:
    marker = _marker(key)
    body = render_without_report(key=key, failed=failed, address=address)
    return Text(marker=marker, body=body, quiet=not failed)


def _marker(key: str) -> str:
    try:
        return marker_of(key)
    except ValueError as error:
        raise ConfigError(f"--key: {error}") from None
