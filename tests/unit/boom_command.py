"""A command for the tests of the shell: it ends in the way it is told to."""

from __future__ import annotations

import errno
import os
import sys
import time

import click

from ci_budget.edges.progress import Progress
from ci_budget.errors import (
    BuildFailedError,
    ConfigError,
    GateError,
    InterruptedRunError,
    TerminatedRunError,
    UnmeasuredError,
)


@click.command(name="boom")
@click.argument("how")
def command(how: str) -> int:
    """End in the way `how` says."""
    errors: dict[str, BaseException] = {
        "config": ConfigError("a is wrong", file="ci-budget.yml", line=3, mend="Mend it."),
        "gate": GateError("too large"),
        "unmeasured": UnmeasuredError("no engine"),
        "build": BuildFailedError("RUN failed\n::error::from a log\n\x1b[31mred"),
        "interrupted": InterruptedRunError("interrupted; everything was cleaned up"),
        "terminated": TerminatedRunError("terminated; everything was cleaned up"),
        "ctrl-c": KeyboardInterrupt(),
        "abort": click.Abort(),
        "bug": ZeroDivisionError("division\n::set-output name=x::y"),
        "recursion": RecursionError("too deep"),
        "disk": OSError(errno.ENOSPC, "No space left on device", "/state/x"),
        "memory": MemoryError(),
        "permission": PermissionError(errno.EACCES, "Permission denied", "/x"),
    }
    if how in errors:
        raise errors[how]
    if how == "color":
        click.echo(str(click.get_current_context().color))
    if how == "pipe":
        os.write(1, b"x")
        for _ in range(200_000):
            click.echo("a line")
    if how == "progress":
        if os.open(os.devnull, os.O_RDONLY) <= 2:
            return 99
        Progress(sys.stderr, live=False, colour=False).say("nobody reads this")
    if how == "wait":
        click.echo("ready")
        time.sleep(60)
    return int(how) if how.isdigit() else 0
