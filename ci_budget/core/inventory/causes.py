"""What is behind a step that grew though nothing of it changed: an instruction before it, or one of another stage.

The step that holds the bytes in the image is known for sure. What is said beyond it rests on what each instruction is
given (`own_sha256`) and on what each kept in its stage (`kept`); where these leave a choice, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from ci_budget.core.dockerfile.stage_names import is_unnamed
from ci_budget.core.inventory.inputs import COPIES, METADATA
from ci_budget.core.inventory.model import InstructionRecord, Inventory
from ci_budget.core.inventory.origins import drifted_images
from ci_budget.core.records.report import Cause

_ALIKE = 50  # a fiftieth apart: one and the same bytes
_SHARE = 20  # what moved by less than a twentieth of the whole is no rival
_HALF = 2


@dataclass(frozen=True, kw_only=True)
class Behind:
    """What is behind a contributor; the fields are those of its own. `drifted`: its kind, where what made it was given
    the same as before."""

    cause: Cause | None = None
    changed_line: int | None = None
    drifted: str | None = None


@dataclass(frozen=True)
class _Stage:
    """A stage: its FROM, then its other instructions, in their order."""

    records: tuple[InstructionRecord, ...]

    @property
    def line(self) -> int:
        return self.records[0].line


@dataclass(frozen=True, kw_only=True)
class _Move:
    """An instruction on both sides, or on one. `after`: the line that it stood behind, where it is gone. `replaced`: it
    is one of several that stand in the place of more or fewer others."""

    old: InstructionRecord | None
    new: InstructionRecord | None
    after: int | None = None
    replaced: bool = False

    @property
    def changed(self) -> bool:
        return self.old is None or self.new is None or self.old.own_sha256 != self.new.own_sha256

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
            stage=stands.stage,
            line=self.new.line if self.new else None,
            command=stands.command,
            change=self._change(),
            after=self.after if self.new is None else None,
            delta=delta,
        )

    def _change(self) -> Literal["new", "changed", "gone", "given", "grew"]:
        if self.new is None:
            return "gone"
        if self.old is None:
            return "new"
        if not self.changed:
            return "grew"
        return "changed" if self.old.text_sha256 != self.new.text_sha256 else "given"


class Causes:
    """The instructions of two images, stage by stage; stages are paired by their names."""

    def __init__(self, before: Inventory, after: Inventory) -> None:
        sides = list(_stages(before)), list(_stages(after))
        names = [_names(stages, side) for stages, side in zip(sides, (before, after), strict=True)]
        self._old = dict(zip(names[0], sides[0], strict=True))
        self._new = {stage.line: stage for stage in sides[1]}
        self._twins = {
            stage.line: self._old[name] for name, stage in zip(names[1], sides[1], strict=True) if name in self._old
        }
        self._texts = {(record.stage, record.text_sha256) for record in before.instructions}
        self._outside = {one.line: one.text_sha256 for one in after.instructions if not one.stage}
        self._known = all(found and len(found) == len(set(found)) for found in names)
        bases = ({base.reference: base.image_id for base in side.bases} for side in (before, after))
        self._drifted_bases = drifted_images(*bases)
        self._moves: dict[int, list[_Move]] = {}

    def find(self, stage: str | None, line: int | None, delta: int, whole: int) -> Behind:
        """What is behind `delta` bytes of what the instruction there brought, of `whole` bytes together."""
        place = self._place(stage, line)
        if place is None or not self._known or not whole or not delta:
            return Behind()
        own, at = place
        move = self._moves_of(own)[at]
        brought = move.new
        if brought is None or brought.command == "FROM":
            return Behind(changed_line=self._argument_of(move))
        if move.changed and not brought.sources:
            return self._taken_up(own, brought)
        reached = self._reached(brought.sources)
        if any(one.line not in self._twins and _is_unnamed(one) for one in (own, *reached)):
            return Behind()  # which one it was before cannot be told
        upstream = [one for source in reached for one in self._moves_of(source)]
        changed = [one for one in upstream if one.changed and not one.silent]
        grown = [one for one in upstream if one.delta * delta > 0 and abs(one.delta) * _SHARE >= abs(whole)]
        alike = [one for one in grown if _is_alike(one.delta, delta)]
        alike = alike or [one for one in grown if delta * whole > 0 and _is_alike(one.delta, whole)]
        if move.changed:  # it may take more, or other files, than before
            alike = [one for one in alike if one.changed and not one.vanished]
            return Behind(cause=alike[0].tell(alike[0].delta)) if len(alike) == 1 else Behind()
        writer = _writer(grown if delta * whole > 0 else (), alike, changed, whole)
        if writer is not None:
            return self._told(writer, changed)
        if brought.command.lower() in COPIES:
            lone = len(changed) == 1 and not grown and not self._drifted_bases and self._was_read(brought.sources)
            return Behind(cause=changed[0].tell(None)) if lone else Behind()
        changed += [one for one in self._before(own, at) if one.changed and not one.silent and one not in changed]
        return Behind(changed_line=self._line(changed))

    def find_gone(self, stage: str | None, line: int | None) -> tuple[InstructionRecord | None, Cause | None]:
        """Of an instruction of the older image: the one that stands in its place now, or that it is gone."""
        for one in self._new.values() if self._known else ():
            for move in self._moves_of(one):
                if move.old is not None and (move.old.stage, move.old.line) == (stage, line) and not move.replaced:
                    return move.new, move.tell(None) if move.new is None else None
        return None, None

    def _told(self, writer: _Move, changed: Sequence[_Move]) -> Behind:
        cause = writer.tell(writer.delta)
        old, new = writer.old, writer.new
        if writer.changed or old is None or new is None:
            return Behind(cause=cause)
        if old.inputs_sha256 != new.inputs_sha256:
            return Behind(cause=cause, changed_line=self._line(changed))
        drifted_base = new.command == "FROM" or not self._drifted_bases.isdisjoint(new.images)
        return Behind(cause=cause, drifted="base-drift" if drifted_base else "dependency-drift")

    def _taken_up(self, own: _Stage, brought: InstructionRecord) -> Behind:
        """The FROM or COPY that now takes from a stage which was there before, and which nobody needed."""
        if own.line in self._twins or (brought.stage, brought.text_sha256) not in self._texts:
            return Behind()
        moves = [one for stage in self._new.values() for one in self._moves_of(stage)]
        users = [one for one in moves if one.changed and one.new is not None and own.line in one.new.sources]
        return Behind(changed_line=self._line(users))

    def _line(self, changed: Sequence[_Move]) -> int | None:
        """The line of the one that changed, or of the ARG before the first FROM that made it another; None for several,
        and for one that is gone."""
        if len(changed) != 1 or changed[0].new is None:
            return None
        return self._argument_of(changed[0]) or changed[0].new.line

    def _argument_of(self, move: _Move) -> int | None:
        """The one ARG before the first FROM that changed, where the text of an instruction did not."""
        if move.old is None or move.new is None or move.old.text_sha256 != move.new.text_sha256 or not move.changed:
            return None
        changed = [line for line in move.new.arguments if ("", self._outside.get(line, "")) not in self._texts]
        return changed[0] if len(changed) == 1 else None

    def _place(self, stage: str | None, line: int | None) -> tuple[_Stage, int] | None:
        """The stage with an instruction, and the number of that one's move."""
        for one in self._new.values():
            if one.records[0].stage == stage:
                for at, move in enumerate(self._moves_of(one)):
                    if move.new is not None and move.new.line == line:
                        return one, at
        return None

    def _before(self, own: _Stage, at: int) -> Iterator[_Move]:
        """What a step can see of its own stage, and of those that this one takes from."""
        moves = self._moves_of(own)[:at]
        yield from moves
        sources = {line for one in moves if one.new is not None for line in one.new.sources}
        for source in self._reached(sorted(sources)):
            yield from self._moves_of(source)

    def _reached(self, lines: Sequence[int]) -> list[_Stage]:
        """The stages whose FROMs stand there, and all that these take from."""
        found: dict[int, _Stage] = {}
        pending = list(lines)
        while pending:
            line = pending.pop()
            stage = self._new.get(line)
            if stage is not None and line not in found:
                found[line] = stage
                pending += [source for record in stage.records for source in record.sources]
        return [found[line] for line in sorted(found)]

    def _was_read(self, lines: Sequence[int]) -> bool:
        """Whether it is known, on both sides, what each instruction of these stages kept."""
        stages = self._reached(lines)
        twins = [self._twins.get(stage.line) for stage in stages]
        return all(one is not None and one.records[0].kept is not None for one in (*stages, *twins))

    def _moves_of(self, stage: _Stage) -> list[_Move]:
        if stage.line not in self._moves:
            old = self._twins.get(stage.line)
            self._moves[stage.line] = list(_pair(old.records if old is not None else (), stage.records))
        return self._moves[stage.line]


