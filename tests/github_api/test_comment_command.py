"""`comment`: from a report to the pull request, in its own run and in the run that a fork's run started."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ci_budget.__main__ import main
from ci_budget.commands.comment import run_comment
from ci_budget.commands.comment_options import CommentOptions
from ci_budget.core.render.comment import render_comment, render_without_report
from ci_budget.core.render.json_text import render_json
from ci_budget.edges.github import GitHubContext, WorkflowRun
from ci_budget.edges.web.github_api import GitHubApi
from ci_budget.edges.web.run_artifacts import LARGEST_ARTIFACT, read_archived_report
from ci_budget.errors import ConfigError
from tests.github_api.archives import archive, encrypted, with_link
from tests.github_api.conftest import Addresses
from tests.github_api.server import BOT, TOKEN, StandIn
from tests.unit.golden_reports import hostile_report, mixed_report
from tests.unit.test_comment_render import judged
from tests.unit.test_comment_render import run as run_of

HEAD = "a" * 40
PAGE = "https://github.com/acme/widgets/actions/runs/99"
STARTED_BY = WorkflowRun(
    id=99, event="pull_request", conclusion="failure", head_sha=HEAD, branch="change", owner="mallory"
)
CONTEXT = GitHubContext(
    in_actions=True, event_name="workflow_run", repository="acme/widgets", workflow_run=STARTED_BY, run_url=PAGE
)
BYTES = render_json(mixed_report()).encode()


def comment(
    api: GitHubApi, *, context: GitHubContext = CONTEXT, options: CommentOptions | None = None, **changes: Any
) -> list[str]:
    """What the command says; `changes` are of the run that started it."""
    said: list[str] = []
    if changes and context.workflow_run is not None:
        context = replace(context, workflow_run=replace(context.workflow_run, **changes))
    chosen = options or CommentOptions(from_artifact="ci-budget-report")
    assert run_comment(chosen, context=context, api=api, say=said.append) == 0
    return said


@pytest.fixture
def fork(github: StandIn) -> StandIn:
    """A fork's pull request, and what its run left."""
    github.add_pull(7, HEAD)
    github.add_artifact(99, "logs", b"")
    github.add_artifact(99, "ci-budget-report", archive({"report.json": BYTES, "logs/app/build.log": b"::error::x"}))
    return github


def test_a_forks_report_reaches_its_pull_request(bare: GitHubApi, fork: StandIn) -> None:
    assert comment(bare) == ["acme/widgets#7: comment created"]
    assert fork.bodies(7) == [render_comment(mixed_report(), address=PAGE, folder="ci-budget-report")]
    assert comment(bare) == ["acme/widgets#7: comment unchanged"]


def test_the_newest_artifact_counts_and_an_expired_one_does_not(bare: GitHubApi, fork: StandIn) -> None:
    quiet = archive({"report.json": render_json(run_of(judged())).encode()})
    fork.add_artifact(99, "ci-budget-report", quiet)
    fork.add_artifact(99, "ci-budget-report", b"", expired=True)
    assert comment(bare) == ["acme/widgets#7: nothing to tell"]
    assert fork.bodies(7) == []


def test_each_call_is_one_that_github_describes(api: GitHubApi, github: StandIn) -> None:
    """Through Prism, which would refuse; a run without an artifact, then one call for an archive."""
    github.add_pull(7, HEAD)
    assert comment(api) == ["acme/widgets#7: comment created"]
    github.add_artifact(99, "ci-budget-report", b"data")
    assert api.download(f"actions/artifacts/{github.artifacts[99][0]['id']}/zip", right="x", most=10) == b"data"


def test_a_pull_request_that_moved_on_or_was_closed(bare: GitHubApi, fork: StandIn) -> None:
    said = "no open pull request has the head bbbbbbbbbbbb: it was closed, or it moved on and has a newer run"
    assert comment(bare, head_sha="b" * 40) == [said]
    assert fork.asked("POST") == []


def test_a_run_that_is_about_no_pull_request(bare: GitHubApi, fork: StandIn) -> None:
    assert comment(bare, event="push") == ["run 99 was started by 'push', not by a pull request: no comment"]
    assert fork.requests == []


def test_two_pull_requests_with_one_head(bare: GitHubApi, fork: StandIn) -> None:
    fork.add_pull(8, HEAD)
    with pytest.raises(ConfigError, match="2 open pull requests have the head aaaaaaaaaaaa: #7, #8"):
        comment(bare)
    chosen = CommentOptions(from_artifact="ci-budget-report", pull_request=8)
    assert comment(bare, options=chosen) == ["acme/widgets#8: comment created"]


def test_a_number_that_the_head_commit_does_not_lead_to_is_refused(bare: GitHubApi, fork: StandIn) -> None:
    other = CommentOptions(from_artifact="ci-budget-report", pull_request=1)
    (said,) = comment(bare, options=other)
    assert said.startswith("no open pull request has the head aaaaaaaaaaaa: ")
    assert fork.comments == {}


@pytest.mark.parametrize("conclusion", ["failure", "timed_out", "cancelled", "startup_failure"])
def test_a_run_that_broke_and_left_nothing_is_no_pass(bare: GitHubApi, github: StandIn, conclusion: str) -> None:
    github.add_pull(7, HEAD)
    assert comment(bare, conclusion=conclusion) == ["acme/widgets#7: comment created"]
    assert github.bodies(7) == [render_without_report(key="default", failed=True, address=PAGE)]


