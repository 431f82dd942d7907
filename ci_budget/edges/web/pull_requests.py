"""Pull requests at GitHub: found by their head commit, and the one comment that is ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ci_budget.edges.web.github_api import GitHubApi, MaybeDoneError, RefusedError
from ci_budget.errors import UnmeasuredError

READ = "pull-requests: read"
WRITE = "pull-requests: write"

ACTIONS_LOGIN = "github-actions[bot]"
"""Who writes with a job's own token, which cannot ask who it is."""

Done = Literal["created", "updated", "unchanged", "nothing to tell"]
_Model = TypeVar("_Model", bound=BaseModel)


class Answer(BaseModel):
    """The part of an answer that is used; GitHub adds keys at any time."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class User(Answer):
    """Who wrote something."""

    login: str


class Comment(Answer):
    """A comment as GitHub lists it. `user` is None where the account is gone."""

    id: int
    body: str | None = None
    user: User | None = None


class _Head(Answer):
    sha: str


class _Pull(Answer):
    number: int
    head: _Head


@dataclass(frozen=True, kw_only=True)
class Text:
    """What a comment shall say. `marker` is its first line; `quiet`: it is worth no comment where there is none yet."""

    marker: str
    body: str
    quiet: bool = False


def find_author(api: GitHubApi) -> str:
    """The login that the token writes as; a job's own token may not ask, and writes as github-actions[bot]."""
    try:
        return read_answer(User, api.get("/user", right="none")).login
    except RefusedError as error:
        if error.status != 403:
            raise
        return ACTIONS_LOGIN


def find_pull_requests(api: GitHubApi, *, head_sha: str, owner: str | None, branch: str | None) -> list[int]:
    """The open pull requests whose head is this commit; `owner` and `branch` only narrow the search."""
    narrowed = {"head": f"{owner}:{branch}"} if owner and branch else {}
    pulls = (read_answer(_Pull, item) for item in api.pages("pulls", right=READ, state="open", **narrowed))
    return [pull.number for pull in pulls if pull.head.sha == head_sha]


def put_comment(api: GitHubApi, number: int, text: Text, *, author: str) -> Done:
    """Write the comment, or bring the one that is there up to date; an unchanged one is left alone.

    Only comments of `author` whose first line is the marker count; of several the oldest stays. Raises
    UnmeasuredError, with what to do, where GitHub refuses.
    """
    mine = _own_comments(api, number, text.marker, author)
    if not mine:
        if text.quiet:
            return "nothing to tell"
        try:
            api.post(f"issues/{number}/comments", {"body": text.body}, right=WRITE)
        except MaybeDoneError:
            if not _own_comments(api, number, text.marker, author):
                api.post(f"issues/{number}/comments", {"body": text.body}, right=WRITE)
        return "created"
    first, *others = mine
    for other in others:
        api.delete(f"issues/comments/{other.id}", right=WRITE)
    if _plain(first.body) == _plain(text.body):
        return "unchanged"
    api.patch(f"issues/comments/{first.id}", {"body": text.body}, right=WRITE)
    return "updated"


def read_answer(model: type[_Model], item: Any) -> _Model:
    """The part of GitHub's answer that is used. Raises UnmeasuredError where it is of another shape."""
    try:
        return model.model_validate(item)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"]) or "all of it"
        raise UnmeasuredError(f"GitHub's answer is not as its API describes it ({place})") from error


def _own_comments(api: GitHubApi, number: int, marker: str, author: str) -> list[Comment]:
    """Ours, oldest first, from all pages."""
    found = (read_answer(Comment, item) for item in api.pages(f"issues/{number}/comments", right=READ))
    return [comment for comment in found if _is_ours(comment, marker, author)]


def _is_ours(comment: Comment, marker: str, author: str) -> bool:
    wrote = comment.user is not None and comment.user.login.casefold() == author.casefold()
    return wrote and _plain(comment.body).split("\n", 1)[0] == marker


def _plain(body: str | None) -> str:
    """GitHub may keep line breaks as a browser sends them."""
    return (body or "").replace("\r\n", "\n").strip()
