"""Dockerfiles into stages and instructions."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ci_budget.core.dockerfile.instructions import Heredoc, flag_values, parse_dockerfile, parse_trigger, single_flag
from ci_budget.errors import ConfigError, ExitCode
from tests.dockerfile_corpus import Case, cases

BOM = b"\xef\xbb\xbf"


def test_stages_have_names_lines_and_bases_as_written() -> None:
    text = b"""# syntax=docker/dockerfile:1
ARG BASE=python:3.11
ARG X

FROM --platform=$BUILDPLATFORM ${BASE} AS Builder
RUN one \\
    # a comment
    two
COPY <<EOF /etc/file
text
EOF

FROM \\
  scratch
COPY --from=builder --chown=1:1 ["a b", "/c/"]
"""
    parsed = parse_dockerfile(text, "Dockerfile")

    assert [(stage.index, stage.name, stage.named, stage.base, stage.platform) for stage in parsed.stages] == [
        (0, "builder", True, "${BASE}", "$BUILDPLATFORM"),
        (1, "stage-1", False, "scratch", None),
    ]
    assert [(stage.line, stage.from_end_line, stage.end_line) for stage in parsed.stages] == [(5, 5, 11), (13, 14, 15)]
    assert [(one.arguments, one.line) for one in parsed.global_arguments] == [(("BASE=python:3.11",), 2), (("X",), 3)]
    run, heredoc = parsed.stages[0].instructions
    assert (run.command, run.arguments, run.line, run.end_line) == ("run", ("one     two",), 6, 8)
    assert (heredoc.arguments, heredoc.heredocs) == (("<<EOF", "/etc/file"), (Heredoc(name="EOF", content="text\n"),))
    (copy,) = parsed.stages[1].instructions
    assert (copy.arguments, copy.flags, copy.is_json) == (("a b", "/c/"), ("--from=builder", "--chown=1:1"), True)
    assert parsed.directives.value("syntax") == "docker/dockerfile:1"


def test_line_ends_of_windows_and_a_byte_order_mark_count_for_nothing() -> None:
    unix = b"# escape=`\nFROM a AS b\nRUN one `\n two\nCOPY <<E /x\nc\nE\nRUN last\n"
    plain = parse_dockerfile(unix, "f").stages[0].instructions
    windows = parse_dockerfile(BOM + unix.replace(b"\n", b"\r\n"), "f").stages[0].instructions
    assert [(one.command, one.arguments, one.line, one.end_line) for one in windows] == [
        (one.command, one.arguments, one.line, one.end_line) for one in plain
    ]
    assert plain[0].arguments == ("one  two",)


def test_check_does_not_hide_an_escape_after_it() -> None:
    text = b"# check=skip=all\n# escape=`\nFROM a\nRUN one `\n two\n"
    assert parse_dockerfile(text, "f").stages[0].end_line == 5


def test_text_that_is_no_ascii_survives() -> None:
    text = 'FROM a AS b\nRUN echo "é…" \u2003x\nCOPY ["ä b", "/x"]\n'.encode() + b"RUN \xff\x00\x7f7f end\n"
    run, copy, odd = parse_dockerfile(text, "f").stages[0].instructions
    assert run.arguments == ('echo "é…" \u2003x',)
    assert copy.arguments == ("ä b", "/x")
    assert odd.arguments == ("\ufffd\x00\x7f7f end",)


def test_onbuild_has_its_instruction_with_flags_and_heredocs() -> None:
    text = b"FROM a\nONBUILD COPY --from=x \\\n  <<E <<F /x/\none\nE\ntwo\nF\nonbuild run true\n"
    copy, run = (one.trigger for one in parse_dockerfile(text, "f").stages[0].instructions)
    assert copy is not None
    assert run is not None
    assert (copy.command, copy.flags, copy.line, copy.end_line) == ("copy", ("--from=x",), 2, 7)
    assert [doc.content for doc in copy.heredocs] == ["one\n", "two\n"]
    assert (run.command, run.arguments) == ("run", ("true",))


def test_a_trigger_of_an_image_is_read_on_its_own() -> None:
    trigger = parse_trigger("COPY --from=tools /a /b", 3, 4, "f")
    assert (trigger.command, trigger.flags, trigger.line, trigger.end_line) == ("copy", ("--from=tools",), 3, 4)
    with pytest.raises(ConfigError, match="single instruction"):
        parse_trigger("RUN a\nRUN b", 3, 4, "f")


def test_two_stages_may_have_the_same_name() -> None:
    assert [stage.name for stage in parse_dockerfile(b"FROM a AS x\nFROM b AS X\n", "f").stages] == ["x", "x"]


def test_flags_end_at_two_dashes_and_need_values() -> None:
    run, copy = parse_dockerfile(b"FROM a\nRUN --mount=a --mount=b true\nCOPY --from a b\n", "f").stages[0].instructions
    assert flag_values(run, "mount", "f") == ("a", "b")
    with pytest.raises(ConfigError, match=r"^f:2: duplicate flag specified: --mount$"):
        single_flag(run, "mount", "f")
    with pytest.raises(ConfigError, match=r"^f:3: missing a value on flag: --from$"):
        single_flag(copy, "from", "f")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "web/Dockerfile: the Dockerfile cannot be parsed: file with no instructions"),
        (
            b"FROM a\nFRUN x\n",
            "web/Dockerfile:2: unknown instruction 'FRUN'\n  did you mean 'RUN'?",
        ),
        (
            b"ARG a\nRUN x\nFROM a\n",
            "web/Dockerfile:2: RUN stands before the first FROM: there is no stage for it\n"
            "  only ARG may come before FROM",
        ),
        (b"ARG a\n", "web/Dockerfile: the Dockerfile has no FROM, so there is no stage to build"),
        (
            b"FROM a b\n",
            "web/Dockerfile:1: FROM requires either one or three arguments\n  write FROM image, or FROM image AS name",
        ),
        (
            b"FROM a AS 1\x1b[31m\n",
            "web/Dockerfile:1: invalid name for build stage: '1\\x1b[31m'\n"
            "  a name starts with a letter and has letters, digits, '-', '_' and '.' only",
        ),
        (
            b"FROM a\nRUN <<A\nA\nRUN <<B\nx\n",
            "web/Dockerfile:4: the Dockerfile cannot be parsed: unterminated heredoc",
        ),
        (
            b"FROM a\n# ENV b\nRUN x \\\n # c\n\n y\nENV a\n",
            "web/Dockerfile:7: the Dockerfile cannot be parsed: ENV must have two arguments",
        ),
        (
            b"FROM a\nCOPY [1]\n",
            "web/Dockerfile:2: the Dockerfile cannot be parsed: when using JSON array syntax, "
            "arrays must be comprised of strings only",
        ),
        (b"FROM a\nCOPY b\n", "web/Dockerfile:2: COPY requires a source and a destination"),
        (b"FROM a\nWORKDIR\n", "web/Dockerfile:2: WORKDIR requires exactly one argument"),
        (b"FROM a\nONBUILD\n", "web/Dockerfile:2: ONBUILD requires at least one argument"),
        (b"FROM a\nONBUILD FROM b\n", "web/Dockerfile:2: FROM isn't allowed as an ONBUILD trigger"),
        (b"# escape=x\nFROM a\n", "web/Dockerfile:1: invalid escape token 'x': it must be ` or \\"),
        (
            b"# escape=`\n# ESCAPE=`\nFROM a\n",
            "web/Dockerfile:2: only one escape parser directive can be used",
        ),
        (
            b"FROM a\nRUN " + b"x" * 65536 + b"\n",
            "web/Dockerfile:2: the line is longer than 64 KiB, which BuildKit refuses",
        ),
        (b"#" * (1024 * 1024 + 1), "web/Dockerfile: the Dockerfile is larger than 1024 KiB"),
        (b"FROM a\n" + b"\n" * 20_000, "web/Dockerfile: the Dockerfile has more than 20000 lines"),
        (b"FROM a\n" * 501, "web/Dockerfile: the Dockerfile has more than 500 stages"),
        (b"FROM a\n" + b"RUN b\n" * 10_000, "web/Dockerfile: the Dockerfile has more than 10000 instructions"),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_what_cannot_be_read_is_refused_with_its_place(text: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_dockerfile(text, "web/Dockerfile")
    assert str(caught.value) == message
    assert caught.value.exit_code is ExitCode.CONFIG


@pytest.mark.parametrize("case", cases("refused"), ids=lambda case: case.name)
def test_the_refused_dockerfiles_are_refused(case: Case) -> None:
    with pytest.raises(ConfigError):
        case.plan()


def test_the_go_parser_is_imported_only_when_a_dockerfile_is_read() -> None:
    program = "import sys, ci_budget.core.stages.planning; sys.exit('dockerfile' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
