"""The stored view of a build, and the treemap of its image."""

from __future__ import annotations

import zlib

from ci_budget.core.history.build_view import (
    LARGEST,
    MOST_POINTS,
    MOST_STEPS,
    pack_view,
    thin_timeline,
    unpack_view,
    view_build,
)
from ci_budget.core.history.treemap import Box, image_treemap
from ci_budget.core.inventory.model import Inventory, LayerRecord
from ci_budget.core.records.report import StepReport, TimelinePoint
from tests.unit.history_samples import built, inventory

GB = 10**9
MB = 10**6


def test_a_view_comes_back_as_it_was_stored() -> None:
    view = view_build(built(), commit="a" * 40, started="2026-03-01T02:00:00Z", inventory=inventory())
    assert unpack_view(pack_view(view)) == view


def test_no_spike_is_thinned_away() -> None:
    points = [TimelinePoint(t_ms=at, used=9 * GB if at == 7777 else GB + at) for at in range(20_000)]
    kept = thin_timeline(points)
    assert len(kept) <= MOST_POINTS
    assert (7777, 9 * GB) in kept
    assert kept == sorted(kept)


def test_the_longest_steps_stay_in_their_order() -> None:
    steps = [
        StepReport(name=f"step {index}", stage=None, line=None, start_ms=0, end_ms=index)
        for index in range(MOST_STEPS + 5)
    ]
    view = view_build(built(steps=steps), commit=None, started="")
    assert (len(view.steps), view.steps_left_out, view.steps[0].name) == (MOST_STEPS, 5, "step 5")


def test_a_view_that_is_none_is_none() -> None:
    whole = pack_view(view_build(built(), commit=None, started=""))
    assert unpack_view(b"") is None
    assert unpack_view(whole[:-9]) is None
    assert unpack_view(zlib.compress(b'{"image": 1}')) is None
    assert unpack_view(zlib.compress(b" " * (LARGEST + 1))) is None  # a bomb is not unpacked to its end


def test_steps_and_paths_of_an_image() -> None:
    assert image_treemap(inventory()) == Box(
        name="image",
        size=1000 * MB,
        children=[
            Box(
                name="runtime:5 COPY --from=builder /out /",
                size=700 * MB,
                children=[
                    Box(
                        name="usr/lib/",
                        size=600 * MB,
                        children=[
                            Box(name="python/", size=400 * MB),
                            Box(name="libtorch.so", size=150 * MB),
                            Box(name="small files", size=50 * MB),
                        ],
                    ),
                    Box(name="small files", size=100 * MB),
                ],
            ),
            Box(name="base image, 1 layer", size=300 * MB),
        ],
    )


def test_many_small_parts_are_one_box() -> None:
    layers = [LayerRecord(diff_id=str(index), size=1, files=1, inherited=False, step=None) for index in range(500)]
    big = LayerRecord(diff_id="big", size=10_000, files=1, inherited=False, step=7)
    root = image_treemap(Inventory(image_id="sha256:x", size=10_500, layers=[*layers, big]))
    assert [(box.name, box.size) for box in root.children] == [
        ("a step that the image does not name", 10_000), ("500 smaller steps", 500),
    ]  # fmt: skip