def test_a_run_that_built_nothing_mends_an_older_comment(bare: GitHubApi, github: StandIn) -> None:
    github.add_pull(7, HEAD)
    assert comment(bare, conclusion="success") == ["acme/widgets#7: nothing to tell"]
    github.add_comment(7, BOT, "<!-- ci-budget-comment: default -->\nfail")
    assert comment(bare, conclusion="success") == ["acme/widgets#7: comment updated"]
    assert github.bodies(7) == [render_without_report(key="default", failed=False, address=PAGE)]
    assert comment(bare, conclusion="action_required") == [
        "run 99 ended as 'action_required' and left no report: no comment"
    ]


def test_in_its_own_run(bare: GitHubApi, github: StandIn, tmp_path: Path) -> None:
    context = GitHubContext(repository="acme/widgets", pull_request=7, runner_temp=tmp_path)
    (tmp_path / "ci-budget-report").mkdir()
    (tmp_path / "ci-budget-report" / "report.json").write_bytes(BYTES)
    options = CommentOptions(key="arm64")
    assert comment(bare, context=context, options=options) == ["acme/widgets#7: comment created"]
    assert github.bodies(7)[0].startswith("<!-- ci-budget-comment: arm64 -->\n## ❌ fail: ci-budget\n")
    none = replace(options, report=Path("none"))
    assert comment(bare, context=context, options=none) == ["acme/widgets#7: comment updated"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no archive", "is no archive that can be read: File is not a zip file"),
        (archive({"report.json": BYTES})[:-30], "is no archive that can be read: "),
        (archive({}), "has 0 files report.json at its top, not one"),
        (archive({"../report.json": BYTES, "/report.json": BYTES, "a/report.json": BYTES}), "has 0 files report.json"),
        (encrypted(archive({"report.json": BYTES})), "is no archive that can be read: "),
        (archive({f"{index}": b"" for index in range(20_001)}), "holds 20,001 files; at most 20,000 are looked at"),
        (archive({"report.json": b" " * 64_000_001}), "is larger than 64,000,000 bytes"),
    ],
    ids=["no zip", "cut off", "empty", "elsewhere", "encrypted", "many files", "a bomb"],
)
def test_an_archive_that_is_not_as_a_gate_leaves_it(data: bytes, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_archived_report(data, "artifact")
    assert said in error.value.what


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (with_link("/etc/passwd"), "this report is no JSON"),
        (archive({"report.json": b'{"schema_version": 1}'}), "this report has values that ci-budget never writes"),
        (archive({"report.json": BYTES[:-100]}), "this report is cut off in the middle"),
        (
            archive({"report.json": BYTES.replace(b'"notes"', b'"hack": 1, "notes"', 1)}),
            "Extra inputs are not permitted",
        ),
        (archive({"report.json": b'{"schema_version": 99}'}), "was written by a newer ci-budget"),
        (archive({"report.json": b"[" * 100_000}), "this report cannot be read: it is nested too deeply"),
    ],
    ids=["a link", "no report", "cut off", "more keys", "newer", "deep"],
)
def test_a_report_that_is_none(bare: GitHubApi, github: StandIn, content: bytes, said: str) -> None:
    github.add_pull(7, HEAD)
    github.add_artifact(99, "ci-budget-report", content)
    with pytest.raises(ConfigError, match=said):
        comment(bare)
    assert github.bodies(7) == []


def test_an_artifact_that_is_too_large_is_not_even_asked_for(bare: GitHubApi, fork: StandIn) -> None:
    fork.artifacts[99][-1]["size_in_bytes"] = LARGEST_ARTIFACT + 1
    with pytest.raises(ConfigError, match="at most 268,435,456 are read"):
        comment(bare)
    assert not [path for path in fork.asked("GET") if path.endswith("/zip")]


def test_hostile_text_stays_text(bare: GitHubApi, github: StandIn) -> None:
    github.add_pull(7, HEAD)
    github.add_artifact(99, "ci-budget-report", archive({"report.json": render_json(hostile_report()).encode()}))
    comment(bare)
    (body,) = github.bodies(7)
    assert "](http" not in body.replace(f"]({PAGE})", "")
    assert "<img" not in body
    assert "@everyone" not in body


@pytest.mark.parametrize(
    ("options", "context", "said"),
    [
        (CommentOptions(), GitHubContext(), "the pull request is not known: this run is not about one"),
        (CommentOptions(from_artifact="x"), GitHubContext(), "no run did"),
        (CommentOptions(pull_request=1), GitHubContext(), "the report is not known"),
        (CommentOptions(pull_request=1, report=Path("/none/here")), GitHubContext(), "there is no report /none/here"),
        (CommentOptions(pull_request=1, report=Path("none"), key="-->"), GitHubContext(), "--key: '-->' is no key"),
    ],
)
def test_what_is_missing(
    bare: GitHubApi, github: StandIn, options: CommentOptions, context: GitHubContext, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        run_comment(options, context=context, api=bare, say=print)
    assert github.requests == []


def test_on_the_command_line(
    addresses: tuple[StandIn, Addresses],
    github: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As Jenkins or GitLab would: everything by option, the token from the environment, a proxy's login not sent."""
    (tmp_path / "report.json").write_bytes(BYTES)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password other\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["comment", "--report", str(tmp_path), "--pull-request", "7", "--repository", "acme/widgets"]
    words += ["--api-url", addresses[1].checked, "--author", BOT, "--address", PAGE]
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("ci-budget: there is no token for GitHub: the variable GITHUB_TOKEN is")
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    assert main(words) == 0
    assert capsys.readouterr().out == "acme/widgets#7: comment created\n"
    monkeypatch.setenv("GITHUB_TOKEN", "another")
    assert main(words) == 3
    assert TOKEN not in capsys.readouterr().err + os.linesep
