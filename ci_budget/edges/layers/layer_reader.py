"""A process that reads layer directories beside others, which share the larger ones folder by folder."""

from __future__ import annotations

import marshal
import os
import select
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import IO, Final, NamedTuple, NoReturn

from ci_budget.core.layers.model import Entry, Kind
from ci_budget.edges.layers.layer_folders import walk

_FORMAT: Final = 2  # later ones look each text up first: nothing here comes twice
_KINDS: Final[Mapping[str, Kind]] = {kind.value: kind for kind in Kind}
_LAYER: Final = struct.Struct("=I")
_LONGEST: Final = 65_536
_ENOUGH: Final = 8_000
"""Names after which a reader leaves the folders that it has not entered to whoever is free."""


class Part(NamedTuple):
    """Where a reader keeps what it found below one folder of a layer, and what is known of it before it is loaded."""

    layer: int
    start: int
    length: int
    names: int
    handed_on: int
    """Folders of it that are parts of their own."""


PART: Final = struct.Struct("=IQQQQ")


class TaskQueue:
    """Folders that wait for a reader: whole messages, which any process takes that holds both ends."""

    def __init__(self) -> None:
        self._source, self._sink = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def close(self) -> None:
        self._source.close()
        self._sink.close()

    def offer(self, layer: int, path: str) -> bool:
        """Whether there was room for it."""
        try:
            self._sink.send(_LAYER.pack(layer) + os.fsencode(path), socket.MSG_DONTWAIT)
        except OSError:  # full, or the path is too long for a message
            return False
        return True

    def take(self, lifeline: int) -> tuple[int, str] | None:
        """The next one, waited for; None when `lifeline` ends, as it does with the process that wants the answer."""
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        poll.register(lifeline, select.POLLIN)
        while True:
            if any(file == lifeline for file, _ in poll.poll()):
                return None
            try:
                message = self._source.recv(_LONGEST, socket.MSG_DONTWAIT)
            except BlockingIOError:  # another one was faster
                continue
            return _LAYER.unpack_from(message)[0], os.fsdecode(message[_LAYER.size :])


def read_layers(
    folders: Sequence[str], tasks: Sequence[int], queue: TaskQueue, lifeline: int, telling: IO[bytes], file: int
) -> NoReturn:
    """A reader's life: it ends here, whatever happens. It begins with `tasks`, layers by number, which it offers to the
    others, and tells each part that it wrote to `file`."""
    try:
        own = [(layer, "") for layer in reversed(tasks)]
        start = 0
        while task := own.pop() if own else queue.take(lifeline):
            layer, path = task
            own = [waiting for waiting in own if not queue.offer(*waiting)]
            linked: dict[str, int] = {}
            left: list[str] = []
            columns = list(zip(*walk(folders[layer], path, linked, left, _ENOUGH), strict=True))
            names = len(columns[0]) if columns else 0
            if columns:
                columns[1] = tuple(kind.value for kind in columns[1])
            own += [(layer, folder) for folder in reversed(left) if not queue.offer(layer, folder)]
            length = os.write(file, marshal.dumps((path, columns, linked), _FORMAT))
            telling.write(PART.pack(*Part(layer, start, length, names, len(left))))
            start += length
    finally:
        os._exit(0)


def load_part(file: int, part: Part) -> tuple[str, list[Entry], dict[str, int]]:
    """The folder, the entries below it, and the inodes of those that have several links. Raises EOFError and OSError
    when the file does not hold them."""
    data = os.pread(file, part.length, part.start)
    path, columns, linked = marshal.loads(data)  # noqa: S302 - what our own reader wrote
    if columns:
        columns[1] = [_KINDS[kind] for kind in columns[1]]
    return path, list(map(Entry._make, zip(*columns, strict=True))), linked
