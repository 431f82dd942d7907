"""Colours on a terminal, and none for who says NO_COLOR (no-color.org): the real commands on a real one."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ci_budget.commands.check_options import CheckOptions
from ci_budget.commands.check_output import deliver
from ci_budget.edges.files.report_files import ReportFolder
from tests.image_archives import file, layer, saved
from tests.unit.golden_reports import passing_report

BOLD = "\x1b[1m"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Clearing the line of the progress is no colour."""


def printed(words: list[str], folder: Path, **variables: str) -> str:
    """What a command prints on a terminal."""
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "xterm", "LANG": "C.UTF-8", **variables}
    command = [sys.executable, "-m", "ci_budget", *words]
    with subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as child:
        os.close(theirs)
        found = b""
        with contextlib.suppress(OSError):  # a terminal's end
            while part := os.read(ours, 4096):
                found += part
        os.close(ours)
        assert child.wait() == 0, found.decode()
    return found.decode()


@pytest.mark.parametrize(
    ("words", "variables", "coloured"),
    [
        ((), {}, True),
        ((), {"NO_COLOR": ""}, True),
        ((), {"NO_COLOR": "1"}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
    ],
)
def test_explain(tmp_path: Path, words: tuple[str, ...], variables: dict[str, str], coloured: bool) -> None:
    (tmp_path / "a.tar").write_bytes(saved([layer(file("a", b"1"))]))
    found = printed([*words, "explain", "archive://a.tar"], tmp_path, **variables)
    assert "archive://a.tar" in found
    assert (BOLD in found, bool(COLOURS.search(found))) == (coloured, coloured)


@pytest.mark.parametrize(
    ("terminal", "variables", "coloured"),
    [
        (True, {}, True), (True, {"NO_COLOR": ""}, True), (True, {"NO_COLOR": "1"}, False), (False, {}, False),
    ],
)  # fmt: skip
def test_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool,
    variables: dict[str, str], coloured: bool,
) -> None:  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    deliver(passing_report(), ReportFolder.open(tmp_path / "report"), CheckOptions(), {})
    text = capsys.readouterr().out
    assert "gateway" in text
    assert ("\x1b" in text) == coloured
