"""Reads the layer directories of local images in processes of their own, while this one loads what judges them.

That loading takes as long as reading a hundred thousand names. What cannot be read so (no right, another store, no such
image) is read later in the common way, which also says what is wrong.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, NamedTuple

from ci_budget.core.layers.model import Entry, Kind
from ci_budget.edges.engine.docker_host import current_docker_host
from ci_budget.edges.engine.facts import ImageFacts
from ci_budget.edges.engine.image_lookup import look_up_image
from ci_budget.edges.layers.layer_folders import MOST_NAMES, join_links
from ci_budget.edges.layers.layer_reader import PART, Part, TaskQueue, load_part, read_layers
from ci_budget.edges.signals import shielded
from ci_budget.errors import UnmeasuredError

if TYPE_CHECKING:
    from ci_budget.edges.layers.image_archives import ImageContents

_READERS = 3  # one more than most runners' cores: a disk that must seek keeps one of them waiting


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
                if facts is not None and facts.diff_ids and facts.has_layer_folders:
                    readings[image] = stack.enter_context(_reading(facts))
        yield ReadingAhead(readings)


class _Reading:
    """One image, as its readers tell it."""

    def __init__(self, facts: ImageFacts, readers: Sequence[_Reader]) -> None:
        self.facts = facts
        self._readers = {reader.told.fileno(): reader for reader in readers}
        self._poll = select.poll()
        for told in self._readers:
            self._poll.register(told, select.POLLIN)
        self._parts: defaultdict[int, list[tuple[int, Part]]] = defaultdict(list)

    def read(self, folder: str) -> tuple[Entry, ...]:
        """What a layer's directory holds. Raises EOFError where the readers could not go on, and UnmeasuredError
        where it has too many names."""
        parts = self._parts[(self.facts.layer_folders or ()).index(folder)]
        while len(parts) <= sum(part.handed_on for _, part in parts):
            self._wait()
        if sum(part.names for _, part in parts) > MOST_NAMES:
            raise UnmeasuredError(f"the layer directory {folder} has more than {MOST_NAMES:,} names")
        found: dict[str, list[Entry]] = {}
        linked: dict[str, int] = {}
        for file, part in parts:
            path, found[path], inodes = load_part(file, part)
            linked |= inodes
        entries = join_parts(found)
        return tuple(join_links(entries, linked) if linked else entries)

    def _wait(self) -> None:
        for told, _ in self._poll.poll():
            reader = self._readers[told]
            message = reader.told.read(PART.size)
            if len(message) < PART.size:
                raise EOFError
            part = Part(*PART.unpack(message))
            self._parts[part.layer].append((reader.file, part))


def join_parts(parts: dict[str, list[Entry]]) -> Iterator[Entry]:
    """All entries in path order; what is below a folder that has a part of its own follows its name. `parts` by
    folder, "" for the layer's; it is used up."""
    open_parts = [iter(parts.pop(""))]
    while open_parts:
        for entry in open_parts[-1]:
            yield entry
            if entry.kind is Kind.FOLDER and entry.path in parts:
                open_parts.append(iter(parts.pop(entry.path)))
                break
        else:
            open_parts.pop()


class _Reader(NamedTuple):
    told: IO[bytes]
    """The parts, as it ends them; its end is the reader's."""
    file: int
    """What they hold; in memory, for a pipe would be full before anyone empties it."""


@contextlib.contextmanager
def _reading(facts: ImageFacts) -> Iterator[_Reading]:
    folders = facts.layer_folders or ()
    with contextlib.ExitStack() as stack:
        queue = stack.enter_context(contextlib.closing(TaskQueue()))
        lifeline, living = _pipe(stack)
        readers = []
        for number in range(_READERS):
            told, telling = _pipe(stack)
            file = os.memfd_create("layers")
            stack.callback(os.close, file)
            with shielded():
                child = os.fork()
                if child == 0:
                    living.close()
                    tasks = range(len(folders)) if number == 0 else ()
                    read_layers(folders, tasks, queue, lifeline.fileno(), telling, file)
                stack.callback(_end, child)
            telling.close()  # here, so that no later reader keeps it open
            readers.append(_Reader(told, file))
        yield _Reading(facts, readers)


def _pipe(stack: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    source, sink = os.pipe()
    ends = os.fdopen(source, "rb", buffering=0), os.fdopen(sink, "wb", buffering=0)
    for end in ends:
        stack.enter_context(end)
    return ends


def _end(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
