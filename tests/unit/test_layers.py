"""What layers hide: the stack, the waste, and dive's own figures."""

from __future__ import annotations

from ci_budget.core.layers.dive import DiveFigures, dive_figures
from ci_budget.core.layers.model import Entry, ImageLayers, Kind, Layer
from ci_budget.core.layers.waste import WastedPath, measure_waste, survey


def f(path: str, size: int, same_as: str | None = None) -> Entry:
    return Entry(path, Kind.FILE, size, same_as=same_as)


def d(path: str) -> Entry:
    return Entry(path, Kind.FOLDER)


def gone(path: str) -> Entry:
    return Entry(path, Kind.WHITEOUT)


def opaque(path: str) -> Entry:
    return Entry(path, Kind.OPAQUE)


def image(*layers: tuple[Entry, ...]) -> ImageLayers:
    return ImageLayers("sha256:0", tuple(Layer(str(index), one) for index, one in enumerate(layers)), ())


def wasted(*layers: tuple[Entry, ...]) -> list[tuple[str, int, str, int, int, str]]:
    return [
        (one.path, one.size, one.cause, one.wrote, one.hid, one.hid_by) for one in measure_waste(image(*layers)).items
    ]


class TestWaste:
    """Payload of all layers minus visible payload, by cause and by the layer that hid it."""

    def test_nothing_is_wasted_in_one_layer(self) -> None:
        assert wasted((d("a"), f("a/b", 7))) == []

    def test_overwritten_deleted_and_hidden(self) -> None:
        below = (d("a"), f("a/deep", 3), f("b", 5), d("c"), f("c/x", 11), d("c/y"), f("c/y/z", 13))
        above = (gone("a"), f("b", 6), d("c"), opaque("c"), f("c/new", 1))
        assert wasted(below, above) == [
            ("c/y/z", 13, "hidden", 0, 1, "c"),
            ("c/x", 11, "hidden", 0, 1, "c"),
            ("b", 5, "overwritten", 0, 1, "b"),
            ("a/deep", 3, "deleted", 0, 1, "a"),
        ]

    def test_a_folder_that_becomes_a_file_takes_what_was_in_it(self) -> None:
        assert wasted((d("a"), f("a/b", 7)), (f("a", 1),)) == [("a/b", 7, "hidden", 0, 1, "a")]

    def test_a_file_that_becomes_a_folder(self) -> None:
        assert wasted((f("a", 7),), (d("a"), f("a/b", 1))) == [("a", 7, "hidden", 0, 1, "a")]

    def test_each_copy_of_a_file_written_three_times(self) -> None:
        assert wasted((f("a", 1),), (f("a", 2),), (f("a", 4),)) == [
            ("a", 2, "overwritten", 1, 2, "a"),
            ("a", 1, "overwritten", 0, 1, "a"),
        ]

    def test_deleted_and_written_again(self) -> None:
        assert wasted((f("a", 1),), (gone("a"),), (f("a", 4),)) == [("a", 1, "deleted", 0, 1, "a")]

    def test_hard_links_are_wasted_when_the_last_name_is_hidden(self) -> None:
        linked = (f("a", 9), f("b", 0, same_as="a"))
        assert wasted(linked, (gone("a"),)) == []
        assert wasted(linked, (gone("a"),), (f("b", 2),)) == [("a", 9, "overwritten", 0, 2, "b")]
        assert wasted((*linked, f("c", 0, same_as="a")), (gone("a"), gone("c"))) == []

    def test_a_whiteout_of_nothing(self) -> None:
        assert wasted((f("a", 1),), (gone("b"), gone("x/y"))) == []

    def test_sums_agree_with_what_is_visible(self) -> None:
        layers = ((f("a", 1), d("b"), f("b/c", 2)), (f("a", 4), gone("b")), (d("b"), f("b/d", 8)))
        visible, waste = survey(image(*layers))
        total = sum(entry.size for layer in layers for entry in layer)
        assert waste.total == total - sum(entry.size for entry, _ in visible) == 3
        assert waste.by_cause() == {"overwritten": 1, "deleted": 2, "hidden": 0}
        assert waste.by_hiding_layer() == {1: 3}
        assert sorted((entry.path, layer) for entry, layer in visible) == [("a", 1), ("b", 2), ("b/d", 2)]

    def test_the_largest_comes_first(self) -> None:
        assert measure_waste(image((f("a", 1), f("b", 2)), (gone("a"), gone("b")))).items == (
            WastedPath("b", 2, "deleted", 0, 1, "b"),
            WastedPath("a", 1, "deleted", 0, 1, "a"),
        )


class TestDive:
    """dive's rules (filetree/efficiency.go); that they are its own, tests/engine/test_layers_engine.py shows."""

    def test_an_empty_image_is_efficient(self) -> None:
        assert dive_figures(image()) == DiveFigures(efficiency=1.0, wasted_bytes=0)

    def test_a_path_seen_twice_counts_with_all_its_copies(self) -> None:
        assert dive_figures(image((f("a", 4), f("b", 2)), (f("a", 6),))) == DiveFigures(
            efficiency=6 / 12, wasted_bytes=10
        )

    def test_a_deleted_file_has_the_smallest_size_none(self) -> None:
        assert dive_figures(image((f("a", 4), f("b", 4)), (gone("a"),))) == DiveFigures(efficiency=0.5, wasted_bytes=4)

    def test_how_deep_it_lies_is_no_matter(self) -> None:
        deep = "a/" * 5000 + "f"
        below = (f(deep, 4), f("b/c", 4), f("b/d", 4))
        assert dive_figures(image(below, (gone(deep),))) == DiveFigures(efficiency=8 / 12, wasted_bytes=4)

    def test_a_deleted_folder_counts_once_more_and_not_as_wasted(self) -> None:
        below = (d("a"), f("a/b", 4), f("a/c", 6))
        assert dive_figures(image(below, (gone("a"),))) == DiveFigures(efficiency=1.0, wasted_bytes=0)

    def test_a_whiteout_of_nothing_ends_the_layer(self) -> None:
        """Names in byte order: `.wh.b` comes before `a`, which dive then never sees; and its smallest size is -1."""
        assert dive_figures(image((f("a", 4),), (f("a", 4), gone("b")))) == DiveFigures(
            efficiency=3 / 4, wasted_bytes=0
        )
        assert dive_figures(image((f("a", 4),), (f("+", 4), gone("b")))) == DiveFigures(
            efficiency=7 / 8, wasted_bytes=0
        )
        assert dive_figures(image((f("+", 4),), (f("+", 4), gone("b")))) == DiveFigures(
            efficiency=3 / 8, wasted_bytes=8
        )

    def test_a_whiteout_of_what_comes_later_has_a_size(self) -> None:
        layers = ((f("a", 4),), (gone("b"),), (f("b", 4),))
        assert dive_figures(image(*layers)) == DiveFigures(efficiency=1.0, wasted_bytes=0)

    def test_opaque_markers_are_unknown_to_it(self) -> None:
        below, above = (d("a"), f("a/b", 4)), (d("a"), opaque("a"), f("a/b", 4))
        assert dive_figures(image(below, above)) == DiveFigures(efficiency=0.5, wasted_bytes=8)
