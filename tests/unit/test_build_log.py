"""The build's output on its way to GitHub's log and into the report folder."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from ci_budget.edges.build_log import FolderBuildLog, GroupedBuildLog, TeeBuildLog
from ci_budget.errors import UnmeasuredError


def grouped(*, limit: int = 1000) -> tuple[io.StringIO, GroupedBuildLog]:
    stream = io.StringIO()
    tokens = iter(f"token{number}" for number in range(1, 100))
    return stream, GroupedBuildLog(stream, limit=limit, new_token=lambda: next(tokens))


def test_one_group_a_stage_in_which_no_line_is_a_command() -> None:
    stream, log = grouped()
    log.stage_started("builder")
    log.line("builder", "compiling")
    log.line("builder", "::error::injected")
    log.line("builder", "::token1::")
    log.line("other", "##[error]late output of another stage")
    log.stage_ended("builder")
    log.stage_started("run\ntime")
    log.stage_ended("run\ntime")
    log.close()
    assert stream.getvalue() == (
        "::group::stage builder\n"
        "::stop-commands::token1\n"
        "compiling\n"
        "| ::error::injected\n"
        "| ::token1::\n"
        "[other] # #[error]late output of another stage\n"
        "::token1::\n"
        "::endgroup::\n"
        "::group::stage run\\ntime\n"
        "::stop-commands::token2\n"
        "::token2::\n"
        "::endgroup::\n"
    )


def test_a_stage_that_never_ended_is_closed() -> None:
    stream, log = grouped()
    log.line("a", "output before the stage was announced")
    log.stage_started("b")
    log.stage_ended("a")
    log.close()
    log.close()
    assert stream.getvalue() == (
        "::group::stage a\n"
        "::stop-commands::token1\n"
        "output before the stage was announced\n"
        "::token1::\n"
        "::endgroup::\n"
        "::group::stage b\n"
        "::stop-commands::token2\n"
        "::token2::\n"
        "::endgroup::\n"
    )


def test_endless_output_is_cut_in_the_log() -> None:
    stream, log = grouped(limit=20)
    log.stage_started("a")
    for _ in range(1000):
        log.line("a", "0123456789")
    log.close()
    assert stream.getvalue() == (
        "::group::stage a\n"
        "::stop-commands::token1\n"
        "0123456789\n"
        "0123456789\n"
        "(the rest of this stage's output is not shown: more than 20 characters)\n"
        "::token1::\n"
        "::endgroup::\n"
    )


def test_tokens_cannot_be_guessed() -> None:
    streams = [io.StringIO(), io.StringIO()]
    for stream in streams:
        log = GroupedBuildLog(stream)
        log.stage_started("a")
        log.close()
    tokens = [stream.getvalue().split("\n")[1].removeprefix("::stop-commands::") for stream in streams]
    assert tokens[0] != tokens[1]
    assert all(len(token) == 32 for token in tokens)


def test_a_file_a_stage(tmp_path: Path) -> None:
    log = TeeBuildLog([FolderBuildLog(tmp_path / "logs")])
    log.stage_started("builder")
    log.line("builder", "\x1b[1mone\x1b[0m")
    log.line("stage-1", "::two::")
    log.stage_ended("builder")
    log.line("builder", "three")
    log.line("../../etc/passwd", "four")
    log.line("..\\..\\etc\\passwd", "five")
    log.close()
    found = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert found == {
        "builder.log": "one\nthree\n",
        "stage-1.log": "| ::two::\n",
        "_.._etc_passwd.log": "four\n",
        "_.._etc_passwd.3.log": "five\n",
    }


def test_endless_output_is_cut_in_the_file(tmp_path: Path) -> None:
    log = FolderBuildLog(tmp_path, limit=20)
    for _ in range(1000):
        log.line("a", "0123456789")
    log.close()
    assert (tmp_path / "a.log").read_text() == (
        "0123456789\n(the rest of this stage's output is not kept: more than 20 bytes)\n"
    )


def test_a_full_disk_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "app.log").symlink_to("/dev/full")
    log = FolderBuildLog(tmp_path)
    log.line("app", "text")
    with pytest.raises(
        UnmeasuredError, match=f"the build log cannot be written to {tmp_path}: No space left on device"
    ):
        log.stage_ended("app")
    log.close()

    log = FolderBuildLog(tmp_path)
    log.line("app", "text")
    with pytest.raises(UnmeasuredError, match="the build log cannot be written"):
        log.close()
