"""Every error a user can meet, and the exit code that it owns.

The codes are public (documented in the README): 0 passed, 1 the gate says no, 2 usage or config,
3 could not measure, 4 the build failed, 70 a bug in ci-budget, 130/143 interrupted/terminated.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """The documented exit codes."""

    OK = 0
    GATE = 1
    CONFIG = 2
    UNMEASURED = 3
    BUILD = 4
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


class CiBudgetError(Exception):
    """An error with a message for a person: where, what failed and why, and what to do next.

    `what` is one sentence (what failed and why), `mend` what to do next. `file` and `line`
    (1-based) name the place where one is known.
    """

    exit_code: ExitCode = ExitCode.BUG

    def __init__(
        self, what: str, *, mend: str | None = None, file: str | Path | None = None, line: int | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend
        self.file = str(file) if file is not None else None
        self.line = line

    def __str__(self) -> str:
        place = ""
        if self.file is not None:
            place = f"{self.file}:{self.line}: " if self.line is not None else f"{self.file}: "
        text = f"{place}{self.what}"
        return f"{text}\n  {self.mend}" if self.mend else text


class ConfigError(CiBudgetError):
    """The config, a baseline, an approval or the command line is wrong; nothing was built."""

    exit_code = ExitCode.CONFIG


class UnmeasuredError(CiBudgetError):
    """The environment, the engine, permissions or a base image kept us from measuring."""

    exit_code = ExitCode.UNMEASURED


class BuildFailedError(CiBudgetError):
    """The Dockerfile's own build failed or ran out of its time."""

    exit_code = ExitCode.BUILD


class GateError(CiBudgetError):
    """The gate says no, found outside a report (a release that was never measured, say)."""

    exit_code = ExitCode.GATE


class EndedRunError(BaseException):
    """A signal ended the run. No `Exception`: nothing on the way may take it for a failure of its own work."""

    exit_code: ExitCode = ExitCode.BUG


class InterruptedRunError(EndedRunError):
    """SIGINT; everything was cleaned up."""

    exit_code = ExitCode.INTERRUPTED


class TerminatedRunError(EndedRunError):
    """SIGTERM; everything was cleaned up."""

    exit_code = ExitCode.TERMINATED


SEVERITY: tuple[ExitCode, ...] = (
    ExitCode.BUG,
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.CONFIG,
    ExitCode.GATE,
    ExitCode.BUILD,
    ExitCode.UNMEASURED,
    ExitCode.OK,
)


def worst(codes: list[ExitCode]) -> ExitCode:
    """The exit code of several images: 70, 130/143 and 2 win; then 1, then 4, then 3."""
    return min(codes, key=SEVERITY.index, default=ExitCode.UNMEASURED)
