"""How an inventory is cut to what there is room for: levels of detail, sums by folder, lists at their ends."""

from __future__ import annotations

from typing import Any

import pytest

from ci_budget.core.dockerfile.instructions import parse_dockerfile
from ci_budget.core.inventory import building
from ci_budget.core.inventory.building import BuildFacts, build_inventory, describe_instructions, shown_path
from ci_budget.core.inventory.model import FileRecord, FolderRecord, Inventory
from ci_budget.core.layers.model import Entry, HistoryStep, ImageLayers, Kind, Layer
from ci_budget.core.layers.waste import survey

KIB = 1024
LEVELS = [
    (65_536, 12), (131_072, 9), (262_144, 7), (1_048_576, 6), (4_194_304, 5), (16_777_216, 4), (67_108_864, 2),
    (1_073_741_824, 0),
]  # fmt: skip


def image(*layers: dict[str, int]) -> ImageLayers:
    """Sizes by path; a path that begins with `!` is deleted."""
    made = [
        tuple(
            Entry(path[1:], Kind.WHITEOUT) if path.startswith("!") else Entry(path, Kind.FILE, size)
            for path, size in sorted(files.items())
        )
        for files in layers
    ]
    return ImageLayers("sha256:0", tuple(Layer(f"sha256:{index}", one) for index, one in enumerate(made)), ())


def built(found: ImageLayers, **given: Any) -> Inventory:
    return build_inventory(found, [], waste=survey(found)[1], facts=BuildFacts(), **given)


def test_levels_of_detail_are_taken_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that fits; of none that does, the coarsest."""
    seen: list[tuple[int, int]] = []

    def fits(inventory: Inventory, most: int) -> bool:
        assert most == 1_000_000
        seen.append((inventory.smallest_file, inventory.folder_depth))
        return len(seen) == wanted

    monkeypatch.setattr(building, "fits", fits)
    for wanted in (1, 3, 99):
        seen.clear()
        found = built(image({"a": 70_000}))
        assert seen == LEVELS[:wanted]
        assert (found.smallest_file, found.folder_depth) == seen[-1]


def test_a_level_of_too_many_records_is_not_even_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and folders together."""
    found = image({"a/b/c/x": 70_000, "a/y": 200_000, "z": 300_000})  # 3 files and 3 folders
    monkeypatch.setattr(building, "_MOST_RECORDS", 6)
    assert built(found).smallest_file == 64 * KIB
    monkeypatch.setattr(building, "_MOST_RECORDS", 5)
    assert built(found).smallest_file == 128 * KIB


def test_folders_sum_up_what_lies_in_them() -> None:
    """By layer; files of packages that are visible count as owned, on every level."""
    found = image(
        {"usr/lib/own": 100, "usr/lib/pkg": 20, "usr/bin/pkg": 3, "top": 4}, {"!usr/bin/pkg": 0, "usr/lib/pkg": 7}
    )
    inventory = built(found, owned={"usr/lib/pkg", "usr/bin/pkg"})
    assert inventory.folders == [
        FolderRecord(path="", layer=0, size=127, files=4),
        FolderRecord(path="usr", layer=0, size=123, files=3),
        FolderRecord(path="usr/bin", layer=0, size=3, files=1),
        FolderRecord(path="usr/lib", layer=0, size=120, files=2),
        FolderRecord(path="", layer=1, size=7, files=1, owned=7),
        FolderRecord(path="usr", layer=1, size=7, files=1, owned=7),
        FolderRecord(path="usr/lib", layer=1, size=7, files=1, owned=7),
    ]


def test_files_as_small_as_there_is_room_for() -> None:
    found = image({"a": 65_536, "b": 65_535, "pkg": 70_000, "old": 80_000}, {"old": 90_000})
    assert built(found, owned={"pkg", "old"}).files == [
        FileRecord(path="a", size=65_536, layer=0),
        FileRecord(path="old", size=80_000, layer=0, hidden=True),
        FileRecord(path="pkg", size=70_000, layer=0, owned=True),
        FileRecord(path="old", size=90_000, layer=1, owned=True),
    ]


def test_folders_down_to_a_depth() -> None:
    path = "/".join("abcdefghijklmn")
    folders = [one.path for one in built(image({f"{path}/f": 9})).folders]
    assert folders == ["/".join("abcdefghijklmn"[:depth]) for depth in range(13)]


def test_waste_by_layers_largest_first_and_bounded() -> None:
    below = {f"f{number:03}": 1000 + number for number in range(250)}
    found = built(image(below, {"f000": 1, "!f001": 0}, {f"!{path}": 0 for path in list(below)[2:]}))
    assert found.waste is not None
    assert [(one.cause, one.wrote, one.hid, one.size, one.files, one.largest) for one in found.waste.groups] == [
        ("deleted", 0, 2, sum(range(1002, 1250)), 248, "f249"),
        ("deleted", 0, 1, 1001, 1, "f001"),
        ("overwritten", 0, 1, 1000, 1, "f000"),
    ]
    assert [one.path for one in found.waste.largest] == [f"f{number:03}" for number in range(249, 49, -1)]


def test_steps_that_made_no_layer() -> None:
    found = image({"a": 1}, {"b": 2})
    steps = (HistoryStep("RUN a", 0), HistoryStep("ENV x", None), HistoryStep("RUN b", 1))
    layers = built(ImageLayers("sha256:0", found.layers, steps, inherited=1)).layers
    assert [(one.step, one.inherited, one.size, one.files) for one in layers] == [(0, True, 1, 1), (2, False, 2, 1)]


def test_long_text_is_cut() -> None:
    assert [len(shown_path("x" * length)) for length in (4000, 4001)] == [4000, 4000]


def test_a_platform_is_part_of_a_from_s_text() -> None:
    texts = (b"FROM a", b"FROM --platform=linux/arm64 a", b"FROM --platform=linux/amd64 a")
    hashes = {describe_instructions(parse_dockerfile(text, "Dockerfile"))[0].text_sha256 for text in texts}
    assert len(hashes) == 3
