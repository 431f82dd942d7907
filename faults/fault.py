"""What a fault is, what it has to show, and what becomes of it: a row of the table."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faults.ground import Ground


_LONGEST = 190  # characters of a cell


class NotFiredError(Exception):
    """Nothing shows that the fault took place: whatever the tool did then proves nothing."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a fault's run showed.

    `fired`: how it is known that the fault took place. `outcome`: what the tool did, for a reader. `exit_code` as the
    process ended (negative: the signal); `expected`: the codes that are right. `problems`: what else was not as it
    must be. `seconds`: from a signal to the end of the process.
    """

    fired: str
    outcome: str
    exit_code: int
    expected: tuple[int, ...]
    problems: tuple[str, ...] = ()
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault. `name` is what `python -m faults NAME` takes, `text` what the table says of it.

    `inject` raises NotFiredError where the fault did not take place. `mended_by_next`: the contract is that the next
    run removes what is left; else nothing may be left when `inject` returns. `signal`: the one that is sent.
    """

    family: str
    name: str
    text: str
    inject: Callable[[Ground], Evidence]
    mended_by_next: bool = False
    signal: signal.Signals | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A fault with what came of it; `trouble` is empty where all is as it must be."""

    fault: Fault
    evidence: Evidence | None
    left: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    trouble: tuple[str, ...] = ()


def judge(fault: Fault, evidence: Evidence, left: list[str], lost: list[str]) -> Row:
    """The row of a fault that fired: every thing that is not as it must be is named."""
    trouble = list(evidence.problems)
    if not evidence.fired:
        trouble.append("nothing shows that the fault fired")
    if evidence.exit_code not in evidence.expected:
        right = " or ".join(map(str, evidence.expected))
        trouble.append(f"exit code {evidence.exit_code}, and {right} would be right")
    trouble += [f"left behind: {line}" for line in left]
    trouble += [f"lost: {line}" for line in lost]
    return Row(fault=fault, evidence=evidence, left=tuple(left), lost=tuple(lost), trouble=tuple(trouble))


def plain(text: str) -> str:
    """A text for a cell of the table: one line, without the paths and names that differ with every run."""
    text = re.sub(r"/\S*/\.engine/faults/tmp\w+/\d+-", "…/", text)
    text = re.sub(r"/\S*/\.engine/faults/tmp\w+/", "…/", text)
    text = " ".join(re.sub(r"\b[0-9a-f]{8,}\b", "ID", text).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def shell_code(exit_code: int) -> int:
    """The exit code as a shell shows it: 128 and the signal's number for a process that a signal ended."""
    return 128 - exit_code if exit_code < 0 else exit_code
