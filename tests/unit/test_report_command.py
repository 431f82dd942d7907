"""`report`: what it prints from a history, what it imports, and what it says when it cannot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from ci_budget.__main__ import main
from ci_budget.commands.report import run_report
from ci_budget.commands.report_options import ReportOptions
from ci_budget.core.history.build_view import unpack_view
from ci_budget.core.inventory.model import Inventories
from ci_budget.core.inventory.storage import render_inventories
from ci_budget.core.records.report import Base, Verdict
from ci_budget.core.release.facts import ReleasedImage, ReleaseFacts
from ci_budget.edges.history.address import history_address
from ci_budget.edges.history.database import open_history
from ci_budget.errors import ConfigError, UnmeasuredError
from tests.unit.history_samples import FIRST, GB, built, commit, inventory, night, write_report
from tests.unit.report_samples import metrics

NOW = FIRST + timedelta(days=9, hours=1)
MB = 10**6
API = "<code>api&#96;&#124;&#60;b&#62;</code>"


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports of ten nights of two images; on the eighth the base and the size change."""
    folder = tmp_path_factory.mktemp("nights")
    for index in range(10):
        base = Base(reference="python:3.11", image_id="sha256:new" if index > 6 else "sha256:old")
        size = GB + 5 * MB * index + (100 * MB if index > 6 else 0)
        web = built("web", size=size, budget=1500 * MB, bases=[base])
        write_report(folder / str(index), night(index, *([web, built("api`|<b>")] if index else [web])))
    return folder


