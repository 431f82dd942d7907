"""`--output`: a file is written whole or stays as it was, whatever else it may be."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ci_budget.edges.files import whole_file
from ci_budget.edges.files.output_file import write_output_file
from ci_budget.errors import UnmeasuredError


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "out.json"
    write_output_file(target, "one\n")
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("one\n", 0o644)
    target.chmod(0o600)
    link = tmp_path / "link"
    link.symlink_to(target)
    write_output_file(link, "two \udcff\n")
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("two ?\n", 0o600)
    assert link.is_symlink()
    assert [path.name for path in target.parent.iterdir()] == ["out.json"]


def test_a_full_disk_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.json"
    target.write_text("old\n")

    def full(_handle: int, _mode: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_file.os, "fchmod", full)
    with pytest.raises(UnmeasuredError) as refused:
        write_output_file(target, "new\n")
    assert str(refused.value) == f"cannot write {target}: No space left on device"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out.json", "old\n")]


def test_a_pipe_or_a_device_gets_it_as_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    write_output_file(tmp_path / "pipe", "text\n")
    reader.join(10)
    assert read == ["text\n"]
    write_output_file(Path("/dev/null"), "text\n")
    source, sink = os.pipe()
    write_output_file(Path(f"/dev/fd/{sink}"), "text\n")
    assert os.read(source, 10) == b"text\n"
    os.close(source)
    os.close(sink)
    with (tmp_path / "open").open("w+") as held:
        write_output_file(Path(f"/dev/fd/{held.fileno()}"), "text\n")
        assert held.read() == "text\n"
    assert not Path("/dev/null").is_file()
    with pytest.raises(UnmeasuredError, match="No space left on device"):
        write_output_file(Path("/dev/full"), "text\n")
    with pytest.raises(UnmeasuredError, match="Is a directory"):
        write_output_file(tmp_path, "text\n")
