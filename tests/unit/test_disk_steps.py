"""What a build's steps did to the disk, in words."""

from __future__ import annotations

from typing import Any

import pytest

from ci_budget.core.records.report import ImageReport, StepReport, Verdict
from ci_budget.core.render.disk_steps import keeping_line, moved, peak_step_lines, step_place, step_text

MB = 1_000_000


def step(name: str = "[app 2/3] RUN  make \\\n all", **given: Any) -> StepReport:
    return StepReport(
        **{"name": name, "stage": "app", "line": 3, "start_ms": 0, "end_ms": 9, "located_by": "provenance"} | given
    )


def image(*steps: StepReport) -> ImageReport:
    return ImageReport(name="app", verdict=Verdict.PASS, exit_code=0, dockerfile="app/Dockerfile", steps=list(steps))


def test_those_that_ran_at_the_peak() -> None:
    made = step(wrote=5 * MB, added=2 * MB, gave_back=3 * MB, at_peak=True)
    found = image(
        made, step(at_peak=False), step("[ab 1/2] COPY a b", line=7, at_peak=True, located_by="names"),
        step("exporting", line=None, stage=None, at_peak=True, added=-4, wrote=1, gave_back=5),
    )  # fmt: skip
    assert peak_step_lines(found) == [
        "At the peak ran `RUN make \\ all` in app/Dockerfile:3: wrote 5.00 MB, kept 2.00 MB, gave back 3.00 MB",
        "At the peak ran `COPY a b` in app/Dockerfile:7 (found by its name): wrote 0 B, kept 0 B, gave back 0 B",
        "At the peak ran `exporting`: wrote 1 B, kept 0 B, gave back 5 B",
    ]
    assert peak_step_lines(image()) == []


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ((4 * MB,), "1 keeps 4.00 MB"), ((4 * MB, 8 * MB), "2 keeps 8.00 MB"), ((16 * MB, 5 * MB), "1 keeps 16.0 MB"),
        ((16 * MB + 1, 5 * MB, 3 * MB), "2 keeps 5.00 MB"), ((4 * MB - 1,), None), ((16 * MB + 1,), None),
        ((None,), None), ((), None),
    ],
)  # fmt: skip
def test_the_step_that_may_have_raised_a_peak_by_8_mb(added: tuple[int | None, ...], said: str | None) -> None:
    """It keeps half to twice as much; of several, the one that keeps most."""
    found = image(*(step(added=one, line=index + 1) for index, one in enumerate(added)))
    assert keeping_line(found, 8 * MB) == (said and f"`RUN make \\ all` in app/Dockerfile:{said}")


def test_a_step_without_a_line_raised_nothing() -> None:
    assert keeping_line(image(step(added=8 * MB, line=None)), 8 * MB) is None


def test_what_a_step_moved() -> None:
    assert moved(step(wrote=4_620_000, added=270_000, gave_back=4_350_000)) == (
        "wrote 4.62 MB, kept 270 kB, gave back 4.35 MB"
    )
    assert moved(step(added=-5)) == "wrote 0 B, kept 0 B, gave back 0 B"


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({}, "app:3"), ({"located_by": "names"}, "app:~3"), ({"located_by": None}, "app:~3"),
        ({"stage": None}, "line 3"), ({"stage": "", "located_by": "names"}, "line ~3"), ({"line": None}, "-"),
    ],
)  # fmt: skip
def test_where_a_step_stands(given: dict[str, Any], place: str) -> None:
    assert step_place(step(**given)) == place


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("[app 2/3] RUN make", "RUN make"), ("[internal] load", "load"), ("RUN a] b", "RUN a] b"), ("[odd]", "[odd]"),
        ("exporting to image", "exporting to image"), ("[a 1/1] " + "x" * 60, "x" * 60),
        ("[a 1/1] " + "x" * 61, "x" * 57 + "..."),
    ],
)  # fmt: skip
def test_a_step_s_instruction(name: str, text: str) -> None:
    assert step_text(step(name)) == text