@pytest.fixture
def place(nights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a config, with a state directory of its own and a copy of the reports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CI_BUDGET_STATE", str(tmp_path / "ci-budget-state"))
    shutil.copytree(nights, tmp_path / "nights")
    return tmp_path


@pytest.fixture
def report(place: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    def run(**options: object) -> tuple[str, str]:
        assert run_report(ReportOptions(**options), now=NOW) == 0  # type: ignore[arg-type]
        done = capsys.readouterr()
        return done.out, done.err

    return run


EXPECTED = f"""\
## Build budgets

2 images, the 30 days until 2026-03-10.

### Worst offenders

1. `web`: image_size 1.14 GB reaches its budget of 1.50 GB in 20 days; peak_disk grew by 14.5 %; image_size grew by \
14.5 %

### What changed when

| day | image | metric | before | after | change | commits | base image |
|---|---|---|--:|--:|--:|---|---|
| 2026-03-08 | `web` | peak_disk | 2.06 GB | 2.27 GB | +210 MB | `a7a7a7a7a7a7..a8a8a8a8a8a8` | changed too |
| 2026-03-08 | `web` | image_size | 1.03 GB | 1.14 GB | +105 MB | `a7a7a7a7a7a7..a8a8a8a8a8a8` | changed too |

<details><summary>All images</summary>

| image | verdict | metric | now | change | a day | of budget | days until budget | since release |
|---|---|---|--:|--:|--:|--:|--:|--:|
| `web` | pass | peak_disk | 2.29 GB | +290 MB (+14.5 %) | +35.5 MB/day | - | - | - |
| `web` | pass | image_size | 1.14 GB | +145 MB (+14.5 %) | +17.7 MB/day | 76 % | 20 days | - |
| `web` | pass | layers | 8 | 0 | 0/day | - | - | - |
| `web` | pass | context_size | 400 kB | 0 | 0/day | - | - | - |
| {API} | pass | peak_disk | 2.00 GB | 0 | 0/day | - | - | - |
| {API} | pass | image_size | 1.00 GB | 0 | 0/day | - | - | - |
| {API} | pass | layers | 8 | 0 | 0/day | - | - | - |
| {API} | pass | context_size | 400 kB | 0 | 0/day | - | - | - |

</details>

The slope is that of the straight line of least squares through the last value of each day; it needs values of at \
least 5 days. Days until the budget = (budget - last value) / slope, rounded down; none is given where the slope is \
not positive or the answer is beyond 3,650 days.
"""


def test_import_and_report(report: Callable[..., tuple[str, str]], place: Path) -> None:
    out, said = report(imports=(place / "nights",))
    database = place / "ci-budget-state" / "history.sqlite"
    assert said == f"imported 19 new of 19 measurements from 10 reports into {database}\n"
    assert out == EXPECTED
    again, said = report(imports=(place / "nights" / "3" / "report.json",))
    assert said == f"imported 0 new of 2 measurements from 1 reports into {database}\n"
    assert again == out


def test_a_release_beside_a_report_gives_the_drift(report: Callable[..., tuple[str, str]], place: Path) -> None:
    facts = ReleaseFacts(
        ci_budget="0.1.0", verdict=Verdict.PASS, exit_code=0, checked="2026-03-04T08:00:00Z",
        candidate="r.example/web:v1", digest="sha256:d", images=[
            ReleasedImage(platform="linux/amd64", manifest_digest="sha256:m", image_id="sha256:i", name="web",
                          verdict=Verdict.PASS, exit_code=0, metrics=metrics(peak_disk=None, image_size=1015 * MB))
        ],
    )  # fmt: skip
    (place / "nights" / "3" / "release.json").write_text(facts.model_dump_json())
    refused = facts.model_copy(update={"exit_code": 1, "checked": "2026-03-06T08:00:00Z"})
    (place / "nights" / "5" / "release.json").write_text(refused.model_dump_json())
    out, _ = report(imports=(place / "nights",))
    assert "image_size is 12.8 % above the last release" in out
    assert "+145 MB (+14.5 %) | +17.7 MB/day | 76 % | 20 days | +130 MB (+12.8 %) |" in out


def test_json_has_exact_values(report: Callable[..., tuple[str, str]], place: Path) -> None:
    out, _ = report(imports=(place / "nights",), format="json", images=("web",))
    (image,) = json.loads(out)["images"]
    assert image["commit"] == commit(9)
    assert image["offences"][0] == "image_size 1.14 GB reaches its budget of 1.50 GB in 20 days"
    size = image["metrics"]["image_size"]
    assert round(size.pop("slope_per_day")) == 17_727_273
    assert size == {
        "value": 1145 * MB, "first": GB, "days": 10, "budget": 1500 * MB, "days_until_budget": 20, "released": None,
        "drift": None,
    }  # fmt: skip
    assert {"day": "2026-03-08", "metric": "image_size", "before": 1030 * MB, "after": 1135 * MB,
            "commit": commit(7), "previous_commit": commit(6), "base_changed": True} in image["changes"]  # fmt: skip


def test_the_page_and_the_output_are_written(report: Callable[..., tuple[str, str]], place: Path) -> None:
    mine = inventory().model_copy(update={"image_id": f"sha256:{1145 * MB}"})
    kept = render_inventories(Inventories(images={"web": mine}))
    (place / "nights" / "9" / "inventory.json.zst").write_bytes(kept)
    out, said = report(
        imports=(place / "nights",), html=place / "out" / "page.html", output=place / "out" / "report.md"
    )
    assert out == ""
    assert said.endswith(f"HTML: {place}/out/page.html\n")
    page = (place / "out" / "page.html").read_text()
    assert page.startswith("<!doctype html>")
    assert '"name":"usr/lib/"' in page
    assert '<h2 id="worst">' in page
    assert (place / "out" / "report.md").read_text().startswith("## Build budgets\n")


def test_a_damaged_report_is_named_and_nothing_is_imported(place: Path) -> None:
    (place / "nights" / "5" / "report.json").write_text('{"schema_version": 1,')
    with pytest.raises(ConfigError) as found:
        run_report(ReportOptions(imports=(place / "nights",)), now=NOW)
    assert str(found.value).startswith(f"{place}/nights/5/report.json:1: this report is cut off in the middle")
    assert not (place / "ci-budget-state" / "history.sqlite").exists()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("started", "yesterday", "`started` is 'yesterday', no time in UTC"),
        ("started", "2026-03-01T10:00:00", "no time in UTC"),
        ("started", "9999-03-01T10:00:00Z", "no time in UTC"),
    ],
)
def test_a_report_that_cannot_be_true_is_refused(place: Path, key: str, value: str, said: str) -> None:
    file = place / "nights" / "5" / "report.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    with pytest.raises(ConfigError) as found:
        run_report(ReportOptions(imports=(file,)), now=NOW)
    assert said in str(found.value)
    assert str(file) in str(found.value)


