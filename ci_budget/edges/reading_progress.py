"""What a person sees while an image is read from a stream, which takes as long as the image is large."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Final, TextIO

from ci_budget.core.text.plain_text import plain_line
from ci_budget.core.text.units import format_size
from ci_budget.edges.layers.forward_streams import Source

_REDRAWN_EVERY: Final = 0.2
_TOLD_EVERY: Final = 10.0
_CLEAR: Final = "\r\x1b[K"


def is_live(stream: TextIO | None) -> bool:
    """Whether lines may be drawn over each other there: on a terminal that can, and not in CI."""
    return stream is not None and stream.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


class ReadingProgress:
    """Counts the bytes of streams: one line drawn anew on a terminal, a line every ten seconds elsewhere.

    `stream` None (standard error may be closed): nothing is shown. `clock` counts seconds.
    """

    def __init__(self, stream: TextIO | None, *, live: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._live, self._clock = stream, live, clock
        self._name, self._whole, self._read = "", "", 0
        self._next = 0.0

    def say(self, text: str) -> None:
        """A lasting line."""
        self._write(f"{plain_line(f'ci-budget: {text}')}\n")

    @contextlib.contextmanager
    def watching(self, name: str, whole: int | None = None) -> Iterator[Callable[[Source], Source]]:
        """Say that `name` is being read, as long as the block lasts; the function given wraps a stream so that its
        bytes count. `whole`: how many there are, where that is known."""
        self._name, self._read = name, 0
        self._whole = f" of {format_size(whole)}" if whole is not None else ""
        if self._live:
            self._draw()
        else:
            self.say(f"reading {name}{f' ({format_size(whole)})' if whole is not None else ''}")
        self._next = self._clock() + self._pause
        try:
            yield lambda source: _Counted(source, self._count)
        finally:
            if self._live:
                self._write(_CLEAR)

    @property
    def _pause(self) -> float:
        return _REDRAWN_EVERY if self._live else _TOLD_EVERY

    def _count(self, size: int) -> None:
        self._read += size
        if self._clock() >= self._next:
            self._next = self._clock() + self._pause
            if self._live:
                self._draw()
            else:
                self.say(f"reading {self._name}: {self._amount}")

    @property
    def _amount(self) -> str:
        return f"{format_size(self._read)}{self._whole}"

    def _draw(self) -> None:
        width = max(1, shutil.get_terminal_size((80, 24)).columns - 1)
        line = (
            f"{self._amount}  reading {plain_line(self._name)}" if self._read else f"reading {plain_line(self._name)}"
        )
        self._write(f"{_CLEAR}{line[:width]}")

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads it any more: no reason to stop reading the image
            self._stream = None


class _Counted:
    """A stream that tells how many bytes were read from it."""

    def __init__(self, source: Source, count: Callable[[int], None]) -> None:
        self._source, self._count = source, count
        self._into: Callable[[memoryview], int | None] | None = getattr(source, "readinto", None)

    def read(self, size: int = -1, /) -> bytes:
        found = self._source.read(size)
        self._count(len(found))
        return found

    def readinto(self, buffer: memoryview, /) -> int:
        if self._into is None:
            found = self._source.read(len(buffer))
            buffer[: len(found)] = found
            size = len(found)
        else:
            size = self._into(buffer) or 0
        self._count(size)
        return size
