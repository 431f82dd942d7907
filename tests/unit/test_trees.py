"""Two trees of sums held against each other: how deep what differs is told, and by which layer."""

from __future__ import annotations

import pytest

from ci_budget.core.inventory.model import FileRecord, FolderRecord
from ci_budget.core.inventory.trees import Change, Listing, Tree, compare_trees

MB = 1_000_000
Files = dict[str, int]


def listing(files: Files, *, depth: int = 12, smallest: int = 0, layer: int = 0) -> Listing:
    """Of all folders and files, as an inventory that left nothing out."""
    return both((layer, files), depth=depth, smallest=smallest)


def both(*layers: tuple[int, Files], depth: int = 12, smallest: int = 0) -> Listing:
    sums: dict[tuple[int, str], list[int]] = {}
    for layer, files in layers:
        for path, size in files.items():
            parts = path.split("/")[:-1]
            for level in range(len(parts) + 1):
                held = sums.setdefault((layer, "/".join(parts[:level])), [0, 0])
                held[0] += size
                held[1] += 1
    folders = [
        FolderRecord(path=path, layer=layer, size=size, files=files) for (layer, path), (size, files) in sums.items()
    ]
    records = [
        FileRecord(path=path, size=size, layer=layer) for layer, files in layers for path, size in files.items()
    ]  # fmt: skip
    return Listing(folders, records, depth=depth, smallest=smallest)


def told(old: Files, new: Files, *, depth: int = 12, smallest: int = 0) -> list[tuple[str, int]]:
    sides = [Tree(listing(files, depth=depth, smallest=smallest), [0]) for files in (old, new)]
    return [(change.name, change.delta) for change in compare_trees(*sides)]


