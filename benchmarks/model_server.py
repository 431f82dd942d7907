"""Serves the models of a manifest on the loopback interface: files of the real sizes and formats, made-up content.

Their hub cannot be reached from everywhere, and the disk that a download takes is the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import random
import struct
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

_BLOCK = 1 << 20
_ZIP_SLACK = 4096  # more than the names and directory of a PyTorch file take; the comment fills the rest


@contextlib.contextmanager
def serving_models(manifest: Path, folder: Path) -> Iterator[str]:
    """Make the files that `manifest` names in `folder` and serve them; yields the URL of a manifest for them."""
    document = json.loads(manifest.read_text())
    for model in document["models"]:
        for entry in model["files"]:
            file = folder / entry["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            write_model(file, entry["size"])
            with file.open("rb") as stream:
                entry["sha256"] = hashlib.file_digest(stream, "sha256").hexdigest()
            entry["url"] = entry["path"]
    (folder / "manifest.json").write_text(json.dumps(document))
    handler = partial(_QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/manifest.json"
        finally:
            server.shutdown()
            thread.join()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: ARG002 - the library's signature
        return


def write_model(file: Path, size: int) -> None:
    """A file of exactly `size` bytes in the format that its name says; its numbers are noise, the same every time."""
    noise = random.Random(file.name)
    if file.suffix == ".safetensors" and size > _ZIP_SLACK:
        with file.open("wb") as stream:
            header = json.dumps({"weights": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}})
            body = size - 8 - len(header)
            for _ in range(3):  # the header names the length of what follows it
                header = json.dumps({"weights": {"dtype": "U8", "shape": [body], "data_offsets": [0, body]}})
                body = size - 8 - len(header)
            stream.write(struct.pack("<Q", len(header)) + header.encode())
            for block in _blocks(noise, size - stream.tell()):
                stream.write(block)
    elif file.suffix in (".pt", ".pth", ".bin") and size > 2 * _ZIP_SLACK:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
            with archive.open("archive/data/0", "w", force_zip64=True) as stream:
                for block in _blocks(noise, size - _ZIP_SLACK):
                    stream.write(block)
            archive.writestr("archive/version", b"3\n")
        with zipfile.ZipFile(file, "a") as archive:
            archive.comment = b" " * (size - file.stat().st_size)
    else:
        file.write_bytes(b"".join(_blocks(noise, size)))


def _blocks(noise: random.Random, size: int) -> Iterator[bytes]:
    for start in range(0, size, _BLOCK):
        yield noise.randbytes(min(_BLOCK, size - start))
