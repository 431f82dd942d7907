"""From the engine's step names to places in the Dockerfile."""

from __future__ import annotations

import pytest

from ci_budget.core.stages.step_names import locate_step
from tests.unit.test_stages import plan

TEXT = """\
FROM python:3.11 AS builder
WORKDIR /
WORKDIR /src
COPY a b /src/
ENV X=1
RUN echo $X \\
  && true
COPY --link c /c

FROM onbuild-base
RUN one
RUN two
RUN <<EOF
three
EOF
"""


def place(name: str, onbuild: dict[int, list[str]] | None = None) -> tuple[str, int, int, str] | None:
    """Stage, lines and command of a step of TEXT, whose target needs both stages."""
    found = locate_step(plan(TEXT + "COPY --from=builder / /\n"), name, onbuild)
    return (found.stage, found.line, found.end_line, found.command) if found else None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("[builder 1/6] FROM docker.io/library/python:3.11@sha256:abc", ("builder", 1, 1, "from")),
        ("[builder 2/6] WORKDIR /src", ("builder", 3, 3, "workdir")),
        ("[builder 3/6] COPY a b /src/", ("builder", 4, 4, "copy")),
        ("[builder 4/6] RUN echo 1   && true", ("builder", 6, 7, "run")),
        ("[builder 5/6] COPY --link c /c", ("builder", 8, 8, "copy")),
        ("[builder 5/6] LINK COPY --link c /c", ("builder", 8, 8, "copy")),
        ("[linux/arm/v7 builder 4/6] RUN echo 1   && true", ("builder", 6, 7, "run")),
        ("[linux/amd64->arm64 builder 4/6] RUN echo 1   && true", ("builder", 6, 7, "run")),
        ("[stage-1 1/5] FROM docker.io/library/onbuild-base:latest", ("stage-1", 10, 10, "from")),
        ("[stage-1 2/5] RUN one", ("stage-1", 11, 11, "run")),
        ("[stage-1 4/5] RUN <<EOF (three)", ("stage-1", 13, 15, "run")),
        ("[stage-1 5/5] COPY --from=builder / /", ("stage-1", 16, 16, "copy")),
    ],
)
def test_steps_are_located(name: str, expected: tuple[str, int, int, str]) -> None:
    assert place(name) == expected


@pytest.mark.parametrize("known", [True, False], ids=["triggers known", "triggers unknown"])
@pytest.mark.parametrize(
    ("name", "line", "command"),
    [
        ("[stage-1 2/8] ONBUILD RUN first", 10, "onbuild"),
        ("[stage-1 2/8] RUN first", 10, "onbuild"),
        ("[stage-1 3/8] WORKDIR /second", 10, "onbuild"),
        ("[stage-1 4/8] RUN one", 11, "run"),
        ("[stage-1 5/8] RUN two", 12, "run"),
    ],
)
def test_triggers_of_an_image_stand_on_the_from_and_shift_the_rest(
    name: str, line: int, command: str, known: bool
) -> None:
    triggers = {1: ["RUN first", "WORKDIR /second", "ENV A=1"]} if known else None
    found = place(name, triggers)
    assert found is not None
    assert (found[1], found[3]) == (line, command)


@pytest.mark.parametrize(
    "name",
    [
        "[internal] load build definition from Dockerfile",
        "[internal] load metadata for docker.io/library/python:3.11",
        "[context tools] docker.io/library/x",
        "exporting to image",
        "[nobody 2/6] RUN x",
        "[builder 2/5] WORKDIR /src",
        "[builder 4/6] RUN something else",
        "[builder 99/6] RUN echo",
        "",
        "[",
    ],
)
def test_what_is_no_step_of_the_plan_has_no_place(name: str) -> None:
    assert place(name) is None


def test_a_file_or_a_copy_with_one_stage_names_none() -> None:
    found = locate_step(plan("FROM a AS x\nRUN one\n" + "RUN y\n" * 9), "[ 2/11] RUN one")
    assert found is not None
    assert (found.stage, found.line) == ("x", 2)
    assert place("[2/6] WORKDIR /src") == ("builder", 3, 3, "workdir")


def test_equal_instructions_are_told_apart_by_their_numbers() -> None:
    found = plan("FROM a AS x\nRUN one\nRUN one\nRUN one\n")
    places = [locate_step(found, f"[x {number}/4] RUN one") for number in (2, 3, 4)]
    assert [place.line if place else None for place in places] == [2, 3, 4]


def test_a_stage_that_was_not_to_be_built_has_no_place() -> None:
    assert locate_step(plan("FROM a AS x\nRUN one\nFROM b AS y\n"), "[x 2/2] RUN one") is None


def test_a_named_context_takes_the_first_number_away() -> None:
    found = locate_step(plan("FROM a AS x\nRUN one\nRUN one\n", contexts=["a"]), "[x 2/3] RUN one")
    assert found is not None
    assert found.line == 3


def test_of_stages_with_one_name_the_one_that_fits_is_taken() -> None:
    text = "FROM a AS x\nRUN one\nRUN two\nFROM x AS y\nFROM a AS x\nRUN three\nCOPY --from=y / /\n"
    found = {
        name: locate_step(plan(text), name) for name in ("[x 3/3] RUN two", "[x 2/3] RUN three", "[x 2/3] RUN one")
    }
    assert {name: place.line if place else None for name, place in found.items()} == {
        "[x 3/3] RUN two": 3,
        "[x 2/3] RUN three": 6,
        "[x 2/3] RUN one": 2,
    }
