"""What is behind a step that grew though nothing of it changed: an instruction before it, or one of another stage.

The step that holds the bytes in the image is known for sure. What is said beyond it rests on what each instruction is
given (`own_sha256`) and on what each kept in its stage (`kept`); where these leave a choice, nothing is said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ci_budget.core.inventory.inputs import COPIES
from ci_budget.core.inventory.model import InstructionRecord, Inventory
from ci_budget.core.inventory.moves import Move, pair_instructions
from ci_budget.core.inventory.origins import drifted_images
from ci_budget.core.inventory.stage_pairs import Stage, StagePairs
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
    changed: Cause | None = None
    drifted: str | None = None


class Causes:
    """The instructions of two images, stage by stage."""

    def __init__(self, before: Inventory, after: Inventory) -> None:
        self._pairs = StagePairs(before, after)
        self._new = {stage.line: stage for stage in self._pairs.new}
        self._texts = {record.text_sha256 for record in before.instructions}
        self._outside = {one.line: one.text_sha256 for one in after.instructions if not one.stage}
        self._known = bool(self._pairs.old and self._pairs.new)
        bases = ({base.reference: base.image_id for base in side.bases} for side in (before, after))
        self._drifted_bases = drifted_images(*bases)
        self._moves: dict[int, list[Move]] = {}

    def find(self, stage: str | None, line: int | None, delta: int, whole: int, others: Collection[int] = ()) -> Behind:
        """What is behind `delta` bytes of what the instruction there brought, of `whole` bytes together; `others`: what
        each other instruction brought."""
        place = self._place(stage, line)
        if place is None or not self._known or not whole or not delta:
            return Behind()
        own, at = place
        move = self._moves_of(own)[at]
        brought = move.new
        if brought is None or brought.command == "FROM":
            named = brought is not None and move.old is not None and brought.images != move.old.images
            cause = move.tell(move.delta if _is_alike(move.delta, whole) else None) if named else None
            return Behind(cause=cause, changed_line=self._argument_of(move))
        if move.changed and not brought.sources:
            return self._taken_up(own, brought)
        reached = self._reached(brought.sources)
        if any(self._pairs.is_unsure(one) for one in (own, *reached)):
            return Behind()  # which one it was before cannot be told
        upstream = self._upstream(reached)
        changed = [one for one in upstream if one.changed and not one.silent]
        grown = [one for one in upstream if one.delta * delta > 0 and abs(one.delta) * _SHARE >= abs(whole)]
        alike = [one for one in grown if _is_alike(one.delta, delta)]
        alike = alike or [one for one in grown if delta * whole > 0 and _is_alike(one.delta, whole)]
        if move.changed:  # it may take more, or other files, than before
            alike = [one for one in alike if one.changed and not one.vanished] or _made_all(upstream, brought)
            return Behind(cause=alike[0].tell(alike[0].delta)) if len(alike) == 1 else Behind()
        if len(alike) > 1 and any(_is_alike(one, whole) for one in others):
            known = changed if not self._drifted_bases else []
            return Behind(changed_line=self._line(known), changed=_lone(known))  # one each, or one for all
        writer = _writer(grown if delta * whole > 0 else (), alike, changed, whole)
        if writer is not None:
            return self._told(writer, changed)
        if brought.command.lower() in COPIES:
            lone = len(changed) == 1 and not grown and not self._drifted_bases and self._was_read(brought.sources)
            return Behind(cause=changed[0].tell(None)) if lone and not changed[0].unsure else Behind()
        changed += [one for one in self._before(own, at) if one.changed and not one.silent and one not in changed]
        return Behind(changed_line=self._line(changed), changed=_lone(changed))

    def find_gone(self, stage: str | None, line: int | None) -> tuple[InstructionRecord | None, Cause | None]:
        """Of an instruction of the older image: the one that stands in its place now, or that it is gone."""
        for one in self._new.values() if self._known else ():
            for move in self._moves_of(one):
                if move.old is not None and (move.old.stage, move.old.line) == (stage, line) and not move.replaced:
                    return move.new, move.tell(None) if move.new is None else None
        return None, None

    def keep_more(self, rise: int) -> list[Cause]:
        """The instructions that keep more than before, the largest first, where they, and all stages together, keep at
        least half of a rise of the peak more."""
        if not self._known or rise <= 0 or any(self._pairs.is_unsure(one) for one in self._pairs.new):
            return []
        moves = self._upstream(self._pairs.new)
        more = sorted((one for one in moves if one.new and one.delta * _SHARE >= rise), key=lambda one: -one.delta)
        enough = all(sum(one.delta for one in found) * _HALF >= rise for found in (moves, more))
        told = [one.tell(one.delta) for one in more] if enough else []
        return [one for one in told if one is not None]

    def _told(self, writer: Move, changed: Sequence[Move]) -> Behind:
        cause = writer.tell(writer.delta)
        old, new = writer.old, writer.new
        if writer.changed or old is None or new is None:
            return Behind(cause=cause)
        if old.inputs_sha256 != new.inputs_sha256:
            return Behind(cause=cause, changed_line=self._line(changed), changed=_lone(changed))
        drifted_base = new.command == "FROM" or not self._drifted_bases.isdisjoint(new.images)
        return Behind(cause=cause, drifted="base-drift" if drifted_base else "dependency-drift")

    def _taken_up(self, own: Stage, brought: InstructionRecord) -> Behind:
        """The FROM or COPY that now takes from a stage which was there before, and which nobody needed."""
        if self._pairs.twin(own) is not None or brought.text_sha256 not in self._texts:
            return Behind()
        moves = [one for stage in self._new.values() for one in self._moves_of(stage)]
        users = [one for one in moves if one.changed and one.new is not None and own.line in one.new.sources]
        return Behind(changed_line=self._line(users))

    def _line(self, changed: Sequence[Move]) -> int | None:
        """The line of the one that changed, or of the ARG before the first FROM that made it another; None for several,
        and for one that is gone."""
        if len(changed) != 1 or changed[0].new is None or changed[0].unsure:
            return None
        return self._argument_of(changed[0]) or changed[0].new.line

    def _argument_of(self, move: Move) -> int | None:
        """The one ARG before the first FROM that changed, where the text of an instruction did not."""
        if move.old is None or move.new is None or move.old.text_sha256 != move.new.text_sha256 or not move.changed:
            return None
        changed = [line for line in move.new.arguments if self._outside.get(line, "") not in self._texts]
        return changed[0] if len(changed) == 1 else None

    def _place(self, stage: str | None, line: int | None) -> tuple[Stage, int] | None:
        """The stage with an instruction, and the number of that one's move."""
        return self._places.get((stage, line))

    @cached_property
    def _places(self) -> dict[tuple[str | None, int | None], tuple[Stage, int]]:
        found: dict[tuple[str | None, int | None], tuple[Stage, int]] = {}
        for one in sorted(self._new.values(), key=lambda one: self._pairs.twin(one) is None):
            for at, move in enumerate(self._moves_of(one)):
                if move.new is not None:
                    found.setdefault((move.new.stage, move.new.line), (one, at))
        return found

    def _before(self, own: Stage, at: int) -> Iterator[Move]:
        """What a step can see of its own stage, and of those that this one takes from."""
        moves = self._moves_of(own)[:at]
        yield from moves
        sources = {line for one in moves if one.new is not None for line in one.new.sources}
        yield from self._upstream(self._reached(sorted(sources)))

    def _reached(self, lines: Sequence[int]) -> list[Stage]:
        """The stages whose FROMs stand there, and all that these take from."""
        found: dict[int, Stage] = {}
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
        twins = [self._pairs.twin(stage) for stage in stages]
        return all(one is not None and one.records[0].kept is not None for one in (*stages, *twins))

    def _upstream(self, stages: Sequence[Stage]) -> list[Move]:
        """The moves of some stages, each once: what is part of one with a twin counts there."""
        found: dict[int, Move] = {}
        gone = []
        for stage in sorted(stages, key=lambda one: self._pairs.twin(one) is None):
            for move in self._moves_of(stage):
                if move.new is None:
                    gone.append(move)
                else:
                    found.setdefault(move.new.line, move)
        return [*(found[line] for line in sorted(found)), *gone]

    def _moves_of(self, stage: Stage) -> list[Move]:
        if stage.line not in self._moves:
            old = self._pairs.twin(stage)
            sides = (self._pairs.whole(old, old=True), self._pairs.whole(stage)) if old else ((), stage.records)
            self._moves[stage.line] = [
                replace(one, moved=bool(one.old and one.new and self._pairs.takes_otherwise(one.old, one.new)))
                for one in pair_instructions(*sides)
            ]
        return self._moves[stage.line]


def _made_all(upstream: Sequence[Move], brought: InstructionRecord) -> list[Move]:
    """The new ones that keep as much as a COPY or mount brought of them."""
    lone = [one for one in upstream if one.old is None and one.delta and _is_alike(one.delta, brought.kept or 0)]
    return [one for one in lone if one.new is not None and one.new.command != "FROM"]


def _lone(changed: Sequence[Move]) -> Cause | None:
    """What became of the only one that changed, where that is sure."""
    return changed[0].tell(None) if len(changed) == 1 and not changed[0].unsure else None


def _is_alike(one: int, other: int) -> bool:
    return abs(one - other) * _ALIKE <= abs(other)


def _writer(grown: Sequence[Move], alike: Sequence[Move], changed: Sequence[Move], whole: int) -> Move | None:
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
