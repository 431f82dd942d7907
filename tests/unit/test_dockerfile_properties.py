"""Whatever the bytes are: a Dockerfile is read and planned, or refused with a ConfigError. Nothing else happens.

`CI_BUDGET_PROPERTY_EXAMPLES=10000` tries many more.
"""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from ci_budget.core.dockerfile.directives import read_directives, split_bom
from ci_budget.core.dockerfile.frontend import detect_frontend, neutralise, refuse_builtin
from ci_budget.core.dockerfile.instructions import Dockerfile, parse_dockerfile
from ci_budget.core.dockerfile.stage_copies import cut_after
from ci_budget.core.stages.planning import StagePlan, plan_stages
from ci_budget.core.stages.step_names import locate_step
from ci_budget.errors import ConfigError
from tests.dockerfile_corpus import cases

EXAMPLES = int(os.environ.get("CI_BUDGET_PROPERTY_EXAMPLES", "60"))
SEEDS = [case.text for folder in ("built", "refused") for case in cases(folder)]
PIECES = [
    b"\n", b"\r\n", b"\\\n", b"`\n", b"\x00", b"\xff", b"\xc2\xa0", "\u2003é".encode(), b"$", b"${", b"}", b"${A:-",
    b"${A//*/", b"'", b'"', b"<<E\n", b"E\n", b"<<-'E'", b"#", b"# syntax=docker/dockerfile:1\n", b"# escape=`\n",
    b"# check=skip=all\n", b"FROM a AS b\n", b"FROM b\n", b"ONBUILD ", b"COPY --from=0 ", b"COPY --from=b a b\n",
    b"RUN --mount=from=b,target=/x ", b"--mount=type=cache,", b"ARG A=$A$A\n", b"ENV A=$A b\n", b"WORKDIR ../$A\n",
    b'["a", "b"]', b"[", b"--", b"=", b"\x7f41",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A Dockerfile of the corpus with pieces cut out, doubled, swapped and put in."""
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        middle = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=8), st.just(text[start:end] * 2)))
        text = text[:start] + middle + text[end:]
    return text


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=st.one_of(mutated(), st.binary(max_size=200), st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join)))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    parsed = _parsed(text)
    if parsed is None:
        return
    lines = text.count(b"\n") + 1
    assert all(1 <= one.line <= one.from_end_line <= one.end_line <= lines for one in parsed.stages)
    plan = _planned(parsed)
    if plan is None:
        return
    for stage in plan.order:
        number = int(stage.numbers_from)
        for step in stage.steps:
            if not step.numbered:
                continue
            number += 1
            if step.is_trigger:
                continue
            name = f"[{stage.name} {number}/{stage.total}] {step.instruction.original}"
            found = locate_step(plan, name)
            same_name = [other.name for other in plan.order].count(stage.name)
            assert found is not None
            assert same_name > 1 or (found.stage_index, found.line) == (stage.index, step.line)


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=mutated())
def test_a_cut_copy_has_the_stages_up_to_the_cut(text: bytes) -> None:
    parsed = _parsed(text)
    plan = _planned(parsed) if parsed else None
    if parsed is None or plan is None:
        return
    for stage in plan.order:
        copy = parse_dockerfile(cut_after(text, stage), "Dockerfile")
        assert copy.stages == parsed.stages[: stage.index + 1]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    block=st.permutations(
        [b"# syntax=docker/dockerfile:1", b"# escape=`", b"#check = skip=all ", b"# other=1", b"#", b""]
    ),
    indents=st.lists(st.sampled_from([b"", b" "]), min_size=6, max_size=6),
    end=st.sampled_from([b"\n", b"\r\n"]),
    start=st.sampled_from([b"", b"\xef\xbb\xbf", b"#!/bin/x\n"]),
)
def test_neutralising_hides_the_frontend_and_nothing_else(
    block: list[bytes], indents: list[bytes], end: bytes, start: bytes
) -> None:
    head = end.join(indent + line for indent, line in zip(indents, block, strict=True))
    text = start + head + end + b"FROM a AS b" + end + b"RUN one `" + end + b"RUN two" + end
    before, copy = detect_frontend(text, {}), neutralise(text)
    if before is None:
        assert copy == text
        return
    assert refuse_builtin(before) is None
    assert detect_frontend(copy, {}) is None
    assert copy.count(b"\n") == text.count(b"\n")
    assert copy.endswith(end) == text.endswith(end)
    assert _shape(copy) == _shape(text)
    assert _checks(copy) == _checks(text)


def _shape(text: bytes) -> tuple[object, ...] | str:
    try:
        parsed = parse_dockerfile(text, "Dockerfile")
    except ConfigError as error:
        return str(error)
    return parsed.escape, parsed.stages


def _checks(text: bytes) -> str | None:
    """The value of `check` where the engine looks for it: as for `syntax`, behind a `#!` line, not indented."""
    _, body = split_bom(text)
    return read_directives(body.partition(b"\n")[2] if body.startswith(b"#!") else body).value("check")


def _parsed(text: bytes) -> Dockerfile | None:
    try:
        return parse_dockerfile(text, "Dockerfile")
    except ConfigError:
        return None


def _planned(parsed: Dockerfile) -> StagePlan | None:
    try:
        return plan_stages(
            parsed, target=None, build_args={"A": "x"}, platform="linux/amd64", build_contexts=("b", "a:1")
        )
    except ConfigError:
        return None
