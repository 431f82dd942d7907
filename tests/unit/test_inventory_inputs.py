"""Which instructions a change of the revision reaches: by their text, the files they read, stages and arguments."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_budget.core.context.ignore import IgnoreRules
from ci_budget.core.dockerfile.instructions import parse_dockerfile
from ci_budget.core.inventory.building import describe_instructions
from ci_budget.core.inventory.inputs import Inputs, key_instructions
from ci_budget.core.stages.planning import plan_stages
from ci_budget.edges.files.context_files import find_own_files, measure_context
from ci_budget.edges.files.context_hash import hash_contents, hash_context

DOCKERFILE = """\
FROM python:3.11 AS builder
ARG INDEX
COPY requirements.txt .
RUN pip install -r requirements.txt
FROM python:3.11-slim
RUN apt-get update
COPY --from=builder /venv /venv
COPY src /app
RUN --mount=type=bind,source=tools,target=/tools /tools/build
ARG COMMIT
RUN echo $COMMIT
"""
FILES = {"requirements.txt": "torch", "src/app.py": "1", "tools/build": "make", "README": "words"}


def keys(
    folder: Path, dockerfile: str = DOCKERFILE, arguments: dict[str, str] | None = None
) -> dict[tuple[str, int], str]:
    """The key of every instruction by stage and line."""
    parsed = parse_dockerfile(dockerfile.encode(), "Dockerfile")
    given = arguments or {}
    plan = plan_stages(parsed, target=None, build_args=given, platform="linux/amd64", build_contexts=())
    measure = measure_context(folder, IgnoreRules())
    contents = hash_contents(folder, measure)
    assert contents is not None
    found = key_instructions(
        describe_instructions(parsed), parsed, plan, Inputs(measure=measure, contents=contents, arguments=given)
    )
    assert all(record.inputs_sha256 is not None for record in found if record.stage)
    return {(record.stage, record.line): record.inputs_sha256 or "" for record in found if record.stage}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "reached"),
    [
        ("README", set()),
        ("requirements.txt", {3, 4, 7, 9, 10, 11}),
        ("src/app.py", {8, 9, 10, 11}),
        ("tools/build", {9, 10, 11}),
    ],
)
def test_a_changed_file_reaches_what_reads_it_and_what_follows(folder: Path, file: str, reached: set[int]) -> None:
    before = keys(folder)
    (folder / file).write_text("changed")
    after = keys(folder)
    assert {line for (stage, line) in before if before[stage, line] != after[stage, line]} == reached


@pytest.mark.parametrize(
    ("old", "new", "reached"),
    [
        ("FROM python:3.11 AS", "FROM python:3.12 AS", {1, 2, 3, 4, 7, 9, 10, 11}),
        ("FROM python:3.11-slim", "FROM debian", {5, 6, 7, 8, 9, 10, 11}),
        ("RUN apt-get update", "RUN apt-get upgrade", {6, 9, 10, 11}),
        ("RUN pip install -r", "RUN pip install --no-cache-dir -r", {4, 7, 9, 10, 11}),
    ],
)
def test_a_changed_text_reaches_what_follows(folder: Path, old: str, new: str, reached: set[int]) -> None:
    before, after = keys(folder), keys(folder, DOCKERFILE.replace(old, new))
    assert {line for (stage, line) in before if before[stage, line] != after[stage, line]} == reached


@pytest.mark.parametrize(
    ("old", "new", "reached"),
    [
        ("FROM python:3.11 AS", "FROM --platform=linux/arm64 python:3.11 AS", {1, 2, 3, 4, 7, 9, 10, 11}),
        ("FROM python:3.11-slim", "FROM --platform=linux/arm64 python:3.11-slim", {5, 6, 7, 8, 9, 10, 11}),
    ],
)
def test_the_platform_of_a_from_reaches_what_follows(folder: Path, old: str, new: str, reached: set[int]) -> None:
    """By its key alone: the same image for another platform is another image."""
    before, after = keys(folder), keys(folder, DOCKERFILE.replace(old, new))
    assert {line for (stage, line) in before if before[stage, line] != after[stage, line]} == reached
    platforms = (DOCKERFILE.replace(old, new), DOCKERFILE.replace(old, new.replace("arm64", "riscv64")))
    found = [key_record(folder, text, int(min(reached))) for text in platforms]
    assert found[0] != found[1]


def key_record(folder: Path, text: str, line: int) -> str | None:
    """The key of what the instruction there has of its own."""
    parsed = parse_dockerfile(text.encode(), "Dockerfile")
    plan = plan_stages(parsed, target=None, build_args={}, platform="linux/amd64", build_contexts=())
    measure = measure_context(folder, IgnoreRules())
    inputs = Inputs(measure=measure, contents=hash_contents(folder, measure) or {}, arguments={})
    found = key_instructions(describe_instructions(parsed), parsed, plan, inputs)
    return next(one.own_sha256 for one in found if one.line == line)


def test_an_argument_reaches_where_it_is_declared(folder: Path) -> None:
    before, after = keys(folder, arguments={"COMMIT": "a"}), keys(folder, arguments={"COMMIT": "b"})
    assert {line for (stage, line) in before if before[stage, line] != after[stage, line]} == {10, 11}


VARIABLES = """\
ARG VERSION=1
ARG NAME=tool-$VERSION
ARG OTHER=1
FROM debian
LABEL words=1
ARG NAME
RUN fetch
COPY src /app
"""


@pytest.mark.parametrize(
    ("old", "new", "reached"),
    [
        ("VERSION=1", "VERSION=2", {6, 7, 8}),
        ("OTHER=1", "OTHER=2", set()),
        ("words=1", "words=2", {5}),
    ],
)
def test_what_a_later_step_can_see(folder: Path, old: str, new: str, reached: set[int]) -> None:
    before, after = keys(folder, VARIABLES), keys(folder, VARIABLES.replace(old, new))
    assert {line for (stage, line) in before if before[stage, line] != after[stage, line]} == reached
    given = keys(folder, VARIABLES, {old.partition("=")[0]: "9"})
    assert {line for (stage, line) in before if before[stage, line] != given[stage, line]} == reached - {5}


def test_a_trigger_reaches_the_stages_that_start_from_its_own(folder: Path) -> None:
    text = "FROM debian AS parent\nONBUILD RUN one\nFROM parent\nRUN make\n"
    before, after = keys(folder, text), keys(folder, text.replace("one", "two"))
    assert {line for (stage, line) in before if before[stage, line] != after[stage, line]} == {2, 3, 4}


def test_what_each_instruction_is_and_takes_from(folder: Path) -> None:
    parsed = parse_dockerfile(DOCKERFILE.replace("--from=builder", "--from=alpine").encode(), "Dockerfile")
    plan = plan_stages(parsed, target=None, build_args={}, platform="linux/amd64", build_contexts=())
    measure = measure_context(folder, IgnoreRules())
    inputs = Inputs(measure=measure, contents=hash_contents(folder, measure) or {}, arguments={})
    found = key_instructions(describe_instructions(parsed), parsed, plan, inputs)
    assert [(one.line, one.command, one.sources, one.images) for one in found if one.own_sha256] == [
        (5, "FROM", [], ["docker.io/library/python:3.11-slim"]),
        (6, "RUN", [], []),
        (7, "COPY", [], ["docker.io/library/alpine:latest"]),
        (8, "COPY", [], []),
        (9, "RUN", [], []),
        (10, "ARG", [], []),
        (11, "RUN", [], []),
    ]


def test_the_hash_of_a_context(folder: Path) -> None:
    def whole() -> str:
        measure = measure_context(folder, IgnoreRules())
        return hash_context(measure, hash_contents(folder, measure) or {})

    before = whole()
    (folder / "README").touch()
    assert whole() == before
    (folder / "README").write_text("other")
    assert whole() != before


class TestBareHashes:
    """Those of what is built alone."""

    @staticmethod
    def bare(folder: Path, dockerfile: str) -> list[tuple[str | None, str | None, str | None]]:
        parsed = parse_dockerfile(dockerfile.encode(), "Dockerfile")
        plan = plan_stages(parsed, target=None, build_args={}, platform="linux/amd64", build_contexts=())
        measure = measure_context(folder, IgnoreRules())
        inputs = Inputs(
            measure=measure, contents=hash_contents(folder, measure) or {}, arguments={},
            own_files=frozenset({"Dockerfile", ".dockerignore"}),
        )  # fmt: skip
        found = key_instructions(describe_instructions(parsed), parsed, plan, inputs)
        return [(one.bare_text_sha256, one.bare_inputs_sha256, one.bare_own_sha256) for one in found if one.stage]

    @pytest.mark.parametrize("used", ["COPY --from=a /x /", "RUN --mount=from=a,target=/a cp /a/x /", "FROM a"])
    def test_the_name_of_a_stage(self, folder: Path, used: str) -> None:
        text = f"FROM debian AS a\nRUN make\nFROM debian\n{used}\n"
        other = text.replace("AS a", "AS b").replace("=a,", "=b,").replace("=a ", "=b ").replace("FROM a", "FROM b")
        assert self.bare(folder, text) == self.bare(folder, other)
        assert self.bare(folder, text) != self.bare(folder, text.replace("make", "other"))
        assert self.bare(folder, text) != self.bare(folder, text.replace("debian AS", "alpine AS"))

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ("RUN make  all", "RUN make \\\n  all", True),
            ("RUN echo 'a  b'", "RUN echo 'a b'", False),
            ("RUN <<E\na  b\nE", "RUN <<E\na b\nE", False),
        ],
    )
    def test_spacing_where_it_means_nothing(self, folder: Path, one: str, other: str, same: bool) -> None:
        sides = [self.bare(folder, f"FROM debian\n{text}\n") for text in (one, other)]
        assert (sides[0] == sides[1]) is same

    @pytest.mark.parametrize("file", ["Dockerfile", ".dockerignore"])
    def test_the_dockerfile_where_a_folder_takes_it_along(self, folder: Path, file: str) -> None:
        texts = ["FROM debian\nCOPY . /app\nRUN make\n", f"FROM debian\nCOPY src {file} /app/\nRUN make\n"]
        (folder / file).write_text("1")
        before = [self.bare(folder, text) for text in texts]
        (folder / file).write_text("2")
        after = [self.bare(folder, text) for text in texts]
        assert [one == other for one, other in zip(before, after, strict=True)] == [True, False]

    @pytest.mark.parametrize(
        ("source", "link", "same"),
        [
            ("src", "docs/now", True),
            ("src", "src/now", False),
            ("src/now/x", "src/now", False),
            (".", "docs/now", False),
            ("src/*.py", "src/now", False),
            ("src/*.py", "docs/now", True),
            ("way", "docs/now", False),
            ("way", "src/now", True),
            ("w*", "src/now", False),
        ],
    )
    def test_links_that_are_read_through(self, folder: Path, source: str, link: str, same: bool) -> None:
        (folder / "docs").mkdir()
        (folder / "way").symlink_to("docs/now")
        text = f"FROM debian\nCOPY {source} /app/\n"
        (folder / link).symlink_to("one")
        before = self.bare(folder, text)
        (folder / link).unlink()
        (folder / link).symlink_to("two")
        assert (self.bare(folder, text) == before) is same


def test_the_files_of_the_build_itself(tmp_path: Path) -> None:
    context = tmp_path / "context"
    (context / "docker").mkdir(parents=True)
    for path in ("context/docker/Dockerfile", "context/.dockerignore", "Dockerfile"):
        (tmp_path / path).touch()
    inside = context / "docker" / "Dockerfile"
    assert find_own_files(context, inside) == {"docker/Dockerfile", ".dockerignore"}
    assert find_own_files(context, tmp_path / "Dockerfile") == {".dockerignore"}
    inside.with_name("Dockerfile.dockerignore").touch()
    assert find_own_files(context, inside) == {"docker/Dockerfile", "docker/Dockerfile.dockerignore"}
