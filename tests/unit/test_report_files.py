"""The report folder: what is written, what is cleared, what is left alone, and what is read back."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from ci_budget.core.render.json_text import render_json
from ci_budget.edges import signals
from ci_budget.edges.files.report_files import MARKER, ReportFolder, read_report
from ci_budget.errors import ConfigError, TerminatedRunError, UnmeasuredError
from tests.unit.golden_reports import hostile_report, mixed_report

WHOLE = render_json(mixed_report()).encode()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_report_is_written_and_read_back(tmp_path: Path) -> None:
    folder = ReportFolder.open(tmp_path / "new" / "report")
    for report in (mixed_report(), hostile_report()):
        folder.write("report.json", render_json(report))
        assert read_report(folder.path) == report
        assert read_report(folder.path / "report.json") == report
    assert names(folder.path) == [MARKER, "report.json"]
    assert (folder.path / "report.json").stat().st_mode & 0o777 == 0o644


def test_an_earlier_report_goes_and_foreign_files_stay(tmp_path: Path) -> None:
    first = ReportFolder.open(tmp_path)
    first.write("report.json", "{}")
    first.write("report.html", "<p>")
    logs = first.log_folder("app")
    logs.mkdir(parents=True)
    (logs / "builder.log").write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    ReportFolder.open(tmp_path)
    assert names(tmp_path) == [MARKER, "notes.txt"]


@pytest.mark.parametrize("name", ["report.json", "report.md", "logs"])
def test_a_foreign_file_in_the_way_is_not_touched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match=f"holds {name}, which is no report of ci-budget"):
        ReportFolder.open(tmp_path)
    assert (tmp_path / name).read_text() == "mine"
    assert names(tmp_path) == [name]


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    precious = outside / "precious.log"
    precious.write_text("precious")
    path = tmp_path / "report"
    ReportFolder.open(path)
    (path / "report.json").symlink_to(precious)
    (path / "logs").symlink_to(outside)
    folder = ReportFolder.open(path)
    assert names(path) == [MARKER]
    (path / "report.json").symlink_to(precious)
    folder.write("report.json", "new")
    assert (path / "report.json").read_text() == "new"
    assert not (path / "report.json").is_symlink()
    folder.log_folder("app").mkdir(parents=True)
    (folder.log_folder("app") / "link").symlink_to(outside)
    ReportFolder.open(path)
    assert precious.read_text() == "precious"


def test_a_marker_that_is_a_link_is_no_marker(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.mkdir()
    (tmp_path / "elsewhere").write_text("")
    (path / MARKER).symlink_to(tmp_path / "elsewhere")
    (path / "report.json").write_text("mine")
    with pytest.raises(ConfigError, match="no report of ci-budget"):
        ReportFolder.open(path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="the report cannot be written"):
        ReportFolder.open(tmp_path / "file")


def test_log_folders_are_plain_and_differ(tmp_path: Path) -> None:
    folder = ReportFolder.open(tmp_path)
    images = ["app", "team/app", "team-app", "../../etc", "a\\b", "..", ".", "x" * 300, "x" * 301, "\x1b[31m"]
    found = [folder.log_folder(image) for image in images]
    assert len(set(found)) == len(images)
    for path in found:
        assert path.parent == tmp_path / "logs"
        assert path.name.isascii() and path.name.isprintable() and len(path.name) < 100
    assert found[0].name == "app"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "this report is empty"),
        (WHOLE[:5000], "this report is cut off in the middle"),
        (WHOLE.replace(b'"schema_version": 1', b'"schema_version": 9'), "a newer ci-budget"),
        (WHOLE.replace(b'"exit_code": 1', b'"exit_code": "1"'), "never writes"),
        (b'{"schema_version": 1}', "never writes"),
    ],
)  # fmt: skip
def test_damaged_reports_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(ConfigError, match=said) as caught:
        read_report(tmp_path)
    assert "Run `ci-budget check` again; it writes the report anew." in str(caught.value)


def test_what_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no report"):
        read_report(tmp_path)
    with pytest.raises(ConfigError, match="there is no report"):
        read_report(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "report.json")
    with pytest.raises(ConfigError, match="is not a regular file"):
        read_report(tmp_path)


def test_only_a_reports_own_names_are_written(tmp_path: Path) -> None:
    folder = ReportFolder.open(tmp_path)
    with pytest.raises(ValueError, match="is no file of a report"):
        folder.write("../x", "")


def test_what_a_killed_run_was_writing_goes(tmp_path: Path) -> None:
    ReportFolder.open(tmp_path)
    (tmp_path / ".draft-killed").write_text("half a rep")
    folder = ReportFolder.open(tmp_path)
    folder.write("report.json", "{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".ci-budget-report", "report.json"]


def test_a_signal_waits_until_a_file_stands_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ReportFolder.open(tmp_path)
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    monkeypatch.setattr("ci_budget.edges.signals._raised", False)
    signals.install()
    try:
        fchmod = os.fchmod

        def struck(handle: int, mode: int) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            fchmod(handle, mode)

        monkeypatch.setattr(os, "fchmod", struck)
        with pytest.raises(TerminatedRunError):
            folder.write("report.json", "{}")
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".ci-budget-report", "report.json"]


def test_a_full_disk_is_no_fault_of_the_config(tmp_path: Path) -> None:
    folder = ReportFolder.open(tmp_path / "report")
    (tmp_path / "report" / ".ci-budget-report").unlink()
    (tmp_path / "report").rmdir()
    with pytest.raises(UnmeasuredError, match="the report cannot be written to"):
        folder.write("report.json", "{}")
