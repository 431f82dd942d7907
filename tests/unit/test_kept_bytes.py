"""What each instruction of a stage left in it, in bytes, from the layers that the stage has as an image."""

from __future__ import annotations

from ci_budget.core.dockerfile.instructions import parse_dockerfile
from ci_budget.core.inventory.building import describe_instructions
from ci_budget.core.inventory.kept_bytes import record_kept
from ci_budget.core.layers.model import HistoryStep
from ci_budget.core.measurement.recording import BuiltStage
from ci_budget.core.stages.planning import plan_stages

DOCKERFILE = """\
FROM debian AS base
RUN one
FROM base AS app
COPY two /
ENV A=b
RUN three
FROM alpine AS other
RUN four
"""
STEPS = ("ADD rootfs", "CMD bash", "RUN /bin/sh -c one", "COPY two /", "ENV A=b", "RUN /bin/sh -c three")


def stage(*sizes: int, steps: tuple[str, ...] = STEPS, inherited: int = 1) -> BuiltStage:
    """A stage as an image: of its steps, ENV and CMD made no layer."""
    history, layer = [], 0
    for text in steps:
        made = not text.startswith(("ENV", "CMD"))
        history.append(HistoryStep(text, layer if made else None))
        layer += made
    return BuiltStage(
        image_id="sha256:any", size=sum(sizes), layers=len(sizes), inherited=inherited, history=tuple(history),
        layer_sizes=sizes,
    )  # fmt: skip


def kept(built: dict[int, BuiltStage], text: str = DOCKERFILE, contexts: tuple[str, ...] = ()) -> dict[int, int | None]:
    """By line."""
    parsed = parse_dockerfile(text.encode(), "Dockerfile")
    plan = plan_stages(parsed, target="app", build_args={}, platform="linux/amd64", build_contexts=contexts)
    return {one.line: one.kept for one in record_kept(describe_instructions(parsed), plan, built)}


def test_a_stage_and_the_one_that_it_starts_from() -> None:
    """The bytes of the image from outside stand at the lowest FROM; a FROM of a stage brings none of its own."""
    assert kept({1: stage(100, 20, 3, 4)}) == {
        1: 100, 2: 20, 3: 0, 4: 3, 5: None, 6: 4, 7: None, 8: None,
    }  # fmt: skip


def test_several_stages() -> None:
    lowest = stage(100, 21, steps=STEPS[:3])
    assert kept({0: lowest}) == {1: 100, 2: 21, 3: None, 4: None, 5: None, 6: None, 7: None, 8: None}
    assert kept({0: lowest, 1: stage(100, 20, 3, 4)})[2] == 20, "what is read last counts"


def test_an_image_from_outside_in_several_layers() -> None:
    steps = ("ADD rootfs", "RUN apt", *STEPS[1:])
    assert kept({1: stage(100, 50, 20, 3, 4, steps=steps, inherited=2)})[1] == 150


def test_nothing_is_said_where_a_layer_has_no_place() -> None:
    """Another frontend's words: then the others may be wrong as well."""
    nothing = dict.fromkeys(range(1, 9))
    assert kept({1: stage(100, 20, 3, 4, steps=(*STEPS[:3], "BRING two", *STEPS[4:]))}) == nothing
    assert kept({1: stage(100, 20, 3, 4, steps=())}) == nothing
    assert kept({1: stage(100, 20, 3, 4, 5)}) == nothing, "a layer more than the history tells of"


def test_a_stage_that_was_not_read() -> None:
    assert kept({1: stage()}) == dict.fromkeys(range(1, 9))
    assert kept({}) == dict.fromkeys(range(1, 9))


def test_one_from_scratch() -> None:
    text = "FROM scratch AS app\nCOPY a /\n"
    assert kept({0: stage(7, steps=("COPY a /",), inherited=0)}, text) == {1: 0, 2: 7}


def test_what_a_stage_only_copies_from_is_not_below_it() -> None:
    text = "FROM debian AS tools\nRUN one\nFROM scratch AS app\nCOPY --from=tools /x /\n"
    built = {1: stage(7, steps=("COPY /x /",), inherited=0)}
    assert kept(built, text) == {1: None, 2: None, 3: 0, 4: 7}


def test_a_trigger_stands_at_its_from_with_what_the_image_brought() -> None:
    """The FROM of a stage with triggers keeps what these wrote."""
    text = "FROM debian AS base\nONBUILD RUN made\nFROM base AS app\nCOPY two /\n"
    steps = ("ADD rootfs", "RUN /bin/sh -c made", "COPY two /")
    assert kept({1: stage(100, 20, 3, steps=steps)}, text) == {1: 100, 2: None, 3: 20, 4: 3}


def test_a_named_context_in_a_stage_s_place() -> None:
    """What it brings stands at the FROM of the stage that it replaces, whatever that one starts from."""
    text = "FROM debian AS lowest\nFROM lowest AS base\nFROM base AS app\nCOPY two /\n"
    built = {2: stage(100, 3, steps=("ADD rootfs", "COPY two /"))}
    assert kept(built, text, contexts=("base",)) == {1: None, 2: 100, 3: 0, 4: 3}
    assert kept(built, text) == {1: 100, 2: 0, 3: 0, 4: 3}
