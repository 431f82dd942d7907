"""What setting up a volume consists of: commands and changes of files, each with what undoes it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command, and the one that undoes it (empty: nothing is to be undone)."""

    words: tuple[str, ...]
    undo: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """As it can be typed into a shell."""
        return shlex.join(self.words)


@dataclass(frozen=True, kw_only=True)
class WriteFile:
    """A file that gets `text`: at its end where `append`, else it is new and holds nothing else."""

    path: str
    text: str
    append: bool = False

    @property
    def shown(self) -> str:
        """As it can be typed into a shell."""
        folder = f"mkdir -p {shlex.quote(self.path.rpartition('/')[0])}\n" if not self.append else ""
        return f"{folder}cat {'>>' if self.append else '>'} {shlex.quote(self.path)} <<'END'\n{self.text}END"


@dataclass(frozen=True, kw_only=True)
class DirectLoop:
    """Let a mounted file's loop device pass the page cache by; buffered, everything is cached and written twice."""

    file: str

    @property
    def shown(self) -> str:
        """As it can be typed into a shell."""
        find = f"losetup --noheadings --output NAME --associated {shlex.quote(self.file)}"
        return f'losetup --direct-io=on "$({find})"'


Step = Command | WriteFile | DirectLoop


def render_steps(steps: Sequence[Step]) -> str:
    """All steps as a script."""
    return "".join(f"{step.shown}\n" for step in steps)
