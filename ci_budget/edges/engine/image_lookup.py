"""What a local engine knows of an image, straight from its socket: to load the docker library, or Python's own for
HTTP, takes as long as half of the image's layers to read."""

from __future__ import annotations

import json
import socket
from urllib.parse import quote

from ci_budget.edges.engine.facts import ImageFacts, read_image

LOCAL = "unix://"
_LARGEST = 16 * 2**20
_PATIENCE = 10.0


def image_target(image: str, question: str) -> str:
    """What to ask an engine for of an image."""
    return f"/images/{quote(image, safe=':/@')}/{question}"


def look_up_image(docker_host: str, image: str) -> ImageFacts | None:
    """What is known of an image; None where it cannot be told so, for whatever reason."""
    if not docker_host.startswith(LOCAL):
        return None
    try:
        head, _, body = _ask(docker_host.removeprefix(LOCAL), image_target(image, "json")).partition(b"\r\n\r\n")
        status, *_ = head.split(b"\r\n")
        return read_image(json.loads(body)) if status.split()[1:2] == [b"200"] else None
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def _ask(path: str, target: str) -> bytes:
    """The whole answer: to HTTP/1.0 it ends with the connection."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_PATIENCE)
        connection.connect(path)
        connection.sendall(f"GET {target} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        answer = bytearray()
        while len(answer) < _LARGEST and (part := connection.recv(2**16)):
            answer += part
        return bytes(answer)
