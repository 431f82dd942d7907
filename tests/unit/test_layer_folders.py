"""Files of a layer directory, hashed whole or by samples."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ci_budget.edges.layers.layer_folders import hash_inside

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
    assert hash_inside(str(tmp_path), "small", sampled=True) == hashlib.sha256(b"xxx").hexdigest()
