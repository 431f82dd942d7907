"""Standard input, output and error as they were given to us: any of them may be closed, or have no reader any more."""

from __future__ import annotations

import io
import os
import sys
from typing import Final

_WAYS: Final = {0: os.O_RDONLY, 1: os.O_WRONLY, 2: os.O_WRONLY}


def secure_streams() -> bool:
    """Make them safe to use; returns whether there is a standard output.

    A closed one becomes /dev/null: else the next file that is opened gets its number, and with it what is printed, and
    so do the programs that are started. What cannot be written to standard error is dropped: progress and messages that
    nobody sees are no reason to end a run, and the exit code still says how it ended.
    """
    told = sys.stdout is not None
    for number, way in _WAYS.items():
        try:
            os.fstat(number)
        except OSError:
            _open_nowhere(number, way)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115 - stays open
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _Forgiving.text(sys.stderr.encoding if sys.stderr is not None else "utf-8")
    return told


def _open_nowhere(number: int, way: int) -> None:
    found = os.open(os.devnull, way)
    if found != number:
        os.dup2(found, number)
        os.close(found)
    os.set_inheritable(number, True)


class _Forgiving(io.FileIO):
    """Standard error, which never fails."""

    @classmethod
    def text(cls, encoding: str) -> io.TextIOWrapper:
        raw: io.RawIOBase = cls(2, "w", closefd=False)
        return io.TextIOWrapper(
            io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=True
        )

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError:
            return len(data)
