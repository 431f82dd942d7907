"""Layers that other processes read while this one loads: the same entries, or none."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from ci_budget.edges.engine.facts import ImageFacts
from ci_budget.edges.engine.image_lookup import look_up_image
from ci_budget.edges.layers import reading_ahead
from ci_budget.edges.layers.layer_folders import LayerFolders
from ci_budget.edges.layers.reading_ahead import ReadingAhead
from tests.unit.test_saved_images import GONE, engine


def facts_of(*folders: Path) -> ImageFacts:
    return ImageFacts(
        id="sha256:ab",
        platform="linux/amd64",
        diff_ids=tuple(f"sha256:{index}" for index in range(len(folders))),
        onbuild=(),
        repo_digests=(),
        layer_folders=tuple(map(str, folders)),
    )


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Nine layers: one with all that is odd, an empty one, and small ones."""
    odd, empty, *rest = (tmp_path / f"layer{index}" for index in range(9))
    (odd / "in" / "deep").mkdir(parents=True)
    (odd / "in" / "deep" / "file").write_bytes(b"x" * 1000)
    os.link(odd / "in" / "deep" / "file", odd / "again")
    (odd / "link").symlink_to("/etc/passwd")
    (odd / os.fsdecode(b"bad\xffname")).write_text("y")
    empty.mkdir()
    for folder in rest:
        folder.mkdir()
        (folder / folder.name).write_text(folder.name)
    return [odd, empty, *rest]


def children() -> list[int]:
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(pid) for pid in found.split()]


def test_the_entries_are_those_of_the_folders(folders: list[Path]) -> None:
    before = children()
    with reading_ahead._reading(facts_of(*folders)) as reading:
        read = {folder: reading.read(str(folder)) for folder in reversed(folders)}
    assert read == {folder: LayerFolders().read(str(folder)) for folder in folders}
    assert {entry.same_as for entry in read[folders[0]]} == {None, "again"}
    assert children() == before


def test_a_layer_that_cannot_be_read_ends_it(folders: list[Path], tmp_path: Path) -> None:
    facts = facts_of(tmp_path / "gone", *folders, tmp_path / "gone")
    with reading_ahead._reading(facts) as reading:
        with pytest.raises(EOFError):
            reading.read(str(tmp_path / "gone"))
        assert ReadingAhead({"image": reading}).contents("image") is None
        assert ReadingAhead({"image": reading}).contents("other") is None


def test_readers_that_hang_do_not_outlive_the_block(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LayerFolders, "read", lambda *_: signal.pause())
    before = children()
    with reading_ahead._reading(facts_of(*folders)):
        assert len(children()) == len(before) + 2
    assert children() == before


def test_an_engine_that_has_no_such_image_tells_nothing(tmp_path: Path) -> None:
    with engine(tmp_path, GONE) as (address, asked):
        assert look_up_image(address, "a b") is None
    assert asked == ["GET /images/a%20b/json HTTP/1.0"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"{", b"\xff"])
def test_an_engine_that_answers_nonsense_tells_nothing(tmp_path: Path, body: bytes) -> None:
    with engine(tmp_path, (200, {}, body)) as (address, _):
        assert look_up_image(address, "image") is None


@pytest.mark.parametrize("address", ["unix:///nowhere/e.sock", "tcp://127.0.0.1:1", "ssh://host"])
def test_an_engine_that_is_not_there_or_not_here_tells_nothing(address: str) -> None:
    assert look_up_image(address, "image") is None
