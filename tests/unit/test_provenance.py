"""Places of steps: what BuildKit's provenance says, and where it and the names meet."""

from __future__ import annotations

from typing import Any

import pytest

from ci_budget.core.dockerfile.instructions import parse_dockerfile
from ci_budget.core.layers.model import HistoryStep, ImageLayers
from ci_budget.core.layers.places import place_steps
from ci_budget.core.measurement.provenance import step_lines
from ci_budget.core.stages.planning import StagePlan, plan_stages
from ci_budget.core.stages.step_places import StepPlace, place_step

DOCKERFILE = b"""FROM a AS one
RUN first
WORKDIR /x
FROM one AS two
ENV A=b
RUN second \\
  --more
COPY . .
"""


def plan(text: bytes = DOCKERFILE) -> StagePlan:
    return plan_stages(
        parse_dockerfile(text, "Dockerfile"),
        target=None,
        build_args={},
        platform="linux/amd64",
        build_contexts=(),
        build_platform="linux/amd64",
    )


def provenance(*ranges: tuple[int, int], locations: Any = None) -> dict[str, Any]:
    """As `--metadata-file` has it (buildx 0.29, BuildKit 0.25), shortened to what is read."""
    told = [{"ranges": [{"start": {"line": first}, "end": {"line": last}}]} for first, last in ranges]
    return {
        "buildx.build.provenance": {
            "buildConfig": {"digestMapping": {"sha256:1": "step0"}},
            "metadata": {
                "https://mobyproject.org/buildkit@v1#metadata": {
                    "source": {"locations": {"step0": {"locations": told if locations is None else locations}}}
                }
            },
        }
    }


def test_lines_by_digest() -> None:
    assert step_lines(provenance((6, 7))) == {"sha256:1": ((6, 7),)}
    assert step_lines(provenance((2, 2), (6, 7))) == {"sha256:1": ((2, 2), (6, 7))}


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"buildx.build.provenance": None},
        {"buildx.build.provenance": {"buildConfig": {"digestMapping": ["a"]}}},
        {"buildx.build.provenance": {"buildConfig": {"digestMapping": {"a": ["b"]}}}},
        provenance(locations="no list"),
        provenance(locations=[{"ranges": [{"start": {"line": "6"}, "end": {}}]}, 7, {}]),
        provenance((0, 0)),
        provenance((7, 6)),
        provenance((1, 10**9)),
    ],
)
def test_other_shapes_say_nothing(metadata: dict[str, Any]) -> None:
    assert step_lines(metadata) == {}


SECOND = "[two 1/2] RUN second --more"


def test_names_and_provenance_agree() -> None:
    assert place_step(plan(), SECOND, likeliest=1, lines=[(6, 7)]) == StepPlace(stage="two", line=6, by="provenance")


def test_without_provenance_the_name_is_taken_at_its_word() -> None:
    assert place_step(plan(), SECOND, likeliest=1) == StepPlace(stage="two", line=6, by="names")


def test_provenance_wins_where_the_name_leads_elsewhere_or_nowhere() -> None:
    assert place_step(plan(), SECOND, likeliest=1, lines=[(2, 2)]) == StepPlace(stage="one", line=2, by="provenance")
    assert place_step(plan(), "unheard of", likeliest=1, lines=[(8, 8)]) == StepPlace(
        stage="two", line=8, by="provenance"
    )
    assert place_step(plan(), "unheard of", likeliest=1) == StepPlace()


def history(
    *commands: str, inherited: int = 1, dockerfile: bytes = DOCKERFILE, target: int = 1
) -> list[tuple[str | None, int | None]]:
    steps = tuple(HistoryStep(command, index) for index, command in enumerate(commands))
    placed = place_steps(ImageLayers("i", (), steps, inherited), plan(dockerfile), target)
    return [(step.stage, step.line) for step in placed.history]


def test_an_images_history_from_its_end() -> None:
    commands = ("ADD rootfs", "RUN /bin/sh -c first", "WORKDIR /x", "ENV A=b", "RUN /bin/sh -c second", "COPY . .")
    assert history(*commands) == [(None, None), ("one", 2), ("one", 3), (None, None), ("two", 6), ("two", 8)]


def test_history_that_does_not_fit_has_no_places() -> None:
    """What another frontend wrote: better none than a wrong one."""
    assert history("ADD rootfs", "RUN other", "COPY . .", "RUN last") == [(None, None)] * 4
    assert history("ADD rootfs", "COPY . .") == [(None, None), ("two", 8)]


def test_the_base_images_own_steps_are_not_ours() -> None:
    """Here the base's last layers look just like the Dockerfile's."""
    commands = ("RUN first", "WORKDIR /x", "RUN second", "COPY . .")
    assert history(*commands, inherited=2) == [(None, None), (None, None), ("two", 6), ("two", 8)]


def test_every_instruction_that_makes_a_layer() -> None:
    text = b"FROM a AS one\nADD x /\nCOPY y /\nRUN z\nWORKDIR /w\nENV A=b\n"
    commands = ("ADD rootfs", "ADD x /", "COPY y /", "RUN z", "WORKDIR /w", "ENV A=b")
    lines = [None, 2, 3, 4, 5, None]
    assert [line for _, line in history(*commands, dockerfile=text, target=0)] == lines


def test_the_first_entry_of_a_history_and_its_lack() -> None:
    text = b"FROM scratch AS one\nCOPY a /\nRUN b\n"
    assert history("COPY a /", "RUN b", inherited=0, dockerfile=text, target=0) == [("one", 2), ("one", 3)]
    assert history("", "RUN b", inherited=0, dockerfile=text, target=0) == [(None, None), ("one", 3)]
    assert history("RUN b", inherited=0, dockerfile=text, target=0) == [("one", 3)]
    assert history(inherited=0, dockerfile=text, target=0) == []


def test_what_a_stage_copies_from_is_no_part_of_it() -> None:
    text = b"FROM a AS one\nRUN first\nFROM b AS two\nCOPY --from=one /x /\nRUN second\n"
    commands = ("RUN first", "COPY /x / # buildkit", "RUN /bin/sh -c second")
    assert history(*commands, inherited=0, dockerfile=text) == [(None, None), ("two", 4), ("two", 5)]


def test_a_trigger_stands_at_the_from_that_brings_it() -> None:
    """`ONBUILD ENV` leaves an entry of its own, which is none of a layer."""
    text = b"FROM a AS one\nONBUILD RUN x\nONBUILD ENV A=b\nFROM one AS two\nRUN y\n"
    commands = ("ADD rootfs", "RUN /bin/sh -c x", "ENV A=b", "RUN /bin/sh -c y")
    assert history(*commands, dockerfile=text) == [(None, None), ("two", 4), (None, None), ("two", 5)]
