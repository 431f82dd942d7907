"""What `prune` says it would free, and what it freed."""

from __future__ import annotations

from ci_budget.core.prune_plan import PruneDone, PruneKind, PruneStep
from ci_budget.core.render.prune import render_prune_done, render_prune_plan

MB = 1_000_000


def step(kind: PruneKind, label: str, size: int) -> PruneStep:
    return PruneStep(kind=kind, key=label, label=label, size=size, disk="/")


SEED = step(PruneKind.SEEDS, "seed 0123456789ab", 221 * MB)
IMAGES = [step(PruneKind.DANGLING, f"image{number}", MB) for number in range(10)]


def test_plan() -> None:
    assert render_prune_plan([SEED, *IMAGES], {"/": 5_000 * MB}, 6_000 * MB) == (
        "seeds: 1, about 221 MB\n"
        "  seed 0123456789ab (221 MB)\n"
        "dangling images: 10, about 10.0 MB\n"
        "  image0 (1.00 MB)\n"
        "  image1 (1.00 MB)\n"
        "  image2 (1.00 MB)\n"
        "  image3 (1.00 MB)\n"
        "  image4 (1.00 MB)\n"
        "  image5 (1.00 MB)\n"
        "  image6 (1.00 MB)\n"
        "  image7 (1.00 MB)\n"
        "  and 2 more\n"
        "would free about 231 MB\n"
        "/: 5.00 GB available (target 6.00 GB)\n"
    )


def test_an_empty_plan() -> None:
    assert render_prune_plan([], {"/": MB}, None) == "there is nothing to take away\n/: 1.00 MB available\n"


def test_done() -> None:
    done = [PruneDone(step=SEED), PruneDone(step=IMAGES[0], kept="removing it failed: conflict\n::error::x")]
    assert render_prune_done(done, {"/": 10 * MB, "/d": 9 * MB}, {"/": 231 * MB, "/d": 8 * MB}, None) == (
        "seeds: removed 1\n"
        "  seed 0123456789ab\n"
        "kept image0: removing it failed: conflict\\n::error::x\n"
        "freed 221 MB\n"
        "/: 231 MB available\n"
        "/d: 8.00 MB available\n"
    )
    assert render_prune_done([], {"/": MB}, {"/": MB}, None) == "there was nothing to take away\n/: 1.00 MB available\n"
