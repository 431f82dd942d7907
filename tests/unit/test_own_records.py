"""Whose a record of the build cache is, by descriptions and times as a real engine tells them."""

from __future__ import annotations

import pytest

from ci_budget.core.measurement.own_records import StepTrace, loads, own_records
from ci_budget.edges.engine.facts import CacheRecord

STEPS = [
    StepTrace(name="[2/4] RUN echo hi > /x", started=100.0, completed=103.0),
    StepTrace(name="[stage-0 3/4] COPY Dockerfile /d", started=103.0, completed=103.5),
    StepTrace(name='[4/4] RUN --mount=type=cache,target=/c ["sh", "-c", "a b"]', started=104.0),
]


def record(ident: str, description: str, created: float, kind: str = "regular", used: float = 0.0) -> CacheRecord:
    return CacheRecord(id=ident, kind=kind, size=1, description=description, created=created, last_used=used)


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


LOADS = [
    StepTrace(name="[internal] load build definition from Dockerfile", started=99.0, completed=99.5),
    StepTrace(name="[internal] load .dockerignore", started=99.1, completed=99.6),
    StepTrace(name="[internal] load build context", started=99.2, completed=99.7),
    StepTrace(name="[context models] load from client", started=99.2, completed=99.7),
]
TRANSFERRED = [
    record("dockerfile", "local source for dockerfile", 99.01, "source.local"),
    record("ignore", "local source for context", 99.11, "source.local"),
    record("context", "local source for context", 99.21, "source.local"),
    record("models", "local source for models", 99.21, "source.local"),
]
FOREIGN = record("foreign", "mount / from exec /bin/sh -c make", 98.0)


def test_what_was_transferred_before_the_first_step_is_ours() -> None:
    assert own_records(TRANSFERRED, LOADS) == ["dockerfile", "ignore", "context", "models"]


def test_what_was_transferred_is_ours_beside_somebody_else_s_build_too() -> None:
    later = record("theirs", "local source for context", 104.0, "source.local")
    assert sorted(own_records([*TRANSFERRED, *OURS, FOREIGN, later], [*LOADS, *STEPS])) == sorted(
        ["run", "copy", "list", "dockerfile", "ignore", "context", "models"]
    )


def test_of_more_records_or_fewer_than_we_made_transfers_none_is_surely_ours() -> None:
    theirs = record("theirs", "local source for context", 99.15, "source.local")
    assert sorted(own_records([*TRANSFERRED, theirs, FOREIGN], LOADS)) == ["dockerfile", "models"]
    fewer = [one for one in TRANSFERRED if one.id != "ignore"]
    assert sorted(own_records([*fewer, FOREIGN], LOADS)) == ["dockerfile", "models"]


def test_where_an_older_record_was_used_the_new_one_may_be_somebody_else_s() -> None:
    old = [
        record("kept", "local source for context", 10.0, "source.local", used=99.9),
        record("unused", "local source for models", 10.0, "source.local", used=98.0),
    ]
    assert sorted(own_records([*TRANSFERRED, FOREIGN], LOADS, old=old)) == ["dockerfile", "models"]


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("[internal] load build definition from web.Dockerfile", "local source for dockerfile"),
        ("[internal] load .dockerignore", "local source for context"),
        ("[internal] load build context", "local source for context"),
        ("[context models] load from client", "local source for models"),
        ("[context models] load .dockerignore", "local source for models"),
        ("[internal] load metadata for docker.io/library/debian:13", None),
        ("[context base] docker-image://debian:13", None),
        ("[2/4] RUN echo [internal] load build context", None),
    ],
)
def test_what_transfers_something(name: str, description: str | None) -> None:
    assert loads(name) == description
