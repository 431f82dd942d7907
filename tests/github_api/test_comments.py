"""The one comment: found among all, ours alone, updated in place; each call held against GitHub's description."""

from __future__ import annotations

import pytest

from ci_budget.edges.web.github_api import GitHubApi, RefusedError
from ci_budget.edges.web.pull_requests import ACTIONS_LOGIN, Text, find_author, find_pull_requests, put_comment
from tests.github_api.conftest import Clock
from tests.github_api.server import BOT, Fault, StandIn

MARKER = "<!-- ci-budget-comment: default -->"
HEAD = "a" * 40


def text(said: str = "ten", *, key: str = "default", quiet: bool = False) -> Text:
    marker = f"<!-- ci-budget-comment: {key} -->"
    return Text(marker=marker, body=f"{marker}\n{said}\n", quiet=quiet)


def put(api: GitHubApi, said: Text) -> str:
    return put_comment(api, 7, said, author=BOT)


def test_made_once_then_updated_in_place_then_left_alone(api: GitHubApi, github: StandIn) -> None:
    assert put(api, text("ten")) == "created"
    assert put(api, text("eleven")) == "updated"
    asked = len(github.requests)
    assert put(api, text("eleven")) == "unchanged"
    assert [request.method for request in github.requests[asked:]] == ["GET"]
    assert github.bodies(7) == [f"{MARKER}\neleven\n"]


def test_nothing_to_tell_makes_no_comment_but_updates_the_one_that_is_there(api: GitHubApi, github: StandIn) -> None:
    assert put(api, text("fine", quiet=True)) == "nothing to tell"
    assert github.bodies(7) == []
    put(api, text("bad"))
    assert put(api, text("fine", quiet=True)) == "updated"
    assert github.bodies(7) == [f"{MARKER}\nfine\n"]


def test_ours_is_found_on_the_fourth_page(api: GitHubApi, github: StandIn) -> None:
    for index in range(350):
        github.add_comment(7, "somebody", f"comment {index}")
    ours = github.add_comment(7, BOT, f"{MARKER}\r\nold")
    assert put(api, text("new")) == "updated"
    assert (len(github.bodies(7)), ours["body"]) == (351, f"{MARKER}\nnew\n")
    assert [request.query.get("page", "1") for request in github.requests[:4]] == ["1", "2", "3", "4"]
    assert {request.query["per_page"] for request in github.requests[:4]} == {"100"}


def test_what_others_wrote_is_never_touched(api: GitHubApi, github: StandIn) -> None:
    theirs = [
        github.add_comment(7, "mallory", f"{MARKER}\nforged"),
        github.add_comment(7, BOT, f"quoted:\n{MARKER}\nnot the first line"),
        github.add_comment(7, BOT, "<!-- ci-budget-comment: other -->\nanother key"),
        github.add_comment(7, BOT, f"{MARKER} \nnot the marker alone"),
        {**github.add_comment(7, "ghost", MARKER), "user": None},
    ]
    github.comments[7][4]["user"] = None
    before = [comment["body"] for comment in theirs]
    assert put(api, text("ours")) == "created"
    assert github.bodies(7) == [*before, f"{MARKER}\nours\n"]


def test_keys_live_side_by_side(api: GitHubApi, github: StandIn) -> None:
    assert [put(api, text("a", key="linux/arm64")), put(api, text("b"))] == ["created", "created"]
    assert put(api, text("c", key="linux/arm64")) == "updated"
    assert [body.splitlines()[1] for body in github.bodies(7)] == ["c", "b"]


def test_of_several_one_is_left(api: GitHubApi, github: StandIn) -> None:
    for said in ("one", "two", "three"):
        github.add_comment(7, BOT, f"{MARKER}\n{said}")
    assert put(api, text("one")) == "unchanged"
    assert github.bodies(7) == [f"{MARKER}\none"]


def test_a_comment_whose_answer_was_lost_is_not_made_twice(bare: GitHubApi, github: StandIn) -> None:
    github.faults = [Fault(method="POST", path="/comments", status=502, lost=True)]
    assert put(bare, text()) == "created"
    assert (len(github.bodies(7)), len(github.asked("POST"))) == (1, 1)


def test_a_comment_that_was_not_made_is_made_again(bare: GitHubApi, github: StandIn) -> None:
    github.faults = [Fault(method="POST", path="/comments", status=0)]
    assert put(bare, text()) == "created"
    assert (len(github.bodies(7)), len(github.asked("POST"))) == (1, 2)


def test_who_writes(api: GitHubApi, github: StandIn) -> None:
    assert find_author(api) == ACTIONS_LOGIN
    github.login = "octocat"
    assert find_author(api) == "octocat"


def test_a_token_without_the_right_is_told_so(api: GitHubApi, github: StandIn, clock: Clock) -> None:
    github.rights = {"read"}
    with pytest.raises(RefusedError) as error:
        put(api, text())
    assert str(error.value) == (
        "the token may not do this (POST /repos/acme/widgets/issues/7/comments: Resource not accessible by "
        "integration)\n  Give the job the permission `pull-requests: write`. A run for a fork's pull request never "
        "gets it: workflows/pr-comment.yml is made for those."
    )
    assert (error.value.exit_code, clock.slept) == (3, [])


def test_pull_requests_are_found_by_their_head(api: GitHubApi, github: StandIn) -> None:
    for number in range(1, 121):
        github.add_pull(number, f"{number:040x}")
    github.add_pull(200, HEAD)
    github.add_pull(201, HEAD, label="other:change")
    assert find_pull_requests(api, head_sha=HEAD, owner="mallory", branch="change") == [200]
    assert find_pull_requests(api, head_sha=HEAD, owner=None, branch=None) == [200, 201]
    assert find_pull_requests(api, head_sha="b" * 40, owner="mallory", branch="change") == []
    assert github.requests[0].query == {"state": "open", "head": "mallory:change", "per_page": "100"}


def test_prism_refuses_what_github_does_not_know(api: GitHubApi, github: StandIn) -> None:
    with pytest.raises(RefusedError, match="422"):
        api.post("issues/7/comments", {"bodi": "x"}, right="x")
    with pytest.raises(RefusedError, match="no such thing"):
        api.get("commentz", right="x")
    assert github.requests == []
