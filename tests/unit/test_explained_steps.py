"""What is worth showing of an image: where each step stands, which paths and packages, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from ci_budget.core.inventory.explanation import ExplainedPath, ExplainedStep, explain_inventory
from ci_budget.core.inventory.model import (
    FileRecord,
    FolderRecord,
    Inventory,
    LayerRecord,
    Manager,
    PackageRecord,
    SameContent,
    StepRecord,
)


def layer(size: int, step: int | None, **given: Any) -> LayerRecord:
    return LayerRecord(**{"diff_id": "sha256:a", "size": size, "files": 1, "inherited": False, "step": step} | given)


def inventory(**given: Any) -> Inventory:
    return Inventory(**{"image_id": "sha256:0", "size": 1000, "layers": [layer(1000, None)]} | given)


def paths(*records: FileRecord | FolderRecord, size: int = 1000, layers: int = 1) -> list[ExplainedPath]:
    found = inventory(
        size=size,
        layers=[layer(size // layers, None) for _ in range(layers)],
        files=[one for one in records if isinstance(one, FileRecord)],
        folders=[one for one in records if isinstance(one, FolderRecord)],
    )
    return list(explain_inventory("app", found).paths)


def file(path: str, size: int, at: int = 0, *, hidden: bool = False) -> FileRecord:
    return FileRecord(path=path, size=size, layer=at, hidden=hidden)


def folder(path: str, size: int, at: int = 0) -> FolderRecord:
    return FolderRecord(path=path, size=size, layer=at, files=1)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"stage": "app", "line": 3}, "app:3"), ({"line": 3}, "line 3"), ({"inherited": True}, "base image"),
        ({"inherited": True, "stage": "app", "line": 3}, "app:3"), ({}, "layer 5"),
    ],
)  # fmt: skip
def test_where_a_step_stands(given: dict[str, Any], place: str) -> None:
    one = {
        "layer": 4,
        "command": "c",
        "stage": None,
        "line": None,
        "inherited": False,
        "size": 1,
        "files": 1,
        "hides": 0,
    }
    assert ExplainedStep(**one | given).place == place


def test_steps_by_size_and_those_without_a_history() -> None:
    found = inventory(
        layers=[layer(10, 0), layer(30, None), layer(10, 1), layer(20, 2)],
        steps=[StepRecord(created_by="RUN a", layer=0), StepRecord(created_by="COPY b", layer=2, stage="s", line=7)],
    )
    steps = explain_inventory("app", found).steps
    assert [(one.layer, one.command, one.stage, one.line, one.size) for one in steps] == [
        (1, "layer 2", None, None, 30), (3, "layer 4", None, None, 20), (0, "RUN a", None, None, 10),
        (2, "COPY b", "s", 7, 10),
    ]  # fmt: skip


class TestPaths:
    """From 2 % of the image on, less what is nearly all one thing that lies in it."""

    def test_the_smallest_that_is_shown(self) -> None:
        assert paths(file("a", 20), file("b", 19)) == [ExplainedPath(path="a", size=20, layer=0)]
        assert [one.path for one in paths(file("a", 1), size=10)] == ["a"]
        assert paths(file("a", 0), size=0) == []

    @pytest.mark.parametrize(("inner", "shown"), [(80, ["a/b/"]), (79, ["a/", "a/b/"])])
    def test_a_folder_that_is_nearly_all_one_folder(self, inner: int, shown: list[str]) -> None:
        assert [one.path for one in paths(folder("a", 100), folder("a/b", inner), folder("", 100))] == shown

    def test_one_that_is_nearly_all_one_file(self) -> None:
        assert [one.path for one in paths(folder("a", 100), file("a/f", 90), file("g", 30))] == ["a/f", "g"]

    def test_of_several_layers_together_with_the_one_that_has_most(self) -> None:
        found = paths(file("a", 10, 0), file("a", 12, 1), file("a", 11, 2), file("b", 3, 0), layers=3)
        assert found == [ExplainedPath(path="a", size=33, layer=1)]
        assert paths(file("a", 10, 0), file("a", 10, 1), layers=2) == [ExplainedPath(path="a", size=20, layer=1)]

    def test_hidden_files_are_marked_and_equal_ones_by_name(self) -> None:
        assert paths(file("b", 30), file("a", 30, hidden=True), file("c", 40)) == [
            ExplainedPath(path="c", size=40, layer=0),
            ExplainedPath(path="a", size=30, layer=0, hidden=True),
            ExplainedPath(path="b", size=30, layer=0),
        ]


def test_packages_by_size_of_known_layers() -> None:
    def package(name: str, size: int, at: int = 0, manager: Manager = Manager.PIP) -> PackageRecord:
        return PackageRecord(manager=manager, name=name, version="1", size=size, layer=at, path="p")

    found = inventory(
        packages=[
            package("b", 1),
            package("a", 1),
            package("z", 9),
            package("lost", 99, 7),
            package("a", 1, 0, Manager.APK),
        ]
    )
    shown = explain_inventory("app", found).packages
    assert [(one.record.manager.value, one.record.name, one.step.layer) for one in shown] == [
        ("pip", "z", 0), ("apk", "a", 0), ("pip", "a", 0), ("pip", "b", 0),
    ]  # fmt: skip


def test_what_is_there_more_than_once_by_what_it_costs() -> None:
    """A copy costs nothing the first time."""
    same = [
        SameContent(size=10, sha256="x", paths=["a", "b"]), SameContent(size=6, sha256="y", paths=["c", "d", "e"]),
        SameContent(size=11, sha256="z", paths=["f", "g"]),
    ]  # fmt: skip
    assert [one.sha256 for one in explain_inventory("app", inventory(same_content=same)).same_content] == [
        "y",
        "z",
        "x",
    ]
