"""From the names of a layer's archive to its entries: markers, names in each other's way, links, and the limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_budget.core.layers import entries
from ci_budget.core.layers.dive import DiveFigures, dive_figures
from ci_budget.core.layers.entries import LayerArchive, clean_path
from ci_budget.core.layers.model import Entry, ImageLayers, Kind
from ci_budget.core.layers.waste import WastedPath, measure_waste
from ci_budget.edges.layers.image_archives import read_archive, read_oci_folder, read_saved
from ci_budget.errors import UnmeasuredError
from tests.image_archives import Member, file, folder, layer, layout_tar, saved, write_layout

BELOW = layer(
    folder("x/"), file("x/old", b"12345"), folder("x/d/"), file("x/d/deep", b"1"), file("f", b"1234567"), file("k")
)


def archive(*names: str, limit: int = 1000) -> LayerArchive:
    """Names ending with a slash are folders; the others are files of one byte."""
    found = LayerArchive(limit=limit)
    for name in names:
        is_folder = name.endswith("/")
        found.add(name, Kind.FOLDER if is_folder else Kind.FILE, 0 if is_folder else 1, 0o644, 0, 0)
    return found


def listed(*names: str, limit: int = 1000) -> list[tuple[str, str]]:
    return [(entry.path, entry.kind.value) for entry in archive(*names, limit=limit).entries()]


def refusal(*names: str, limit: int = 1000) -> str:
    with pytest.raises(UnmeasuredError) as caught:
        listed(*names, limit=limit)
    return caught.value.what


def from_all_sources(above: bytes, tmp_path: Path) -> ImageLayers:
    """An image of BELOW and this layer, the same from every archive that holds it."""

    def nothing(_path: str) -> bool:
        return False

    layout = write_layout(tmp_path / "layout", [BELOW, above])
    (tmp_path / "layout.tar").write_bytes(layout_tar(layout))
    (tmp_path / "saved.tar").write_bytes(saved([BELOW, above]))
    found = [
        read_oci_folder(layout, nothing),
        read_archive(tmp_path / "layout.tar", nothing),
        read_archive(tmp_path / "saved.tar", nothing),
        read_saved((tmp_path / "saved.tar").open("rb"), "sha256:ab", nothing),
    ]
    assert [one.layers.layers for one in found[1:]] == [found[0].layers.layers] * 3
    return found[0].layers


class TestWhiteoutsBesideTheirNames:
    """A whiteout hides what lies below the layer, and nothing of the layer itself (OCI image-spec, layer.md)."""

    NEW = (folder("x/"), file("x/new", b"123"))
    MARKER = (file(".wh.x"),)

    @pytest.mark.parametrize("members", [(*MARKER, *NEW), (*NEW, *MARKER)], ids=["before", "behind"])
    def test_a_new_folder_of_the_same_name(self, members: tuple[Member, ...], tmp_path: Path) -> None:
        image = from_all_sources(layer(*members), tmp_path)
        assert image.layers[1].entries == (
            Entry("x", Kind.WHITEOUT),
            Entry("x", Kind.FOLDER, mode=0o755),
            Entry("x/new", Kind.FILE, 3, 0o644),
        )
        assert measure_waste(image).items == (
            WastedPath("x/old", 5, "deleted", 0, 1, "x"),
            WastedPath("x/d/deep", 1, "deleted", 0, 1, "x"),
        )

    @pytest.mark.parametrize("members", [(file(".wh.f"), file("f", b"9")), (file("f", b"9"), file(".wh.f"))])
    def test_a_new_file_of_the_same_name(self, members: tuple[Member, ...], tmp_path: Path) -> None:
        """As `dive --json docker-archive://...` says of it: the marker is a third copy, of 0 bytes."""
        image = from_all_sources(layer(*members), tmp_path)
        assert image.layers[1].entries == (Entry("f", Kind.WHITEOUT), Entry("f", Kind.FILE, 1, 0o644))
        assert measure_waste(image).items == (WastedPath("f", 7, "deleted", 0, 1, "f"),)
        assert dive_figures(image) == DiveFigures(efficiency=6 / 14, wasted_bytes=8)

    def test_a_folder_that_only_a_name_in_it_tells_of(self) -> None:
        assert listed(".wh.x", "x/new") == [("x", "whiteout"), ("x", "folder"), ("x/new", "file")]

    def test_folders_that_only_markers_tell_of(self) -> None:
        """As the engine unpacks them: a marker's folder is there."""
        assert listed("a/b/.wh.gone", "c/d/.wh..wh..opq", ".wh..wh..opq") == [
            ("", "opaque"),
            ("a", "folder"), ("a/b", "folder"), ("a/b/gone", "whiteout"),
            ("c", "folder"), ("c/d", "folder"), ("c/d", "opaque"),
        ]  # fmt: skip

    @pytest.mark.parametrize("name", [".wh.", "a/.wh.", ".wh..", ".wh...", "a/.wh..."])
    def test_one_that_names_nothing(self, name: str) -> None:
        assert refusal("a/", name) == f"{name!r} in a layer deletes what has no name"


