"""Where the build's output goes while it builds: a CI log with one collapsible group a stage, and files.

The output is untrusted: no line of it may become a workflow command, and no amount of it may fill
the disk that the log is kept on.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol, TextIO

from ci_budget.core.text.workflow_text import format_command, neutralise_log_line
from ci_budget.errors import UnmeasuredError

STAGE_LIMIT = 16 * 1024 * 1024
"""Bytes of one stage's output that are kept; BuildKit itself clips a step's output at 2 MiB."""

_UNSAFE_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")


class BuildLog(Protocol):
    """Receives the output of a build, stage by stage. A stage may be entered more than once."""

    def stage_started(self, stage: str) -> None:
        """The stage's first step starts."""

    def line(self, stage: str, text: str) -> None:
        """One line of output, without its line break, as the build wrote it."""

    def stage_ended(self, stage: str) -> None:
        """The stage is built, or failed."""

    def close(self) -> None:
        """No more output comes; safe to call twice."""


class GroupedBuildLog:
    """Writes to GitHub's log: a group a stage, and inside it no line is read as a command.

    Two walls: the runner is told to stop reading commands until it sees a token that only this
    object knows, and every line is neutralised besides (other readers of the log know no tokens).
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        image: str | None = None,
        limit: int = STAGE_LIMIT,
        new_token: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._stream = stream
        self._title = f"{neutralise_log_line(image)}: stage" if image is not None else "stage"
        self._limit = limit
        self._new_token = new_token
        self._token: str | None = None
        self._open: str | None = None
        self._written: dict[str, int] = {}

    def stage_started(self, stage: str) -> None:
        """Open the stage's group; a group that is still open is closed first, since GitHub nests none."""
        self.close()
        self._token = self._new_token()
        self._open = stage
        self._say(format_command("group", f"{self._title} {neutralise_log_line(stage)}"))
        self._say(format_command("stop-commands", self._token))

    def line(self, stage: str, text: str) -> None:
        """Write one line; output of another stage than the open one is named."""
        if self._open is None:
            self.stage_started(stage)
        written = self._written.get(stage, 0)
        if written > self._limit:
            return
        shown = neutralise_log_line(text)
        if stage != self._open:
            shown = f"[{neutralise_log_line(stage)}] {shown}"
        self._written[stage] = written + len(shown) + 1
        self._say(shown)
        if self._written[stage] > self._limit:
            self._say(f"(the rest of this stage's output is not shown: more than {self._limit} characters)")

    def stage_ended(self, stage: str) -> None:
        """Close the stage's group."""
        if stage == self._open:
            self.close()

    def close(self) -> None:
        """Close the open group and let the runner read commands again."""
        if self._token is not None:
            self._say(f"::{self._token}::")
            self._say(format_command("endgroup"))
            self._token = None
            self._open = None

    def _say(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


class FolderBuildLog:
    """Keeps one file a stage, `NAME.log`, in a folder that is created when missing.

    Every method but `close` after a failure raises UnmeasuredError when the disk refuses.
    """

    def __init__(self, folder: Path, *, limit: int = STAGE_LIMIT) -> None:
        self._folder = folder
        self._limit = limit
        self._files: dict[str, BinaryIO] = {}
        self._written: dict[str, int] = {}
        self._failed = False

    def stage_started(self, stage: str) -> None:
        """Open the stage's file; what an earlier entry wrote stays."""
        if stage not in self._files:
            with self._explained():
                self._folder.mkdir(parents=True, exist_ok=True)
                self._files[stage] = (self._folder / self._name(stage)).open("ab")

    def line(self, stage: str, text: str) -> None:
        """Write one line; past the limit one notice is written, then nothing."""
        self.stage_started(stage)
        written = self._written.get(stage, 0)
        if written > self._limit:
            return
        data = f"{neutralise_log_line(text)}\n".encode("utf-8", "replace")
        self._written[stage] = written + len(data)
        if self._written[stage] > self._limit:
            data = f"(the rest of this stage's output is not kept: more than {self._limit} bytes)\n".encode()
        with self._explained():
            self._files[stage].write(data)

    def stage_ended(self, stage: str) -> None:
        """Make the stage's file whole on disk."""
        if stage in self._files:
            with self._explained():
                self._files[stage].flush()

    def close(self) -> None:
        """Close every file."""
        told = self._failed
        while self._files:
            _, file = self._files.popitem()
            with contextlib.suppress(UnmeasuredError) if told else contextlib.nullcontext(), self._explained():
                file.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """What the disk refuses becomes an error for a person."""
        try:
            yield
        except OSError as error:
            self._failed = True
            raise UnmeasuredError(
                f"the build log cannot be written to {self._folder}: {error.strerror}",
                mend="Name a folder that you may write, on a disk with room, with --report.",
            ) from error

    def _name(self, stage: str) -> str:
        """A file name without surprises; stages whose names become alike get a number."""
        safe = _UNSAFE_IN_NAMES.sub("_", stage)[:100].lstrip(".") or "stage"
        number = len(self._files)
        taken = {Path(file.name).name for file in self._files.values()}
        return f"{safe}.log" if f"{safe}.log" not in taken else f"{safe}.{number}.log"


class TeeBuildLog:
    """Hands everything on to several logs."""

    def __init__(self, logs: Sequence[BuildLog]) -> None:
        self._logs = tuple(logs)

    def stage_started(self, stage: str) -> None:
        """Hand on."""
        for log in self._logs:
            log.stage_started(stage)

    def line(self, stage: str, text: str) -> None:
        """Hand on."""
        for log in self._logs:
            log.line(stage, text)

    def stage_ended(self, stage: str) -> None:
        """Hand on."""
        for log in self._logs:
            log.stage_ended(stage)

    def close(self) -> None:
        """Hand on."""
        for log in self._logs:
            log.close()
