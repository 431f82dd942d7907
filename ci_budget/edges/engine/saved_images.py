"""A local image's archive while the engine writes it, as `docker save` prints it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import socket
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from typing import IO

from ci_budget.edges.engine.image_lookup import LOCAL, image_target
from ci_budget.edges.processes import running
from ci_budget.errors import UnmeasuredError

_SAVE_ENDS_WITHIN = 60.0
_PIPE = 2**20  # the most without a right
_LONGEST = 4000


@contextlib.contextmanager
def saved_image(docker_host: str, version: str, image: str) -> Iterator[IO[bytes]]:
    """The archive of an image, to be read forwards and to its end. `version`: of the API that the engine speaks.

    Raises UnmeasuredError, also on leaving the block, when the engine cannot save the image.
    """
    if docker_host.startswith(LOCAL):
        with _asked(docker_host.removeprefix(LOCAL), f"/v{version}{image_target(image, 'get')}") as answer:
            if answer.status != 200:
                raise UnmeasuredError(f"the image {image} cannot be saved: {_message(answer)}")
            yield answer
        return
    with running(["docker", "--host", docker_host, "save", image]) as saving:
        with contextlib.suppress(OSError):  # a user may be at the limit of all pipes
            fcntl.fcntl(saving.stdout, fcntl.F_SETPIPE_SZ, _PIPE)
        try:
            yield saving.stdout
        except UnmeasuredError as error:
            if saving.wait(1.0):
                said = saving.stderr.read(_LONGEST).decode("utf-8", "replace").strip()
                raise UnmeasuredError(f"the image {image} cannot be saved: {said}") from error
            raise
        if saving.wait(_SAVE_ENDS_WITHIN) != 0:
            raise UnmeasuredError(f"saving the image {image} failed")


@contextlib.contextmanager
def _asked(path: str, target: str) -> Iterator[HTTPResponse]:
    """The engine's answer, straight from its socket: the docker command would only hand every byte on. Raises
    UnmeasuredError when none comes, also on leaving the block.

    HTTP/1.0 knows no chunks: its body is what was asked for and nothing else, and ends with the connection.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(path)
            connection.sendall(f"GET {target} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
            answer = HTTPResponse(connection)
            answer.begin()
        except (OSError, HTTPException) as error:
            raise _silent(path, error) from error
        with answer:
            try:
                yield answer
            except OSError as error:
                raise _silent(path, error) from error


def _silent(path: str, error: Exception) -> UnmeasuredError:
    return UnmeasuredError(f"saving an image failed: the engine at {LOCAL}{path} does not answer ({error})")


def _message(answer: HTTPResponse) -> str:
    """What the engine complains of."""
    text = answer.read(_LONGEST).decode("utf-8", "replace").strip()
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(text)["message"])
    return text or f"the engine answers {answer.status}"