class TestFoldersAndFiles:
    """One in the other's place."""

    def test_a_file_in_a_folder_s_place(self, tmp_path: Path) -> None:
        image = from_all_sources(layer(file("x", b"99")), tmp_path)
        assert measure_waste(image).items == (
            WastedPath("x/old", 5, "hidden", 0, 1, "x"),
            WastedPath("x/d/deep", 1, "hidden", 0, 1, "x"),
        )

    def test_a_folder_in_a_file_s_place(self, tmp_path: Path) -> None:
        image = from_all_sources(layer(file("f/in", b"99")), tmp_path)
        assert measure_waste(image).items == (WastedPath("f", 7, "hidden", 0, 1, "f"),)

    @pytest.mark.parametrize("names", [("n", "n/a"), ("n/a", "n"), ("n", "n/b/.wh.a"), ("n", "n/.wh..wh..opq")])
    def test_both_in_one_layer_is_what_no_engine_unpacks(self, names: tuple[str, ...]) -> None:
        assert refusal(*names).endswith(" in a layer lies in what is no folder there")

    def test_a_folder_that_comes_again_as_one_is_one(self) -> None:
        assert listed("n", "n/", "n/a") == [("n", "folder"), ("n/a", "file")]


class TestLimits:
    """Each as much as is allowed, and one more."""

    @pytest.mark.parametrize(
        "names",
        [
            ("a", "b", "c"), ("a/", "b/", "c"), ("a", ".wh.b", ".wh.c"), ("a/b/c",), ("a/b/.wh.c",),
            (".wh..wh..opq", ".wh.a", "b"), ("a/b/.wh..wh..opq",),
        ],
    )  # fmt: skip
    def test_names(self, names: tuple[str, ...]) -> None:
        assert len(listed(*names, limit=3)) == 3
        assert refusal(*names, limit=2) == "a layer has more than 2 names"

    def test_opaque_markers_alone(self) -> None:
        """They are refused as they come, and not only when the folders are counted that they lie in."""
        names = [f"{number}/.wh..wh..opq" for number in range(6)]
        assert len(listed(*names, limit=12)) == 12
        with pytest.raises(UnmeasuredError, match=r"^a layer has more than 5 names$"):
            archive(*names, limit=5)

    def test_length_of_one_name(self) -> None:
        assert len(clean_path("n" * 16_384)) == 16_384
        assert refusal("n" * 16_385) == "a layer has a name of 16,385 characters"

    def test_length_of_all_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(entries, "LARGEST_NAMES", 10)
        assert listed("12345", "54321") == [("12345", "file"), ("54321", "file")]
        assert refusal("12345", "543210") == "the names in a layer have more than 10 characters"
        assert refusal("123/4567") == "the names in a layer have more than 10 characters"

    def test_depth_of_all_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(entries, "LARGEST_DEPTHS", 4)
        assert len(listed("a/b/c", "d/e")) == 5  # 2 + 1 + 0, 1 + 0
        assert refusal("a/b/c", "d/e", "d/f") == "the names in a layer lie absurdly deep"

    def test_sizes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(entries, "LARGEST_LAYER", 10)
        found = LayerArchive(limit=9)
        found.add("a", Kind.FILE, 6, 0, 0, 0)
        found.add("b", Kind.FILE, 4, 0, 0, 0)
        assert sum(entry.size for entry in found.entries()) == 10
        for size in (1, -1):
            with pytest.raises(UnmeasuredError) as caught:
                found.add("c", Kind.FILE, size, 0, 0, 0)
            assert caught.value.what == f"the size of 'c' in a layer is absurd: {size}"


