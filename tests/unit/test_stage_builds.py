"""Events of the engine on the clock that the samples go by."""

from __future__ import annotations

import time

import pytest

from ci_budget.edges.engine.stage_builds import _on_our_clock


@pytest.mark.parametrize("ago", [0.0, 0.4, 4.0])
def test_an_event_happened_when_the_engine_says(ago: float) -> None:
    assert _on_our_clock(time.time() - ago) == pytest.approx(time.monotonic() - ago, abs=0.5)


@pytest.mark.parametrize("jump", [-86_400.0, -30.0, 30.0, 86_400.0])
def test_after_a_jump_of_the_clock_it_happened_when_it_came(jump: float) -> None:
    assert _on_our_clock(time.time() + jump) == pytest.approx(time.monotonic(), abs=0.5)
