"""What became of an instruction: the same as before, changed, new or gone, and how many bytes more it keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ci_budget.core.inventory.inputs import METADATA
from ci_budget.core.inventory.model import InstructionRecord
from ci_budget.core.inventory.stage_pairs import match
from ci_budget.core.records.report import Cause


@dataclass(frozen=True, kw_only=True)
class Move:
    """An instruction on both sides, or on one. `after`: the one that it stood behind, where it is gone. `replaced`: it
    is one of several that stand in the place of more or fewer others. `moved`: it takes from other stages."""

    old: InstructionRecord | None
    new: InstructionRecord | None
    after: InstructionRecord | None = None
    replaced: bool = False
    moved: bool = False

    @property
    def changed(self) -> bool:
        return self.old is None or self.new is None or self.moved or self.old.own_sha256 != self.new.own_sha256

    @property
    def unsure(self) -> bool:
        """Whether it may have been given no more than another Dockerfile, which its folder holds: an older record
        counts that (no `bare_…`)."""
        old, new = self.old, self.new
        if old is None or new is None or old.bare_own_sha256 or old.text_sha256 != new.text_sha256:
            return False
        return new.bare_own_sha256 not in (None, new.own_sha256)

    @property
    def vanished(self) -> bool:
        """Whether it gave way to more or fewer others, of which none is its twin."""
        return self.new is None and self.replaced

    @property
    def silent(self) -> bool:
        """Whether no other instruction can see it."""
        return all(one.command.lower() in METADATA for one in (self.old, self.new) if one is not None)

    @property
    def delta(self) -> int:
        """Bytes that it keeps more."""
        return (self.new.kept or 0 if self.new else 0) - (self.old.kept or 0 if self.old else 0)

    def tell(self, delta: int | None) -> Cause | None:
        """As the report has it; None where no side has it."""
        stands = self.new or self.old
        if stands is None:
            return None
        return Cause(
            stage=(self.new or self.after or stands).stage,
            line=self.new.line if self.new else None,
            command=stands.command,
            change=self._change(),
            after=self.after.line if self.new is None and self.after else None,
            delta=delta,
        )

    def _change(self) -> Literal["new", "changed", "gone", "given", "grew"]:
        if self.new is None:
            return "gone"
        if self.old is None:
            return "new"
        if not self.changed:
            return "grew"
        if self.new.command == "FROM" and self.old.images != self.new.images:
            return "given"
        return "changed" if self.moved or self.old.text_sha256 != self.new.text_sha256 else "given"


def pair_instructions(old: Sequence[InstructionRecord], new: Sequence[InstructionRecord]) -> Iterator[Move]:
    """The instructions of both sides by their text; between those that are the same, as many as the other side has are
    taken for changed ones."""
    last: InstructionRecord | None = None
    for matched in match(old, new):
        then, now = matched.old, matched.new
        if len(then) == len(now):
            yield from (Move(old=one, new=other) for one, other in zip(then, now, strict=True))
        else:
            both = bool(then and now)
            yield from (Move(old=None, new=one, replaced=both) for one in now)
            yield from (Move(old=one, new=None, after=last, replaced=both) for one in then)
        last = now[-1] if now else last
