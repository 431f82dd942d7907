"""An image's archive straight from the engine's socket: the engine here is a server of our own."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from ci_budget.edges.engine.saved_images import saved_image
from ci_budget.edges.layers.image_archives import read_saved
from ci_budget.errors import UnmeasuredError
from tests.image_archives import file, layer, saved

ARCHIVE = saved([layer(file("big", b"x" * 3_000_000), file("small", b"y"))])
IMAGE = "sha256:ab"
PLAIN = (200, {}, ARCHIVE)
CHUNKED = (  # what stands between us and the engine may speak HTTP/1.1 all the same
    200,
    {"Transfer-Encoding": "chunked"},
    b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (ARCHIVE[:70_000], ARCHIVE[70_000:])) + b"0\r\n\r\n",
)
GONE = (404, {}, b'{"message":"No such image: sha256:ab"}\n')
FORBIDDEN = (403, {}, b"<html>no</html>")
SILENT = (403, {}, b"")
BROKEN = (200, {}, ARCHIVE[:2_000_000])
FAILED = (200, {}, b'{"errorDetail":{"message":"no space left on device"}}')

Answer = tuple[int, dict[str, str], bytes]


@contextlib.contextmanager
def engine(folder: Path, answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """The address of a server that gives this answer to everything, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.requestline)
            self.send_response(answer[0])
            for name, value in answer[1].items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(answer[2])

        def log_message(self, *_: object) -> None:
            return

    class Server(socketserver.UnixStreamServer):
        def get_request(self) -> tuple[object, object]:
            return self.socket.accept()[0], ("", 0)

    with Server(str(folder / "e.sock"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"unix://{folder}/e.sock", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED], ids=["plain", "chunked"])
def test_the_archive_is_the_answer_s_body(tmp_path: Path, answer: Answer) -> None:
    with engine(tmp_path, answer) as (address, asked):
        found = read_saved(saved_image(address, "1.44", IMAGE), IMAGE, lambda path: path == "small")
    assert [(entry.path, entry.size) for entry in found.layers.layers[0].entries] == [("big", 3_000_000), ("small", 1)]
    assert found.read(0, "small") == b"y"
    assert asked == [f"GET /v1.44/images/{IMAGE}/get HTTP/1.0"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (GONE, f"the image {IMAGE} cannot be saved: No such image: sha256:ab"),
        (FORBIDDEN, f"the image {IMAGE} cannot be saved: <html>no</html>"),
        (SILENT, f"the image {IMAGE} cannot be saved: the engine answers 403"),
        (BROKEN, f"the saved image {IMAGE} cannot be read: a layer's archive cannot be read: unexpected end of data"),
        (FAILED, f"the saved image {IMAGE} cannot be read: the archive cannot be read: a header is broken "),
    ],
    ids=["gone", "forbidden", "silent", "broken", "failed"],
)
def test_what_is_no_whole_archive_is_refused(tmp_path: Path, answer: Answer, said: str) -> None:
    with engine(tmp_path, answer) as (address, _), pytest.raises(UnmeasuredError) as caught:
        read_saved(saved_image(address, "1.44", IMAGE), IMAGE, lambda _: False)
    assert caught.value.what.startswith(said)


def test_no_engine_at_all(tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/none.sock"
    with pytest.raises(UnmeasuredError, match=f"the engine at {address} does not answer"):
        read_saved(saved_image(address, "1.44", IMAGE), IMAGE, lambda _: False)
