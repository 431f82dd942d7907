"""Planted causes: does the first line of the report name them? Writes docs/planted-causes.md.

Alone: `. .engine/env && .venv/bin/python -m benchmarks.planted [PART-OF-A-CAUSE ...]`; every pair is gated for real,
the first needs the network. Only a run over all pairs writes the document.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from ci_budget.core.render.escape import escape_markdown
from tests.planted.pairs import Outcome, Pair, read_pairs, run_pairs

DOCUMENT = Path(__file__).parents[1] / "docs" / "planted-causes.md"
_AT_ONCE = 10  # Markdown names the reasons of the twenty worst images
_HEAD = """\
# Planted causes

Each row is a pair of Dockerfiles from `tests/planted/causes.yml`: a good one, accepted as the baseline, and the same
with one cause of growth planted in it. Both were built and gated for real; the right column is the first line of the
second one's report, under its verdict. `.venv/bin/python -m benchmarks planted` (with the engine in the environment)
makes this page anew, and fails where a line does not name its cause.

| planted | the report's first line |
|---|---|
"""


def main() -> None:
    """Gate the pairs, print what each report's first line says, and write the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="only causes with one of these texts in them")
    parts = parser.parse_args().parts
    pairs = [pair for pair in read_pairs() if not parts or any(part in pair.cause for part in parts)]
    outcomes: dict[str, Outcome] = {}
    for first in range(0, len(pairs), _AT_ONCE):
        with tempfile.TemporaryDirectory(prefix="planted-") as folder:
            outcomes |= run_pairs(Path(folder), pairs[first : first + _AT_ONCE])
    failed = 0
    for pair in pairs:
        outcome = outcomes[pair.name]
        missing = outcome.missing(pair)
        failed += bool(missing)
        print(f"{'MISSED' if missing else 'named '} {pair.cause}\n         {outcome.text}")
        if missing:
            print(f"         not there: {', '.join(missing)}; in Markdown: {outcome.markdown}")
    print(f"{len(pairs) - failed} of {len(pairs)} planted causes are named by the report's first line")
    if not parts and not failed:
        DOCUMENT.write_text(_HEAD + "".join(_row(pair, outcomes[pair.name]) for pair in pairs))
        print(f"written: {DOCUMENT}")
    if failed:
        sys.exit(1)


def _row(pair: Pair, outcome: Outcome) -> str:
    return f"| {escape_markdown(pair.cause)} | {escape_markdown(outcome.text)} |\n"


if __name__ == "__main__":
    main()