def _is_alike(one: int, other: int) -> bool:
    return abs(one - other) * _ALIKE <= abs(other)


def _writer(grown: Sequence[_Move], alike: Sequence[_Move], changed: Sequence[_Move], whole: int) -> _Move | None:
    """Which of the instructions that moved the same way it is: the one that moved by as many bytes (of several that
    pass them on, the one that changed, or the first), else the only one, if it moved by enough and nothing else
    changed, or only what it may have read."""
    if alike:
        own = [one for one in alike if one.changed]
        return own[0] if len(own) == 1 and not own[0].vanished else alike[0] if not own else None
    if len(grown) != 1 or grown[0].replaced or abs(grown[0].delta) * _HALF < abs(whole):
        return None
    others = [one for one in changed if one is not grown[0]]
    read = len(others) == 1 and not grown[0].changed and abs(grown[0].delta) <= abs(whole) * _HALF
    return grown[0] if not others or read else None


def _names(stages: Sequence[_Stage], inventory: Inventory) -> list[str]:
    """What stages are paired by: names; of those without, the last one, and the others where none came or went."""
    count = len({record.stage for record in inventory.instructions if record.stage})
    return [
        ("" if stage is stages[-1] else f"{stage.records[0].stage} of {count}")
        if _is_unnamed(stage)
        else stage.records[0].stage
        for stage in stages
    ]


