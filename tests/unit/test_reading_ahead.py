"""Layers that other processes read while this one loads: the same entries, or none."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing, nullcontext
from pathlib import Path

import pytest

from ci_budget.core.layers.model import Kind
from ci_budget.edges.engine.facts import ImageFacts
from ci_budget.edges.engine.image_lookup import look_up_image
from ci_budget.edges.layers import layer_reader, reading_ahead
from ci_budget.edges.layers.layer_folders import LayerFolders
from ci_budget.edges.layers.reading_ahead import ReadingAhead
from ci_budget.errors import UnmeasuredError
from tests.living import lives
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
    monkeypatch.setattr(reading_ahead, "read_layers", lambda *_: signal.pause())
    before = children()
    with reading_ahead._reading(facts_of(*folders)):
        assert len(children()) == len(before) + 3
    assert children() == before


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A layer of some 900 names, three levels deep: files of two links in different folders, names whose path order is
    not that of texts, a folder that hides the lower ones."""
    top = tmp_path / "large"
    for outer in ("a", "a-b", "a.b", "b"):
        for middle in map(str, range(20)):
            folder = top / outer / middle / "inner"
            folder.mkdir(parents=True)
            for name in map(str, range(8)):
                (folder / name).write_text(f"{outer}{middle}{name}")
    os.link(top / "b" / "19" / "inner" / "7", top / "a" / "0" / "inner" / "8")
    os.link(top / "b" / "19" / "inner" / "7", top / "a-b" / "9" / "inner" / "8")
    os.setxattr(top / "a" / "7" / "inner", "user.overlay.opaque", b"y")
    return top


@pytest.mark.parametrize("enough", [0, 1, 10, 100, 10_000])
def test_a_large_layer_is_shared_and_is_the_same(large: Path, monkeypatch: pytest.MonkeyPatch, enough: int) -> None:
    monkeypatch.setattr(layer_reader, "_ENOUGH", enough)
    with reading_ahead._reading(facts_of(large)) as reading:
        read = reading.read(str(large))
        parts = [part for _, part in reading._parts[0]]
    assert read == LayerFolders().read(str(large))
    assert [entry.same_as for entry in read if entry.same_as] == ["a/0/inner/8"] * 2
    assert [entry.path for entry in read if entry.kind is Kind.OPAQUE] == ["a/7/inner"]
    assert sum(part.names for part in parts) == len(read) == 4 + 80 + 80 + 640 + 2 + 1
    assert (len(parts) > 1) == (enough < 10_000)
    assert len(parts) == 1 + sum(part.handed_on for part in parts)


def test_what_the_queue_has_no_room_for_is_read_all_the_same(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_reader, "_ENOUGH", 1)
    monkeypatch.setattr(layer_reader.TaskQueue, "offer", lambda *_: False)
    with reading_ahead._reading(facts_of(large, large)) as reading:
        assert reading.read(str(large)) == LayerFolders().read(str(large))


def test_layers_of_too_many_names_are_refused(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_reader, "_ENOUGH", 100)
    for most, refused in ((807, False), (806, True)):
        monkeypatch.setattr(reading_ahead, "MOST_NAMES", most)
        outcome = pytest.raises(UnmeasuredError, match="has more than 806 names") if refused else nullcontext()
        with reading_ahead._reading(facts_of(large)) as reading, outcome:
            reading.read(str(large))


def test_a_reader_that_is_killed_is_noticed(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_ahead, "read_layers", lambda *_: signal.pause())
    before = children()
    with reading_ahead._reading(facts_of(large)) as reading:
        os.kill((set(children()) - set(before)).pop(), signal.SIGKILL)
        with pytest.raises(EOFError):
            reading.read(str(large))


def test_readers_end_with_the_process_that_asked(large: Path) -> None:
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        with reading_ahead._reading(facts_of(large)):
            os.write(sink, " ".join(map(str, children())).encode())
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    readers = [int(pid) for pid in os.read(source, 1000).split()]
    os.close(source)
    os.close(sink)
    assert len(readers) == 3
    deadline = time.monotonic() + 30
    while alive := [pid for pid in readers if lives(pid)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.01)


@pytest.mark.parametrize("path", ["a" * 300_000, os.fsdecode(b"bad\xff/name"), ""])
def test_a_task_comes_whole_or_is_not_taken(path: str) -> None:
    source, sink = os.pipe()
    with closing(layer_reader.TaskQueue()) as queue:
        taken = queue.offer(7, path)
        assert taken == (len(path) < 300_000)
        if taken:
            assert queue.take(source) == (7, path)
        os.close(sink)
        assert queue.take(source) is None
    os.close(source)


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
