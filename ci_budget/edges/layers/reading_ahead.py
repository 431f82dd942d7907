"""Reads the layer directories of local images in processes of their own, while this one loads what judges them.

That loading takes as long as reading a hundred thousand names. What cannot be read so (no right, another store, no such
image) is read later in the common way, which also says what is wrong.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import signal
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, NoReturn

from ci_budget.core.layers.model import Entry, Kind
from ci_budget.edges.engine.docker_host import current_docker_host
from ci_budget.edges.engine.facts import ImageFacts
from ci_budget.edges.engine.image_lookup import look_up_image
from ci_budget.edges.layers.layer_folders import LayerFolders
from ci_budget.edges.signals import shielded
from ci_budget.errors import UnmeasuredError

if TYPE_CHECKING:
    from ci_budget.edges.layers.image_archives import ImageContents

_READERS = 2
_FORMAT = 2  # later ones look each text up first: nothing here comes twice
_KINDS = {kind.value: kind for kind in Kind}
_TASK = struct.Struct("=I")
_MOST_LAYERS = select.PIPE_BUF // _TASK.size  # all tasks are in the pipe before anyone reads
_DONE = struct.Struct("=IIQQ")
"""Layer, reader, offset and length in the reader's file."""


class ReadingAhead:
    """The images that are being read, by name."""

    def __init__(self, readings: Mapping[str, _Reading]) -> None:
        self._readings = readings

    def contents(self, image: str) -> ImageContents | None:
        """The image's contents, waited for; None where they were not to be had so."""
        reading = self._readings.get(image)
        if reading is None:
            return None
        from ci_budget.edges.layers.engine_layers import read_layer_folders  # by now the readers are at work

        try:
            return read_layer_folders(reading.facts, reading.read)
        except (UnmeasuredError, EOFError, OSError):
            return None


@contextlib.contextmanager
def reading_ahead(images: Sequence[str]) -> Iterator[ReadingAhead]:
    """Begin to read these images of the runner's own engine; leaving the block ends it."""
    with contextlib.ExitStack() as stack:
        readings = {}
        if len(os.sched_getaffinity(0)) > 1:  # else it would only cost
            for image in dict.fromkeys(images):
                facts = look_up_image(current_docker_host(), image)
                if facts is not None and 0 < len(facts.diff_ids) <= _MOST_LAYERS and facts.has_layer_folders:
                    readings[image] = stack.enter_context(_reading(facts))
        yield ReadingAhead(readings)


class _Reading:
    """One image, as its readers tell it."""

    def __init__(self, facts: ImageFacts, told: IO[bytes], files: Sequence[int]) -> None:
        self.facts = facts
        self._told = told
        self._files = files
        self._done: dict[int, tuple[int, int, int]] = {}

    def read(self, folder: str) -> tuple[Entry, ...]:
        """What a layer's directory holds. Raises EOFError where the readers could not go on."""
        layer = (self.facts.layer_folders or ()).index(folder)
        while layer not in self._done:
            told = self._told.read(_DONE.size)
            if len(told) < _DONE.size:
                raise EOFError
            number, *where = _DONE.unpack(told)
            self._done[number] = (where[0], where[1], where[2])
        reader, start, length = self._done[layer]
        columns = marshal.loads(os.pread(self._files[reader], length, start))  # noqa: S302 - what we wrote ourselves
        columns[1] = [_KINDS[kind] for kind in columns[1]]
        return tuple(map(Entry._make, zip(*columns, strict=True)))


@contextlib.contextmanager
def _reading(facts: ImageFacts) -> Iterator[_Reading]:
    """Readers take one layer after the other; what they find lies in memory, for a pipe would be full before anyone
    empties it."""
    folders = facts.layer_folders or ()
    with contextlib.ExitStack() as stack:
        tasks, given = _pipe(stack)
        told, telling = _pipe(stack)
        given.write(b"".join(_TASK.pack(layer) for layer in range(len(folders))))
        given.close()
        files = []
        for number in range(_READERS):
            file = os.memfd_create("layers")
            stack.callback(os.close, file)
            files.append(file)
            with shielded():
                child = os.fork()
                if child == 0:
                    _read_layers(folders, tasks, telling, number, file)
                stack.callback(_end, child)
        telling.close()
        yield _Reading(facts, told, files)


def _pipe(stack: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    source, sink = os.pipe()
    ends = os.fdopen(source, "rb", buffering=0), os.fdopen(sink, "wb", buffering=0)
    for end in ends:
        stack.enter_context(end)
    return ends


def _read_layers(folders: Sequence[str], tasks: IO[bytes], telling: IO[bytes], number: int, file: int) -> NoReturn:
    """A reader: it ends here, whatever happens, and says nothing but the layers."""
    try:
        found, start = LayerFolders(), 0
        while task := tasks.read(_TASK.size):
            (layer,) = _TASK.unpack(task)
            columns = [*zip(*found.read(folders[layer]), strict=True)] or [()] * len(Entry._fields)
            columns[1] = tuple(kind.value for kind in columns[1])
            length = os.write(file, marshal.dumps(columns, _FORMAT))
            telling.write(_DONE.pack(layer, number, start, length))
            start += length
    finally:
        os._exit(0)


def _end(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
