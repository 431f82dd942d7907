"""Layers laid over each other, against a plain model of a file tree: what is there at last, and what hid the rest."""

from __future__ import annotations

import random

import pytest

from ci_budget.core.layers.entries import LayerArchive
from ci_budget.core.layers.model import Entry, ImageLayers, Kind, Layer, path_key
from ci_budget.core.layers.waste import WastedPath, survey

PATHS = ("a", "b", "a/b", "a/c", "a-b", "a/b/x", "a/b/y", "a/b/z/deep", "a/c/x", "d/e/f", "d/e", "d/g", "d")


def layer(*entries: Entry) -> Layer:
    return Layer("sha256:any", tuple(sorted(entries, key=lambda one: path_key(one.path))))


def some_layer(rng: random.Random) -> Layer:
    """Names as an archive brings them, its folders included; no file has anything in it."""
    archive = LayerArchive(limit=1000)
    files: set[str] = set()
    folders: set[str] = set()
    for _ in range(rng.randint(1, 8)):
        path = rng.choice(PATHS)
        parents = {path.rsplit("/", up)[0] for up in range(1, path.count("/") + 1)}
        kind = rng.choice(("file", "file", "file", "link", "folder", "gone", "opaque"))
        if parents & files or (path in files and kind in ("folder", "opaque")):
            continue
        if kind in ("file", "link") and path in folders:
            continue
        folders |= parents
        before, _, last = path.rpartition("/")
        start = f"{before}/" if before else ""
        if kind == "gone":
            archive.add(f"{start}.wh.{last}", Kind.FILE, 0, 0, 0, 0)
        elif kind == "opaque":
            inner = rng.choice((f"{path}/", ""))
            folders |= {path} if inner else set()
            archive.add(f"{inner}.wh..wh..opq", Kind.FILE, 0, 0, 0, 0)
        elif kind == "folder":
            folders.add(path)
            archive.add(path, Kind.FOLDER, 0, 0, 0, 0)
        else:
            files.add(path)
            is_file = kind == "file"
            archive.add(path, Kind.FILE if is_file else Kind.LINK, rng.randint(1, 99) if is_file else 0, 0, 0, 0)
    return Layer("sha256:any", archive.entries())


def model(layers: list[Layer]) -> tuple[dict[str, tuple[Entry, int]], set[WastedPath]]:
    """The tree as a dictionary: each layer takes away what it hides, then puts down what it has."""
    tree: dict[str, tuple[Entry, int]] = {}
    wasted: set[WastedPath] = set()

    def take(path: str, cause: str, by: str, at: int) -> None:
        entry, wrote = tree.pop(path)
        if entry.size:
            wasted.add(WastedPath(path, entry.size, cause, wrote, at, by))  # type: ignore[arg-type]

    def below(folder: str) -> list[str]:
        return [path for path in tree if not folder or path.startswith(f"{folder}/")]

    for at, one in enumerate(layers):
        for kind, cause in ((Kind.WHITEOUT, "deleted"), (Kind.OPAQUE, "hidden")):
            for marker in [entry for entry in one.entries if entry.kind is kind]:
                if kind is Kind.WHITEOUT and marker.path in tree:
                    take(marker.path, cause, marker.path, at)
                for path in below(marker.path):
                    take(path, cause, marker.path, at)
        for entry in [entry for entry in one.entries if entry.kind not in (Kind.WHITEOUT, Kind.OPAQUE)]:
            if entry.kind is not Kind.FOLDER:
                for path in below(entry.path):
                    take(path, "hidden", entry.path, at)
            if entry.path in tree:
                same = (tree[entry.path][0].kind is Kind.FOLDER) == (entry.kind is Kind.FOLDER)
                take(entry.path, "overwritten" if same else "hidden", entry.path, at)
            tree[entry.path] = entry, at
    return tree, wasted


@pytest.mark.parametrize("seed", range(300))
def test_any_layers(seed: int) -> None:
    rng = random.Random(seed)
    layers = [some_layer(rng) for _ in range(rng.randint(2, 6))]
    visible, waste = survey(ImageLayers("sha256:0", tuple(layers), ()))
    expected, wasted = model(layers)
    assert {entry.path: (entry, at) for entry, at in visible} == expected
    assert len(visible) == len(expected)
    assert {(one.path, one.size, one.wrote, one.hid) for one in waste.items} == {
        (one.path, one.size, one.wrote, one.hid) for one in wasted
    }
    nested = {one for one in wasted if sum(marker.path in one.path for marker in layers[one.hid].markers) <= 1}
    assert nested <= set(waste.items), "where one marker hides it, it is told which and how"


def test_a_root_that_is_made_opaque_can_be_filled_again() -> None:
    layers = (
        layer(Entry("a", Kind.FOLDER), Entry("a/b", Kind.FILE, 3), Entry("c", Kind.FILE, 5)),
        layer(Entry("", Kind.OPAQUE), Entry("c", Kind.FILE, 7), Entry("a", Kind.FOLDER), Entry("a/d", Kind.FILE, 9)),
        layer(Entry("a", Kind.WHITEOUT)),
    )
    visible, waste = survey(ImageLayers("sha256:0", layers, ()))
    assert visible == [(Entry("c", Kind.FILE, 7), 1)]
    assert waste.items == (
        WastedPath("a/d", 9, "deleted", 1, 2, "a"),
        WastedPath("c", 5, "hidden", 0, 1, ""),
        WastedPath("a/b", 3, "hidden", 0, 1, ""),
    )


def test_what_a_layer_has_and_what_it_hides() -> None:
    one = layer(
        Entry("", Kind.OPAQUE), Entry("a", Kind.FOLDER), Entry("a-b", Kind.FILE, 1), Entry("a/b", Kind.FILE, 2),
        Entry("a/gone", Kind.WHITEOUT), Entry("a/l", Kind.LINK), Entry("p", Kind.OTHER),
    )  # fmt: skip
    assert [entry.path for entry in one.entries] == ["", "a", "a/b", "a/gone", "a/l", "a-b", "p"]
    assert one.markers == [Entry("", Kind.OPAQUE), Entry("a/gone", Kind.WHITEOUT)]
    assert {folder: [entry.path for entry in held] for folder, held in one.folders.items()} == {
        "": ["a", "a-b", "p"], "a": ["a/b", "a/l"],
    }  # fmt: skip
    assert (one.size, [kind.value for kind in Kind]) == (
        3, ["file", "folder", "link", "other", "whiteout", "opaque"],
    )  # fmt: skip


def test_what_nobody_says_of_an_image_or_an_entry() -> None:
    found = ImageLayers("sha256:0", (), ())
    assert (found.inherited, found.source) == (0, "unknown")
    assert Entry("a", Kind.FILE) == ("a", Kind.FILE, 0, 0, 0, 0, None)
