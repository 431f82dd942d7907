"""What lies in a layer's directory: devices that delete and devices that do not, links that are never followed."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from ci_budget.core.layers.model import Entry, Kind
from ci_budget.edges.layers.layer_folders import LayerFolders, hash_inside, read_inside
from ci_budget.errors import UnmeasuredError


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    folder = tmp_path / "diff"
    folder.mkdir(mode=0o755)
    return folder


def entries(folder: Path) -> list[tuple[str, str, int]]:
    return [(one.path, one.kind.value, one.size) for one in LayerFolders().read(str(folder))]


def test_only_the_device_0_0_deletes(layer: Path) -> None:
    """Of every other one a container sees a device: /dev/null is 1:3."""
    for name, number in (("gone", (0, 0)), ("null", (1, 3)), ("minor", (0, 1)), ("major", (1, 0))):
        os.mknod(layer / name, stat.S_IFCHR | 0o600, os.makedev(*number))
    os.mknod(layer / "block", stat.S_IFBLK | 0o600, os.makedev(0, 0))
    assert entries(layer) == [
        ("block", "other", 0), ("gone", "whiteout", 0), ("major", "other", 0), ("minor", "other", 0),
        ("null", "other", 0),
    ]  # fmt: skip
    assert LayerFolders().read(str(layer))[1] == Entry("gone", Kind.WHITEOUT)


def test_pipes_and_sockets(layer: Path) -> None:
    """An archive has no sockets."""
    os.mkfifo(layer / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(layer / "socket"))
        assert entries(layer) == [("pipe", "other", 0)]


def test_links_are_not_followed(layer: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"x" * 1000)
    (layer / "folder").symlink_to(outside)
    (layer / "file").symlink_to(outside / "secret")
    (layer / "broken").symlink_to("nowhere")
    (layer / "around").symlink_to(".")
    assert entries(layer) == [
        ("around", "link", 0), ("broken", "link", 0), ("file", "link", 0), ("folder", "link", 0),
    ]  # fmt: skip
    assert LayerFolders().measure([str(layer)]) == 0
    for path in ("folder/secret", "file", "around/file", "broken", "none"):
        assert read_inside(str(layer), path, 10_000) is None
        assert hash_inside(str(layer), path, sampled=True) is None


def test_contents_up_to_their_limit(layer: Path) -> None:
    (layer / "a").mkdir()
    (layer / "a" / "file").write_bytes(b"12345")
    assert [read_inside(str(layer), "a/file", limit) for limit in (4, 5)] == [None, b"12345"]


def test_hard_links_once_in_path_order(layer: Path) -> None:
    """`a-b` comes behind what is in `a`; a name of another layer's is none of this one's."""
    (layer / "a").mkdir()
    (layer / "a-b").write_bytes(b"12345")
    os.link(layer / "a-b", layer / "a" / "z")
    os.link(layer / "a-b", layer.parent / "elsewhere")
    assert [(one.path, one.size, one.same_as) for one in LayerFolders().read(str(layer))] == [
        ("a", 0, None), ("a/z", 5, None), ("a-b", 0, "a/z"),
    ]  # fmt: skip
    assert LayerFolders().measure([str(layer)]) == 5


def test_sparse_files_count_as_long_as_they_are(layer: Path) -> None:
    with (layer / "holes").open("wb") as stream:
        stream.truncate(50_000_000)
    assert entries(layer) == [("holes", "file", 50_000_000)]
    assert LayerFolders().measure([str(layer), str(layer)]) == 100_000_000


def test_one_that_is_not_there(tmp_path: Path) -> None:
    for use in (lambda: LayerFolders().read(f"{tmp_path}/none"), lambda: LayerFolders().measure([f"{tmp_path}/none"])):
        with pytest.raises(UnmeasuredError) as caught:
            use()
        said = f"the layer directory {tmp_path}/none cannot be read: No such file or directory"
        assert caught.value.what == said
