"""The one issue about drift: opened, updated, closed; each call held against GitHub's description."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ci_budget.__main__ import main
from ci_budget.core.history.drift_issue import DriftIssue, read_drift
from ci_budget.edges.web.github_api import GitHubApi
from ci_budget.edges.web.issues import put_issue
from ci_budget.errors import ConfigError
from tests.github_api.conftest import Addresses
from tests.github_api.server import BOT, TOKEN, Fault, StandIn
from tests.unit.golden_reports import HOSTILE


def trends(**offences: list[str]) -> bytes:
    """What `report --format json` prints, in its parts that count, and more than those."""
    images = [
        {"name": name, "platform": "linux/amd64", "offences": why, "verdict": "pass", "metrics": {}}
        for name, why in offences.items()
    ]
    return json.dumps(
        {"schema_version": 1, "repository": "", "until": "2026-03-01", "days": 30, "threshold": 10.0, "images": images}
    ).encode()


def drift(**offences: list[str]) -> DriftIssue:
    return read_drift(trends(**offences), "trends.json", address="https://x/runs/1")


def test_the_text() -> None:
    found = drift(web=["image_size is 12.0 % above the last release", "layers grew by 20.0 %"], api=[])
    assert found.title == "ci-budget: 1 image over the threshold"
    assert found.body == (
        "<!-- ci-budget-drift -->\n"
        "Of 2 images, 1 grew or drifted by 10 % or more, failed, or will soon reach a budget (30 days until "
        "2026-03-01).\n\n"
        "- `web` (linux/amd64): image_size is 12.0 % above the last release; layers grew by 20.0 %\n\n"
        "The whole report: https://x/runs/1\n"
    )


def test_opened_updated_left_alone_and_closed(api: GitHubApi, github: StandIn) -> None:
    assert put_issue(api, drift(web=[]), author=BOT) == ("nothing to tell", None)
    assert put_issue(api, drift(web=["x"]), author=BOT) == ("opened", 1)
    assert put_issue(api, drift(web=["x"]), author=BOT) == ("unchanged", 1)
    assert put_issue(api, drift(web=["x"], api=["y"]), author=BOT) == ("updated", 1)
    assert github.issues[0]["title"] == "ci-budget: 2 images over the threshold"
    assert put_issue(api, drift(web=[]), author=BOT) == ("closed", 1)
    assert (github.issues[0]["state"], len(github.issues)) == ("closed", 1)
    assert put_issue(api, drift(web=["z"]), author=BOT) == ("opened", 2)


def test_ours_is_found_behind_many_others_and_theirs_is_not_touched(api: GitHubApi, github: StandIn) -> None:
    for number in range(1, 151):
        author = BOT if number % 2 else "mallory"
        github.issues.append(github.examples.issue(number, author, {"title": "t", "body": "b"}))
    github.issues[1].update({"body": drift(web=["x"]).body})
    pull = github.examples.issue(151, BOT, {"title": "t", "body": drift(web=["x"]).body})
    github.issues.append(
        {**pull, "pull_request": dict.fromkeys(("url", "html_url", "diff_url", "patch_url"), "https://x")}
    )
    github.issues.append(github.examples.issue(152, BOT, {"title": "t", "body": "<!-- ci-budget-drift -->\r\nold"}))
    assert put_issue(api, drift(web=["x"]), author=BOT) == ("updated", 152)
    assert github.asked("PATCH") == ["/repos/acme/widgets/issues/152"]


def test_an_issue_whose_answer_was_lost_is_not_opened_twice(bare: GitHubApi, github: StandIn) -> None:
    github.faults = [Fault(method="POST", path="/issues", status=502, lost=True)]
    assert put_issue(bare, drift(web=["x"]), author=BOT) == ("opened", 1)
    assert len(github.issues) == 1


def test_thousands_fit_and_hostile_text_stays_text() -> None:
    found = drift(**{f"{HOSTILE}{number}": [HOSTILE] * 9 for number in range(2000)})
    assert len(found.body.encode()) < 65_536
    assert "more\n\nThe whole report" in found.body
    assert "<img" not in found.body
    assert "@everyone" not in found.body
    assert found.body.count("<!--") == 1


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", trends(web=["x"]).replace(b'"offences"', b'"x"'), b"[" * 9999])
def test_what_is_no_report_of_trends(data: bytes) -> None:
    with pytest.raises(ConfigError, match=r"this is no report of trends"):
        read_drift(data, "trends.json", address=None)


def test_a_newer_format_is_refused() -> None:
    with pytest.raises(ConfigError, match="its format is version 2"):
        read_drift(trends().replace(b'"schema_version": 1', b'"schema_version": 2'), "t", address=None)


def test_on_the_command_line(
    addresses: tuple[StandIn, Addresses],
    github: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "trends.json").write_bytes(trends(web=["x"]))
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    words = ["issue", "--trends", str(tmp_path / "trends.json"), "--repository", "acme/widgets"]
    assert main([*words, "--api-url", addresses[1].checked]) == 0
    assert capsys.readouterr().out == "acme/widgets#1: issue opened\n"
    github.rights = {"read"}
    (tmp_path / "trends.json").write_bytes(trends(web=["y"]))
    assert main([*words, "--api-url", addresses[1].checked]) == 3
    assert "Give the job the permission `issues: write`" in capsys.readouterr().err
