"""From a Dockerfile and a target to the plan of its build."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from ci_budget.core.dockerfile.instructions import parse_dockerfile
from ci_budget.core.dockerfile.stage_copies import cut_after
from ci_budget.core.stages.planning import Edge, EdgeKind, StagePlan, plan_stages
from ci_budget.errors import ConfigError, UnmeasuredError


def plan(
    text: str,
    target: str | None = None,
    build_args: Mapping[str, str] | None = None,
    contexts: Collection[str] = (),
    platform: str = "linux/amd64",
) -> StagePlan:
    """The plan of a Dockerfile whose name in messages is `Dockerfile`."""
    return plan_stages(
        parse_dockerfile(text.encode(), "Dockerfile"),
        target=target,
        build_args=build_args or {},
        platform=platform,
        build_contexts=contexts,
    )


SERVICE = """\
FROM docs AS unused
RUN false
FROM python:3.11 AS builder
COPY requirements.txt pyproject.toml /src/
RUN pip install -r /src/requirements.txt
FROM builder AS tester
RUN pytest
FROM debian AS models
ADD https://example.org/m.bin /m/
FROM python:3.11-slim AS runtime
COPY --from=builder /venv /venv
RUN --mount=type=bind,from=models,source=/m,target=/m --mount=type=bind,source=src,target=/s cp -r /s /app
COPY --from=ghcr.io/tools/init:1 /init /init
"""


def test_the_order_has_what_the_target_needs_and_nothing_else() -> None:
    found = plan(SERVICE)
    assert [stage.name for stage in found.order] == ["builder", "models", "runtime"]
    assert [(stage.name, stage.reached) for stage in found.stages] == [
        ("unused", False),
        ("builder", True),
        ("tester", False),
        ("models", True),
        ("runtime", True),
    ]
    assert found.target == 4


def test_edges_say_how_and_where_one_stage_uses_another() -> None:
    stages = plan(SERVICE).stages
    assert stages[2].edges == (Edge(kind=EdgeKind.FROM, source=1, user=2, line=6),)
    assert stages[4].edges == (
        Edge(kind=EdgeKind.COPY, source=1, user=4, line=11),
        Edge(kind=EdgeKind.MOUNT, source=3, user=4, line=12),
    )


@pytest.mark.parametrize(
    ("target", "index"),
    [(None, 4), ("", 4), ("builder", 1), ("BUILDER", 1), ("0", 0), ("4", 4)],
)
def test_targets_are_names_in_any_case_or_numbers(target: str | None, index: int) -> None:
    assert plan(SERVICE, target=target).target == index


def test_unnamed_stages_are_targets_by_their_number() -> None:
    text = "FROM a\nRUN x\nFROM b AS stage-2\nFROM c\n"
    assert plan(text, target="stage-0").target == 0
    assert plan(text, target="stage-2").target == 1
    assert [stage.target_name for stage in plan(text).stages] == [None, "stage-2", None]


def test_an_unknown_target_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        plan(SERVICE, target="runtimes")
    assert str(caught.value) == "Dockerfile: the Dockerfile has no stage 'runtimes'\n  did you mean 'runtime'?"


def test_of_two_stages_with_one_name_from_sees_the_earlier_and_copy_the_later() -> None:
    text = "FROM a AS x\nFROM x AS y\nFROM b AS x\nFROM x AS z\nCOPY --from=x / /\nCOPY --from=y / /\n"
    found = plan(text)
    assert [(edge.kind, edge.source, edge.user) for stage in found.stages for edge in stage.edges] == [
        (EdgeKind.FROM, 0, 1),
        (EdgeKind.FROM, 2, 3),
        (EdgeKind.COPY, 2, 3),
        (EdgeKind.COPY, 1, 3),
    ]
    assert [stage.target_name for stage in found.stages] == [None, "y", "x", "z"]


def test_copy_and_mounts_find_a_stage_in_any_case() -> None:
    found = plan("FROM a AS Tools\nFROM b\nCOPY --from=TOOLS / /\nRUN --mount=from=tOOls,target=/t true\n")
    assert [(edge.kind, edge.source) for edge in found.stages[1].edges] == [(EdgeKind.COPY, 0), (EdgeKind.MOUNT, 0)]


@pytest.mark.parametrize(
    ("mount", "order"),
    [("bind", ["one", "two"]), ("cache", ["one", "two"]), ("tmpfs", ["two"]), ("ssh", ["two"])],
)
def test_a_stage_that_a_mount_only_names_is_not_built(mount: str, order: list[str]) -> None:
    found = plan(f"FROM a AS one\nRUN x\nFROM b AS two\nRUN --mount=type={mount},from=one,target=/t true\n")
    assert [stage.name for stage in found.order] == order
    assert [(one.reference, one.used) for one in found.externals] == [
        ("docker.io/library/a:latest", "one" in order),
        ("docker.io/library/b:latest", True),
    ]


def test_from_a_stage_that_comes_later_is_an_image() -> None:
    found = plan("FROM later AS first\nFROM a AS later\nFROM first\n")
    assert [one.reference for one in found.externals] == ["docker.io/library/later:latest"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "FROM a AS one\nCOPY --from=two / /\nFROM b AS two\nFROM one\n",
            "Dockerfile:2: 'one' cannot use stage 'two', which is defined only later\n  move 'two' above 'one'",
        ),
        (
            "FROM a AS one\nRUN --mount=from=two,target=/x true\nFROM b AS two\nCOPY --from=one / /\n",
            "Dockerfile:4: circular dependency detected on stage: two",
        ),
        (
            "FROM a\nCOPY --from=1 / /\n",
            "Dockerfile:2: invalid stage index 1\n  the stages are 0 to 0",
        ),
        (
            "ARG X\nFROM $X\n",
            "Dockerfile:2: base name ($X) should not be blank\n  give the ARG in it a default, or the build argument",
        ),
        (
            "FROM a AS Base\nFROM Base\n",
            "Dockerfile:2: failed to parse stage name 'Base': invalid reference format: repository name "
            "(library/Base) must be lowercase\n  FROM finds a stage by its name in lower case",
        ),
        (
            "FROM a\nARG X\nCOPY --from=$X / /\n",
            "Dockerfile:3: variable expansion is not supported for --from\n"
            "  define a new stage with FROM, using an ARG from before the first FROM",
        ),
        (
            "FROM --platform=$NOWHERE/amd64 a\n",
            "Dockerfile:1: failed to parse platform: '/amd64' is no platform of the form os/arch or os/arch/variant",
        ),
        ("FROM ${X:?none}\n", "Dockerfile:1: failed to expand '${X:?none}': X: none"),
    ],
)
def test_what_the_engine_refuses_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(text)
    assert str(caught.value) == message


def test_a_fault_in_a_stage_that_is_not_reached_is_none() -> None:
    assert plan("FROM a AS one\nCOPY --from=two / /\nFROM b AS two\n").order[0].name == "two"


def test_triggers_of_a_stage_bring_steps_edges_and_paths() -> None:
    text = (
        "FROM a AS tools\nFROM b AS parent\nONBUILD COPY --from=tools /t /t\nONBUILD COPY src /s\nONBUILD ENV A=1\n"
        "FROM parent \\\n  AS child\nRUN x\n"
    )
    found = plan(text)
    child = found.stages[2]
    assert [stage.name for stage in found.order] == ["tools", "parent", "child"]
    assert [
        (step.instruction.command, step.line, step.end_line, step.is_trigger, step.numbered) for step in child.steps
    ] == [
        ("copy", 6, 7, True, True),
        ("copy", 6, 7, True, True),
        ("env", 6, 7, True, False),
        ("run", 8, 8, False, True),
    ]
    assert [(edge.kind, edge.source, edge.line) for edge in child.edges] == [
        (EdgeKind.FROM, 1, 6),
        (EdgeKind.COPY, 0, 6),
    ]
    assert [(one.path, one.stage, one.line) for one in found.context_sources] == [("src", "child", 6)]


def test_workdir_counts_but_makes_no_step_of_the_root() -> None:
    text = "FROM scratch\nWORKDIR /\nWORKDIR a\nWORKDIR ..\nWORKDIR $NONE/\nWORKDIR /b\n"
    (stage,) = plan(text).stages
    assert [step.numbered for step in stage.steps] == [False, True, False, False, True]
    assert stage.total == 5


@pytest.mark.parametrize(
    ("text", "possible"),
    [
        ("FROM a\nRUN x\nRUN y\n", False),
        ("FROM a AS one\nRUN x\nFROM one AS two\nRUN y\nFROM two\nRUN z\n", False),
        ("FROM a AS one\nRUN x\nFROM b\nCOPY --from=one / /\nRUN y\n", False),
        ("FROM a AS one\nRUN x\nFROM b\nRUN y\nCOPY --from=one / /\n", True),
        ("FROM a AS one\nRUN x\nFROM a AS two\nRUN y\nFROM b\nCOPY --from=one / /\nCOPY --from=two / /\n", True),
        ("FROM a AS one\nRUN x\nFROM a AS two\nENV A=1\nFROM b\nCOPY --from=one / /\nCOPY --from=two / /\n", False),
        ("FROM a AS never\nRUN x\nFROM b\nRUN y\n", False),
    ],
)
def test_overlap_is_possible_where_two_steps_have_no_order(text: str, possible: bool) -> None:
    assert plan(text).parallel_possible is possible


@pytest.mark.parametrize(
    ("text", "target", "argument"),
    [
        ("FROM a AS one\nRUN x\nFROM one AS two\n", None, None),
        ("FROM a AS one\nARG TARGETSTAGE\nFROM one AS two\n", None, "two"),
        ("FROM a AS one\nARG TARGETSTAGE\nFROM one\n", None, "default"),
        ("FROM a AS one\nARG TARGETSTAGE\nFROM one\n", "One", "One"),
        ("ARG X=base-$TARGETSTAGE\nFROM $X AS one\n", None, "one"),
    ],
)
def test_single_builds_are_told_the_stage_that_the_target_is(
    text: str, target: str | None, argument: str | None
) -> None:
    assert plan(text, target=target).stage_argument == argument


def test_a_copy_is_cut_behind_the_stage() -> None:
    text = b"FROM a\r\nRUN <<E\r\nx\r\nE\r\n# for the next\r\nFROM b\r\n"
    stage = plan(text.decode()).stages[0]
    assert cut_after(text, stage) == b"FROM a\r\nRUN <<E\r\nx\r\nE\r\n"
    assert cut_after(b"FROM a\nRUN x", plan("FROM a\nRUN x").stages[0]) == b"FROM a\nRUN x\n"


def test_one_image_for_two_platforms_is_refused() -> None:
    """An engine has one image of a name: the other one would be fetched while the build is measured."""
    build = "FROM --platform=$BUILDPLATFORM golang AS build\nFROM golang\nCOPY --from=build /a /a\n"
    assert plan(build).own_platforms() == {"docker.io/library/golang:latest": "linux/amd64"}
    other = "FROM --platform=linux/arm64 golang AS build\n\nFROM golang\nCOPY --from=build /a /a\n"
    with pytest.raises(UnmeasuredError) as refused:
        plan(other).own_platforms()
    assert str(refused.value) == (
        "Dockerfile:3: golang is needed for linux/amd64 here and for linux/arm64 in line 1, and an engine has one "
        "image of a name\n  Name one of the two by its digest (NAME@sha256:...)."
    )
    pinned = other.replace("FROM golang", f"FROM golang@sha256:{'a' * 64}")
    assert plan(pinned).own_platforms() == {"docker.io/library/golang:latest": "linux/arm64"}