class TestHowDeep:
    """As deep as few parts tell most of it, else their folder as one."""

    @pytest.mark.parametrize(("parts", "by_name"), [(4, True), (5, False)])
    def test_few_parts(self, parts: int, by_name: bool) -> None:
        files = {f"a/f{number}": MB for number in range(parts)}
        expected = [(f"/a/f{number}", MB) for number in range(parts)] if by_name else [("/a/", parts * MB)]
        assert told({}, files) == expected

    @pytest.mark.parametrize(("small", "by_name"), [(20, True), (21, False)])
    def test_most_of_it(self, small: int, by_name: bool) -> None:
        """Four fifths: the rest is in files that have no record of their own."""
        loose = {"a/large": 80 * MB} | {f"a/{number}": MB // 10 for number in range(small * 10)}
        assert told({}, loose, smallest=MB) == [("/a/large", 80 * MB) if by_name else ("/a/", (80 + small) * MB)]

    @pytest.mark.parametrize(("size", "told_too"), [(50, True), (49, False)])
    def test_a_part_counts_from_a_twentieth(self, size: int, told_too: bool) -> None:
        files = {"a/large": 1000 - size, "a/part": size}
        parts = [("/a/large", 1000 - size), ("/a/part", size)]
        assert told({}, files) == (parts if told_too else parts[:1])

    def test_at_the_root_everything_is_told(self) -> None:
        files = {f"f{number}": MB for number in range(9)} | {"large": 900 * MB}
        assert told({}, files) == [(f"/{name}", size) for name, size in sorted(files.items())]

    def test_what_moves_within_a_folder_is_no_change_of_it(self) -> None:
        assert told({"a/x": 9 * MB}, {"a/y": 9 * MB}) == [("/a/x", -9 * MB), ("/a/y", 9 * MB)]
        many = [{f"a/{side}{number}": MB for number in range(9)} for side in "xy"]
        assert told(*many) == [], "too many to name, and the folder is as large as before"

    @pytest.mark.parametrize(("depth", "name"), [(64, "/" + "a/" * 63 + "f"), (65, "/" + "a/" * 64)])
    def test_no_deeper_than_64_folders(self, depth: int, name: str) -> None:
        path = "a/" * (depth - 1) + "f"
        assert told({path: MB}, {path: 3 * MB}, depth=99) == [(name, 2 * MB)]

    def test_nor_than_both_have_records_of(self) -> None:
        """Below that, only large files lead on."""
        files = {"a/b/c/d/small": MB, "a/b/c/d/large": 9 * MB}
        assert told({}, files, depth=2, smallest=5 * MB) == [("/a/b/c/d/large", 9 * MB)]
        assert told({}, files, depth=2, smallest=50 * MB) == [("/a/b/", 10 * MB)]
        assert told({}, files, depth=1, smallest=50 * MB) == [("/a/", 10 * MB)]
        tree = Tree(listing(files, depth=2, smallest=5 * MB), [0])
        sizes = [tree.size(path) for path in ("", "a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/large", "a/b/c/d/small")]
        assert sizes == [10 * MB, 10 * MB, 10 * MB, 9 * MB, 9 * MB, 9 * MB, None]


class TestSides:
    """What is on one side alone, or is another kind of thing on the other."""

    def test_sizes_before_and_after(self) -> None:
        old, new = Tree(listing({"a/x": 3, "gone": 2}), [0]), Tree(listing({"a/x": 7, "b/new": 5}), [0])
        assert list(compare_trees(old, new)) == [
            Change("a/x", 3, 7, True), Change("b/new", None, 5, True), Change("gone", 2, None, True),
        ]  # fmt: skip
        assert (old.total, new.total) == (5, 12)
        assert (new.size("a"), new.children(""), new.children("none"), new.is_file("a"), new.is_file("a/x")) == (
            7, {"a", "b"}, set(), False, True,
        )  # fmt: skip

    def test_a_file_that_becomes_a_folder(self) -> None:
        assert told({"a": 3 * MB}, {"a/x": 7 * MB}) == [("/a", 4 * MB)]

    def test_names_of_changes(self) -> None:
        assert [Change(path, 1, 2, is_file).name for path, is_file in (("a/b", True), ("a/b", False), ("", False))] == [
            "/a/b", "/a/b/", "/",
        ]  # fmt: skip

    def test_records_as_small_as_both_keep(self) -> None:
        found = listing({"a/x": 10, "a/y": 9}, smallest=10)
        assert [file.path for file in found.files[0]] == ["a/x"]
        assert [folder.path for folder in listing({"a/b/c": 1}, depth=1).folders[0]] == ["", "a"]
        assert [folder.path for folder in listing({"a/b/c": 1}, depth=2).folders[0]] == ["", "a", "a/b"]
        assert [folder.path for folder in listing({"a/b/c": 1}, depth=0).folders[0]] == [""]


class TestLayers:
    """Whose it is."""

    def test_the_one_with_most_and_of_equal_ones_the_upper(self) -> None:
        tree = Tree(both((1, {"a/x": 5, "b": 4}), (2, {"a/x": 5, "b": 3}), (3, {"b": 2})), [1, 2, 3])
        assert [tree.layer_of(Change(path, None, 1, True)) for path in ("a/x", "a", "b", "", "none")] == [
            2, 2, 1, 1, None,
        ]  # fmt: skip
        assert (tree.size("a/x"), tree.size("b"), tree.total) == (10, 9, 19)

    def test_only_those_that_are_asked_for(self) -> None:
        assert Tree(both((1, {"x": 5}), (2, {"x": 7})), [2]).total == 7

    def test_what_packages_own_is_theirs(self) -> None:
        folders = [
            FolderRecord(path="", layer=0, size=9, files=2, owned=4),
            FolderRecord(path="a", layer=0, size=5, files=1, owned=4),
            FolderRecord(path="b", layer=0, size=4, files=1, owned=4),
        ]
        files = [FileRecord(path="a/x", size=4, layer=0, owned=True), FileRecord(path="a/y", size=1, layer=0)]
        tree = Tree(Listing(folders, files, depth=9, smallest=1), [0])
        assert [tree.size(path) for path in ("", "a", "a/x", "a/y", "b")] == [5, 1, None, 1, None]
