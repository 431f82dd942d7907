"""Whose a record of the build cache is, by descriptions and times as a real engine tells them."""

from __future__ import annotations

import pytest

from ci_budget.core.measurement.own_records import StepTrace, own_records
from ci_budget.edges.engine.facts import CacheRecord

STEPS = [
    StepTrace(name="[2/4] RUN echo hi > /x", started=100.0, completed=103.0),
    StepTrace(name="[stage-0 3/4] COPY Dockerfile /d", started=103.0, completed=103.5),
    StepTrace(name='[4/4] RUN --mount=type=cache,target=/c ["sh", "-c", "a b"]', started=104.0),
]


def record(ident: str, description: str, created: float, kind: str = "regular") -> CacheRecord:
    return CacheRecord(id=ident, kind=kind, size=1, description=description, created=created)


OURS = [
    record("run", "mount / from exec /bin/sh -c echo hi > /x", 100.1),
    record("copy", "[stage-0 3/4] COPY Dockerfile /d", 103.1),
    record("list", "mount / from exec sh -c a b", 104.2),
]
NAMELESS = [
    record("context", "local source for context", 99.9, "source.local"),
    record("base", "from local ", 99.9),
    record("mount", 'cached mount /c from exec sh -c a b with id "//c"', 104.2, "exec.cachemount"),
]


def test_all_are_ours_where_nobody_else_built() -> None:
    assert own_records([*NAMELESS, *OURS], STEPS) == ["context", "base", "mount", "run", "copy", "list"]


@pytest.mark.parametrize(
    "foreign",
    [
        record("foreign", "mount / from exec /bin/sh -c echo ho > /x", 100.1),
        record("foreign", "mount / from exec /bin/sh -c echo hi > /x", 90.0),
        record("foreign", "mount / from exec /bin/sh -c echo hi > /x", 104.5),
        record("foreign", "[stage-0 3/4] COPY . /d", 103.1),
    ],
    ids=["another command", "before our step", "after our step", "another COPY"],
)
def test_beside_somebody_else_s_build_only_what_our_steps_made_is_ours(foreign: CacheRecord) -> None:
    assert own_records([*NAMELESS, *OURS, foreign], STEPS) == ["run", "copy", "list"]


def test_of_a_heredoc_the_time_decides() -> None:
    step = StepTrace(name="[2/2] RUN <<EOF (echo a...)", started=10.0, completed=11.0)
    made = record("ours", "mount / from exec /bin/sh -c echo a\necho b\n", 10.0)
    foreign = record("foreign", "mount / from exec /bin/sh -c make", 20.0)
    assert own_records([made, foreign], [step]) == ["ours"]


def test_without_a_step_of_ours_nothing_is_ours() -> None:
    assert own_records([*NAMELESS, *OURS], []) == []
