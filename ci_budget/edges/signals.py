"""SIGINT and SIGTERM: turned into errors at a moment when the clean-up can run whole.

The first signal raises in the main thread; while clean-up runs inside `shielded()`, signals wait.
Handlers are installed explicitly because SIGINT may be inherited as ignored (a background job).
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from ci_budget.errors import EndedRunError, InterruptedRunError, TerminatedRunError

_depth = 0
_pending: EndedRunError | None = None
_raised = False


def _handle(number: int, _frame: FrameType | None) -> None:
    global _pending, _raised
    error: EndedRunError
    if number == signal.SIGINT:
        error = InterruptedRunError("interrupted; everything was cleaned up")
    else:
        error = TerminatedRunError("terminated; everything was cleaned up")
    if _raised:
        return  # the clean-up of the first signal is under way: let it finish
    if _depth > 0:
        _pending = _pending or error
        return
    _raised = True
    raise error


def install() -> None:
    """Take over SIGINT, SIGTERM and SIGHUP for the rest of the process."""
    signal.signal(signal.SIGINT, _handle)
    signal.signal(signal.SIGTERM, _handle)
    signal.signal(signal.SIGHUP, _handle)


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Inside, signals wait; the first one that came is raised on leaving the outermost block."""
    global _depth, _pending, _raised
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
    if _depth == 0 and _pending is not None and not _raised:
        error, _pending, _raised = _pending, None, True
        raise error