def _is_unnamed(stage: _Stage) -> bool:
    return is_unnamed(stage.records[0].stage)


def _stages(inventory: Inventory) -> Iterator[_Stage]:
    """The stages that the target needs: only these have been given anything."""
    held: list[InstructionRecord] = []
    for record in inventory.instructions:
        if record.command == "FROM" and held:
            yield _Stage(tuple(held))
            held = []
        if record.own_sha256 is not None:
            held.append(record)
    if held:
        yield _Stage(tuple(held))


def _pair(old: Sequence[InstructionRecord], new: Sequence[InstructionRecord]) -> Iterator[_Move]:
    """The instructions of both sides by their text; between those that are the same, as many as the other side has are
    taken for changed ones."""
    matcher = SequenceMatcher(None, [_text(one) for one in old], [_text(one) for one in new], autojunk=False)
    for _, i, j, k, m in matcher.get_opcodes():
        then, now = old[i:j], new[k:m]
        if len(then) == len(now):
            yield from (_Move(old=one, new=other) for one, other in zip(then, now, strict=True))
        else:
            last = new[k - 1].line if k else None
            both = bool(then and now)
            yield from (_Move(old=None, new=one, replaced=both) for one in now)
            yield from (_Move(old=one, new=None, after=last, replaced=both) for one in then)


def _text(record: InstructionRecord) -> str:
    return "FROM" if record.command == "FROM" else record.text_sha256
