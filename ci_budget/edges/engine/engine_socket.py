"""Questions straight to the socket of a local engine, where the docker library or command would cost more than the
answer: loading the one takes as long as reading the layers, the other hands every byte on."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from urllib.parse import quote

from ci_budget.edges.engine.facts import ImageFacts, read_image
from ci_budget.errors import UnmeasuredError

LOCAL = "unix://"
_LARGEST_ANSWER = 16 * 2**20


@contextlib.contextmanager
def asked(path: str, target: str) -> Iterator[HTTPResponse]:
    """The engine's answer to `GET target`. Raises UnmeasuredError when none comes, also on leaving the block.

    HTTP/1.0 knows no chunks: its body is what was asked for and nothing else, and ends with the connection.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(path)
            connection.sendall(f"GET {target} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
            answer = HTTPResponse(connection)
            answer.begin()
        except (OSError, HTTPException) as error:
            raise _silent(path, target, error) from error
        with answer:
            try:
                yield answer
            except OSError as error:
                raise _silent(path, target, error) from error


def image_target(image: str, question: str) -> str:
    """What to ask for of an image."""
    return f"/images/{quote(image, safe=':/@')}/{question}"


def look_up_image(docker_host: str, image: str) -> ImageFacts | None:
    """What a local engine knows of an image; None where it cannot be told so, for whatever reason."""
    if not docker_host.startswith(LOCAL):
        return None
    try:
        with asked(docker_host.removeprefix(LOCAL), image_target(image, "json")) as answer:
            return read_image(json.loads(answer.read(_LARGEST_ANSWER))) if answer.status == 200 else None
    except (UnmeasuredError, ValueError, KeyError, AttributeError):
        return None


def _silent(path: str, target: str, error: Exception) -> UnmeasuredError:
    return UnmeasuredError(f"the engine at {LOCAL}{path} does not answer GET {target} ({error})")
