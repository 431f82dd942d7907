"""The one open issue that is ours: opened, brought up to date, closed."""

from __future__ import annotations

from typing import Any, Literal

from ci_budget.core.history.drift_issue import DriftIssue, is_drift_issue
from ci_budget.edges.web.github_api import GitHubApi, MaybeDoneError
from ci_budget.edges.web.pull_requests import Answer, User, read_answer

READ = "issues: read"
WRITE = "issues: write"

Done = Literal["opened", "updated", "unchanged", "closed", "nothing to tell"]


class _Issue(Answer):
    number: int
    title: str
    body: str | None = None
    user: User | None = None
    pull_request: Any = None


def put_issue(api: GitHubApi, issue: DriftIssue, *, author: str) -> tuple[Done, int | None]:
    """Open the issue where the threshold is crossed, update it while it is, close it when it is no more.

    Only open issues of `author` that begin with the marker count. Returns what was done, and the issue's number.
    """
    mine = _own_issue(api, author)
    if mine is None:
        if not issue.crossed:
            return "nothing to tell", None
        given = {"title": issue.title, "body": issue.body}
        try:
            return "opened", read_answer(_Issue, api.post("issues", given, right=WRITE)).number
        except MaybeDoneError:
            found = _own_issue(api, author)
            number = (found or read_answer(_Issue, api.post("issues", given, right=WRITE))).number
            return "opened", number
    changes: dict[str, str] = {} if issue.crossed else {"state": "closed"}
    if mine.title != issue.title:
        changes["title"] = issue.title
    if (mine.body or "").replace("\r\n", "\n").strip() != issue.body.strip():
        changes["body"] = issue.body
    if not changes:
        return "unchanged", mine.number
    api.patch(f"issues/{mine.number}", changes, right=WRITE)
    return ("updated" if issue.crossed else "closed"), mine.number


def _own_issue(api: GitHubApi, author: str) -> _Issue | None:
    """The oldest one that is ours, from all pages; a pull request is no issue."""
    listed = api.pages("issues", right=READ, state="open", creator=author, sort="created", direction="asc")
    for item in listed:
        issue = read_answer(_Issue, item)
        wrote = issue.user is not None and issue.user.login.casefold() == author.casefold()
        if wrote and issue.pull_request is None and is_drift_issue(issue.body or ""):
            return issue
    return None
