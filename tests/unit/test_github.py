"""GitHub's environment: what is read from it, what is believed of it, and what is written back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ci_budget.edges.github import (
    LARGEST_OUTPUT,
    LARGEST_SUMMARY,
    GitHubContext,
    WorkflowRun,
    cut_summary,
    read_context,
)
from ci_budget.errors import UnmeasuredError

BASE, HEAD, MERGE, OTHER = ("b" * 40, "a" * 40, "c" * 40, "d" * 40)


def environ(tmp_path: Path, event: str, payload: Any, **more: str) -> dict[str, str]:
    """A run of acme/widgets with this event."""
    file = tmp_path / "event.json"
    file.write_bytes(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": event,
        "GITHUB_EVENT_PATH": str(file),
        "GITHUB_REPOSITORY": "acme/widgets",
        "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_SHA": MERGE,
        **more,
    }


def pull_request(head_repo: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "pull_request": {
            "number": 7,
            "base": {"sha": BASE, "repo": {"full_name": "acme/widgets"}},
            "head": {"sha": HEAD, "repo": head_repo},
        }
    }


def test_a_pull_request(tmp_path: Path) -> None:
    found = read_context(
        environ(
            tmp_path,
            "pull_request",
            pull_request({"full_name": "Acme/Widgets"}),
            GITHUB_API_URL="https://ghes.example/api/v3/",
            GITHUB_WORKSPACE="/w",
            RUNNER_TEMP="/t",
            RUNNER_DEBUG="1",
            GITHUB_OUTPUT="/o",
            GITHUB_STEP_SUMMARY="/s",
        )
    )
    assert found == GitHubContext(
        in_actions=True,
        event_name="pull_request",
        repository="acme/widgets",
        ref="refs/pull/7/merge",
        sha=MERGE,
        api_url="https://ghes.example/api/v3",
        workspace=Path("/w"),
        runner_temp=Path("/t"),
        debug=True,
        proposes=True,
        pull_request=7,
        base_sha=BASE,
        head_sha=HEAD,
        is_fork=False,
        output_file=Path("/o"),
        summary_file=Path("/s"),
    )


@pytest.mark.parametrize("origin", [{"full_name": "mallory/widgets"}, {"full_name": 7}, {}, None])
def test_a_fork_or_a_head_that_is_not_known(tmp_path: Path, origin: Any) -> None:
    assert read_context(environ(tmp_path, "pull_request", pull_request(origin))).is_fork


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"7", b"null", b'{"pull_request": []}', b"[" * 100_000, b"\xff"])
def test_a_payload_that_cannot_be_read_gives_no_base(tmp_path: Path, payload: bytes) -> None:
    found = read_context(environ(tmp_path, "pull_request", payload))
    assert (found.proposes, found.base_sha, found.is_fork) == (True, None, True)
    assert found.base_revision(head=OTHER, parents=[BASE]) is None


@pytest.mark.parametrize("sha", ["--upload-pack=x", "main", "b" * 39, "b" * 40 + "\n", "B" * 40, 7, None])
def test_only_a_full_commit_id_is_taken_for_a_base(tmp_path: Path, sha: Any) -> None:
    payload = pull_request({"full_name": "acme/widgets"})
    payload["pull_request"]["base"]["sha"] = sha
    assert read_context(environ(tmp_path, "pull_request", payload)).base_sha is None


def test_a_missing_payload(tmp_path: Path) -> None:
    given = environ(tmp_path, "pull_request", {})
    del given["GITHUB_EVENT_PATH"]
    assert read_context(given).base_sha is None


def test_a_merge_group(tmp_path: Path) -> None:
    payload = {"merge_group": {"base_sha": BASE, "head_sha": HEAD}}
    found = read_context(environ(tmp_path, "merge_group", payload, GITHUB_REF="refs/heads/gh-readonly-queue/main/pr-7"))
    assert (found.proposes, found.base_sha, found.head_sha) == (True, BASE, HEAD)
    assert found.base_revision(head=MERGE, parents=[OTHER, HEAD]) == BASE


def test_a_push_proposes_nothing(tmp_path: Path) -> None:
    found = read_context(environ(tmp_path, "push", {"before": BASE, "after": HEAD}, GITHUB_REF="refs/heads/main"))
    assert (found.proposes, found.base_revision(head=MERGE, parents=[BASE, HEAD])) == (False, None)


def test_outside_of_github_nothing_is_known_and_nothing_written() -> None:
    found = read_context({"GITHUB_EVENT_NAME": "pull_request", "GITHUB_OUTPUT": "/nowhere/o"})
    assert found == GitHubContext()
    found.write_outputs({"verdict": "pass"})
    found.write_summary("# nothing")


@pytest.mark.parametrize(
    ("head", "parents", "ref", "expected"),
    [
        (MERGE, [OTHER, HEAD], "refs/pull/7/merge", OTHER),
        (HEAD, [OTHER], "refs/pull/7/merge", BASE),
        # a merge commit of the author's own making: its first parent may be anything
        (HEAD, [OTHER, MERGE], "refs/pull/7/merge", BASE),
        (MERGE, [OTHER], "refs/pull/7/merge", BASE),
        (MERGE, [OTHER, HEAD], "refs/heads/refs/pull/7/merge", BASE),
    ],
)
def test_the_base_revision(tmp_path: Path, head: str, parents: list[str], ref: str, expected: str) -> None:
    given = environ(tmp_path, "pull_request", pull_request({"full_name": "acme/widgets"}), GITHUB_REF=ref)
    assert read_context(given).base_revision(head=head, parents=parents) == expected


def read_outputs(text: str) -> dict[str, str]:
    """The outputs as GitHub's runner reads the file (FileCommandManager.cs)."""
    found: dict[str, str] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if line:
            name, delimiter = line.split("<<", 1)
            value = []
            while (part := next(lines)) != delimiter:
                value.append(part)
            found[name] = "\n".join(value)
    return found


