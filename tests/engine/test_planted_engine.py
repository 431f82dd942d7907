"""A few planted causes, gated for real; `python -m benchmarks planted` does them all (docs/planted-causes.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.leftovers import LeftoverWatch
from tests.planted.pairs import read_pairs, run_pairs

pytestmark = pytest.mark.beside

FEW = (
    "files are deleted in a later layer",
    "a step's temporary files raise the peak",
    "a package is raised to a larger version",
)


def test_the_first_line_names_what_was_planted(busybox_base: str, tmp_path: Path, leftovers: LeftoverWatch) -> None:
    pairs = [pair for pair in read_pairs() if pair.cause in FEW]
    assert len(pairs) == len(FEW)
    outcomes = run_pairs(tmp_path, pairs)
    for pair in pairs:
        outcome = outcomes[pair.name]
        assert (outcome.exit_code, outcome.verdict) == (1, "fail"), pair.cause
        assert outcome.missing(pair) == [], outcome.text
