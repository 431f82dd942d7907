"""The entry point, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import errno
import gc
import os
import sys
from pathlib import Path
from typing import Final

import click

from ci_budget import __version__
from ci_budget.cli import run_command
from ci_budget.core.text.plain_text import plain_lines
from ci_budget.edges.signals import install
from ci_budget.edges.standard_streams import secure_streams
from ci_budget.errors import CiBudgetError, EndedRunError, ExitCode

# Pydantic would search every installed package for plugins: slow, and no foreign code belongs into the gate.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# Layers and reports are hundreds of thousands of small records that live as long as the run: looking them through for
# garbage again and again would take as long as reading them.
_OBJECTS_PER_COLLECTION: Final = 500_000

# The machine's fault, not ours: the disk is full, broken or read-only, or too many files are open.
_MACHINE: Final = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
}
_NOWHERE: Final = "ci-budget: the current directory does not exist any more\n  Go to one that does (`cd`)."


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code; every error becomes a message on stderr."""
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    told = secure_streams()
    code = _run(arguments)
    if not told:
        return _complain("ci-budget: standard output is closed: nobody can have read this", code or ExitCode.UNMEASURED)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _cut_off(code)
    except (OSError, ValueError) as error:
        _drop_output()
        return _complain(f"ci-budget: the output could not be written: {error}", code or ExitCode.UNMEASURED)
    return code


def _run(arguments: list[str] | None) -> int:
    try:
        install()
        return run_command(arguments)
    except click.ClickException as error:
        error.show()
        return ExitCode.CONFIG
    except EndedRunError as error:
        return _complain(f"ci-budget: {error}", error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _complain("ci-budget: interrupted", ExitCode.INTERRUPTED)
    except CiBudgetError as error:
        return _complain(str(error) if error.file else f"ci-budget: {error}", error.exit_code)
    except BrokenPipeError:
        return _cut_off(ExitCode.UNMEASURED)
    except Exception as error:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _MACHINE):
            return _complain(f"ci-budget: the machine failed us: {_failure(error)}", ExitCode.UNMEASURED)
        if isinstance(error, FileNotFoundError) and not _is_somewhere():
            return _complain(_NOWHERE, ExitCode.UNMEASURED)
        return _complain(_bug_message(error), ExitCode.BUG)


def _is_somewhere() -> bool:
    try:
        Path.cwd()
    except OSError:
        return False
    return True


def _failure(error: Exception) -> str:
    """What failed and where, as a person says it."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error) or "out of memory"
    return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror


def _cut_off(code: int) -> int:
    _drop_output()
    text = "ci-budget: the reader of the output went away before it was complete"
    return _complain(text, code or ExitCode.UNMEASURED)


def _complain(message: str, code: int) -> int:
    """The message on stderr; where that is closed, the exit code alone must do."""
    try:
        click.echo(plain_lines(message), err=True)
    except (OSError, ValueError):
        return int(code)
    return int(code)


def _bug_message(error: Exception) -> str:
    """A short message; the traceback goes to a file, and in CI, where files are lost, to stderr as well."""
    import traceback

    from ci_budget.edges.files.crash_reports import keep_crash_report

    lines = "".join(traceback.format_exception(error))
    kept = keep_crash_report(f"ci-budget {__version__}, Python {sys.version.split()[0]}\n{lines}")
    summary = f"ci-budget: this is a bug in ci-budget, not in your build: {type(error).__name__}: {error}"
    if kept is None or os.environ.get("CI"):
        summary = f"{lines.rstrip()}\n{summary}"
    where = f"  The traceback is in {kept}; please report it." if kept else "  Please report it with the traceback."
    return f"{summary}\n{where}"


def _drop_output() -> None:
    """Send what is still buffered nowhere: Python would try to write it once more at its end, and fail."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return


if __name__ == "__main__":
    sys.exit(main())