def test_outputs_cannot_end_their_own_entry(tmp_path: Path) -> None:
    file = tmp_path / "outputs"
    context = GitHubContext(in_actions=True, output_file=file)
    hostile = "a\nEOF\nverdict<<EOF\npass\nEOF\nx=y"
    context.write_outputs({"verdict": "fail", "metrics-json": hostile})
    context.write_outputs({"report": "", "layers": "7"})
    assert read_outputs(file.read_text()) == {
        "verdict": "fail",
        "metrics-json": hostile,
        "report": "",
        "layers": "7",
    }


def test_an_output_above_the_limit_is_left_empty(tmp_path: Path) -> None:
    file = tmp_path / "outputs"
    GitHubContext(output_file=file).write_outputs({"a": "x" * (LARGEST_OUTPUT + 1), "b": "x" * LARGEST_OUTPUT})
    found = read_outputs(file.read_text())
    assert (found["a"], len(found["b"])) == ("", LARGEST_OUTPUT)


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UnmeasuredError, match="cannot write to GitHub's file"):
        GitHubContext(output_file=tmp_path / "missing" / "o").write_outputs({"a": "b"})


def test_a_summary_stays_below_the_limit_over_several_writes(tmp_path: Path) -> None:
    file = tmp_path / "summary"
    context = GitHubContext(summary_file=file)
    context.write_summary("# one")
    context.write_summary("| ä |\n" * 300_000)
    context.write_summary("# three")
    text = file.read_text()
    assert text.startswith("# one\n| ä |\n")
    notice = "**The summary is cut here: GitHub shows at most 1 MiB. The whole report is in the report folder.**"
    assert text.endswith(f"| ä |\n\n\n{notice}\n")
    assert LARGEST_SUMMARY - 20 < file.stat().st_size <= LARGEST_SUMMARY


def test_a_short_summary_is_whole() -> None:
    assert cut_summary("# ok", room=100) == "# ok\n"
    assert cut_summary("# too much\n" * 100, room=50) == ""


def test_labels_of_a_pull_request_and_the_page_of_the_run(tmp_path: Path) -> None:
    payload = pull_request({"full_name": "acme/widgets"})
    payload["pull_request"]["labels"] = [{"name": "ci-budget-approval"}, {"name": 3}, "odd"]
    found = read_context(
        environ(tmp_path, "pull_request", payload, GITHUB_SERVER_URL="https://ghes.example/", GITHUB_RUN_ID="5")
    )
    assert found.labels == ("ci-budget-approval",)
    assert found.run_url == "https://ghes.example/acme/widgets/actions/runs/5"


@pytest.mark.parametrize("change", [{"id": "9"}, {"id": True}, {"head_sha": "--upload-pack"}, {"head_sha": None}])
def test_the_run_that_started_this_one(tmp_path: Path, change: Mapping[str, Any]) -> None:
    run = {
        "id": 9,
        "event": "pull_request",
        "conclusion": None,
        "head_sha": HEAD,
        "head_branch": "x",
        "head_repository": {"owner": {"login": "mallory"}},
    }
    given = environ(tmp_path, "workflow_run", {"workflow_run": run}, GITHUB_SERVER_URL="https://github.com")
    found = read_context(given)
    assert found.workflow_run == WorkflowRun(
        id=9, event="pull_request", conclusion="", head_sha=HEAD, branch="x", owner="mallory"
    )
    assert found.run_url == "https://github.com/acme/widgets/actions/runs/9"
    assert found.pull_request is None
    assert read_context(environ(tmp_path, "workflow_run", {"workflow_run": {**run, **change}})).workflow_run is None
    assert read_context(environ(tmp_path, "push", {"workflow_run": run})).workflow_run is None
