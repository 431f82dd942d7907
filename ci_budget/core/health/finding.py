"""What a check says: a status, a sentence, and the command that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class Status(IntEnum):
    """The exit code for monitoring; SKIPPED (nothing to look at) counts as OK."""

    SKIPPED = -1
    OK = 0
    WARN = 1
    CRITICAL = 2

    @property
    def word(self) -> str:
        """As it stands in tables and JSON."""
        return self.name.lower()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check's answer. `check` is its stable name; `mend` is there whenever the status is WARN or CRITICAL."""

    check: str
    status: Status
    message: str
    mend: str | None = None

    def __post_init__(self) -> None:
        if self.status > Status.OK and not self.mend:
            raise ValueError(f"the finding of '{self.check}' does not say how to mend it")


def worst_status(findings: Sequence[Finding]) -> Status:
    """The exit code: 0 ok, 1 warn, 2 critical."""
    return max((finding.status for finding in findings), default=Status.OK)


def exit_code(findings: Sequence[Finding]) -> int:
    """0 ok, 1 warn, 2 critical."""
    return max(int(worst_status(findings)), 0)