def test_a_value_that_no_database_holds_is_refused(place: Path) -> None:
    file = place / "nights" / "5" / "report.json"
    file.write_text(file.read_text().replace('"value":8,', f'"value":{2**70},', 1))
    with pytest.raises(ConfigError) as found:
        run_report(ReportOptions(imports=(file,)), now=NOW)
    assert str(found.value) == f"{file}: web: layers is {2**70:,}, which nothing can measure"


def test_nothing_in_the_window_is_said_with_what_there_is(report: Callable[..., tuple[str, str]], place: Path) -> None:
    report(imports=(place / "nights",), repository="acme/shop")
    with pytest.raises(UnmeasuredError) as found:
        run_report(ReportOptions(repository="acme/bank", days=7), now=NOW)
    assert str(found.value) == (
        f"the history {place}/ci-budget-state/history.sqlite has no run of acme/bank in the last 7 days\n  Give more "
        "--days, or record runs with `ci-budget check`. It has runs of acme/shop: name one with --repository."
    )


def test_no_history_is_an_error_and_no_empty_report(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report"]) == 3
    assert "does not exist yet: no run was recorded" in capsys.readouterr().err
    assert main(["report", "--import", str(place / "ci-budget-state")]) == 2
    assert "there is no report.json in" in capsys.readouterr().err


def test_the_config_names_the_database_and_its_password_is_not_shown(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = "version: 1\ndisk: {budget: 1GB}\nhistory: {url: 'postgresql://ci:hunter2@127.0.0.1:1/builds'}\n"
    (place / "ci-budget.yml").write_text(f"{config}images: {{web: {{}}}}\n")
    assert main(["report"]) == 3
    said = capsys.readouterr().err
    assert "ci-budget: the history postgresql://ci@127.0.0.1:1/builds cannot be reached" in said
    assert "hunter2" not in said


def test_a_check_with_a_history_of_another_kind_builds_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    config = "version: 1\ndisk: {budget: 1GB}\nhistory: {url: 'mysql://ci:hunter2@db/builds'}\nimages: {web: {}}\n"
    (place / "ci-budget.yml").write_text(config)
    assert main(["check", "--report", str(place.parent / f"{place.name}-report")]) == 2
    said = capsys.readouterr().err
    assert "history.url is neither a PostgreSQL nor an SQLite URL" in said
    assert "hunter2" not in said


def test_the_last_build_is_kept_with_its_timeline(report: Callable[..., tuple[str, str]], place: Path) -> None:
    report(imports=(place / "nights",))
    address = history_address(None, place / "ci-budget-state")
    with open_history(address, "", write=False) as history:
        view = unpack_view(history.builds(["web"])["web"])
    assert view is not None
    assert (view.started, view.ceiling, len(view.timeline), view.steps[0].line) == (
        "2026-03-10T02:00:00Z", 5 * GB, 51, 2,
    )  # fmt: skip


def test_the_history_that_is_taken_is_named(report: Callable[..., tuple[str, str]], place: Path) -> None:
    report(imports=(place / "nights",))
    history = place / "ci-budget-state" / "history.sqlite"
    assert report()[1] == f"ci-budget: from the history {history}\n"
    assert report(history=f"sqlite:///{history}")[1] == "", "it was named"