class TestHardLinks:
    """The first in path order of each group carries the size."""

    def linked(self, *members: tuple[str, int, str]) -> list[tuple[str, int, str | None]]:
        """Path, size and target of each member, in their order."""
        found = LayerArchive(limit=99)
        for path, size, target in members:
            found.add(path, Kind.FILE, size, 0o644, 1, 2, target)
        return [(one.path, one.size, one.same_as) for one in found.entries()]

    def test_targets_outside_the_layer(self) -> None:
        assert self.linked(("a", 0, "below"), ("b", 5, ""), ("c", 0, "usr/below")) == [
            ("a", 0, None), ("b", 5, None), ("c", 0, None),
        ]  # fmt: skip

    def test_the_carrier_need_not_be_the_target(self) -> None:
        assert self.linked(("m", 5, ""), ("z", 0, "m"), ("a", 0, "m")) == [
            ("a", 5, None), ("m", 0, "a"), ("z", 0, "a"),
        ]  # fmt: skip

    def test_the_first_in_path_order_is_not_the_first_by_its_letters(self) -> None:
        """`a-b` sorts before `a/b` as text; what lies in a folder comes right behind it."""
        assert self.linked(("a-b", 5, ""), ("a/b", 0, "a-b")) == [("a", 0, None), ("a/b", 5, None), ("a-b", 0, "a/b")]

    def test_a_link_that_comes_again_as_a_file_is_none(self) -> None:
        assert self.linked(("m", 5, ""), ("a", 0, "m"), ("a", 7, "")) == [("a", 7, None), ("m", 5, None)]

    def test_a_link_to_a_folder_is_empty(self) -> None:
        found = archive("m/")
        found.add("a", Kind.FILE, 0, 0o644, 0, 0, "m")
        assert [(one.path, one.kind.value, one.size) for one in found.entries()] == [
            ("a", "file", 0),
            ("m", "folder", 0),
        ]


def test_what_old_storage_drivers_left_behind_is_no_content() -> None:
    assert listed("a", ".wh..wh.plnk/1.2", "b/.wh..wh.orph/x/y", ".wh..wh.aufs") == [("a", "file")]


def test_a_long_name_is_cut_in_what_is_said_of_it() -> None:
    long, shown = "n" * 300, "n" * 200
    assert refusal(f"{long}/../..") == f"the name {shown!r} in a layer leads out of the image"
    assert refusal(long, f"{long}/x") == f"{shown!r} in a layer lies in what is no folder there"
    assert refusal(f"{long}/.wh.") == f"{shown!r} in a layer deletes what has no name"
    with pytest.raises(UnmeasuredError) as caught:
        LayerArchive(limit=9).add(long, Kind.FILE, -1, 0, 0, 0)
    assert caught.value.what == f"the size of {shown!r} in a layer is absurd: -1"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a", "a"), ("a/b", "a/b"), ("./a/", "a"), ("/a//b", "a/b"), ("a/./b", "a/b"), (".a/..b", ".a/..b"),
        (".", ""), ("/", ""), ("", ""), ("a.", "a."), ("a/.b", "a/.b"), ("...", "..."),
    ],
)  # fmt: skip
def test_names_as_paths(name: str, path: str) -> None:
    assert clean_path(name) == path
