"""Files of a layer directory, hashed whole or by samples; what only an archive can tell."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ci_budget.edges.layers.layer_folders import LayerFolders, hash_inside, read_inside
from ci_budget.errors import UnmeasuredError

SIZE = 200_000


def test_samples_tell_files_apart_without_reading_them(tmp_path: Path) -> None:
    folder = tmp_path / "usr"
    folder.mkdir()
    changed = {"same": None, "start": 0, "middle": SIZE // 2, "end": SIZE - 1, "elsewhere": SIZE // 4}
    for name, at in changed.items():
        data = bytearray(SIZE)
        if at is not None:
            data[at] = 1
        (folder / name).write_bytes(data)
    samples = {name: hash_inside(str(tmp_path), f"usr/{name}", sampled=True) for name in changed}
    assert [name for name in changed if samples[name] != samples["same"]] == ["start", "middle", "end"]
    whole = hash_inside(str(tmp_path), "usr/elsewhere", sampled=False)
    assert whole == hashlib.sha256((folder / "elsewhere").read_bytes()).hexdigest()


def test_what_is_no_plain_file_has_no_hash(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "small").write_bytes(b"x")
    assert [hash_inside(str(tmp_path), "link", sampled=sampled) for sampled in (True, False)] == [None, None]
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    handles = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("folder", "pipe"):
        assert [hash_inside(str(tmp_path), name, sampled=sampled) for sampled in (True, False)] == [None, None]
        assert read_inside(str(tmp_path), name, 10) is None
    assert len(list(Path("/proc/self/fd").iterdir())) == handles
    assert hash_inside(str(tmp_path), "small", sampled=True) == hashlib.sha256(b"xxx").hexdigest()


def test_names_that_an_archive_reads_as_deletions_are_left_to_it(tmp_path: Path) -> None:
    (tmp_path / "etc" / ".wh.name").mkdir(parents=True)
    said = f"the layer directory {tmp_path}/etc has a file '.wh.name', which deletes another one in an archive"
    for read in (lambda: LayerFolders().read(str(tmp_path)), lambda: LayerFolders().measure([str(tmp_path)])):
        with pytest.raises(UnmeasuredError) as caught:
            read()
        assert caught.value.what == said
