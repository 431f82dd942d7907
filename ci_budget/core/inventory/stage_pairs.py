"""Which stage of one Dockerfile is which of another: by who uses it, by what it does and by its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

from ci_budget.core.dockerfile.stage_names import is_unnamed
from ci_budget.core.inventory.model import InstructionRecord, Inventory

Records = tuple[InstructionRecord, ...]
_HALF = 0.5


@dataclass(frozen=True)
class Stage:
    """A stage: its FROM, then its other instructions, in their order."""

    records: Records

    @property
    def line(self) -> int:
        """Where its FROM stands."""
        return self.records[0].line

    @property
    def name(self) -> str:
        """Empty where the Dockerfile gives it none."""
        return "" if is_unnamed(self.records[0].stage) else self.records[0].stage


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Instructions that stand in the same place; one side may be empty."""

    old: Records
    new: Records


def list_stages(inventory: Inventory) -> list[Stage]:
    """The stages that the target needs: only these have been given anything. The target is the last one."""
    held: list[list[InstructionRecord]] = []
    for record in [one for one in inventory.instructions if one.own_sha256 is not None]:
        if record.command == "FROM" or not held:
            held.append([])
        held[-1].append(record)
    return [Stage(tuple(records)) for records in held]


def match(old: Sequence[InstructionRecord], new: Sequence[InstructionRecord]) -> Iterator[Matched]:
    """The instructions of both sides in their order, by their text."""
    matcher = SequenceMatcher(None, [_text(one) for one in old], [_text(one) for one in new], autojunk=False)
    for _, i, j, k, m in matcher.get_opcodes():
        yield Matched(old=tuple(old[i:j]), new=tuple(new[k:m]))


def _text(record: InstructionRecord) -> str:
    return "FROM" if record.command == "FROM" else record.text_sha256


class StagePairs:
    """The stages of two images. A stage without a twin that another one starts from counts as a part of that one, as if
    both were written in one piece."""

    def __init__(self, before: Inventory, after: Inventory) -> None:
        self.old, self.new = list_stages(before), list_stages(after)
        self._by_line = {stage.line: stage for stage in self.old}, {stage.line: stage for stage in self.new}
        self._names = [{one.stage for one in side.instructions if one.stage} for side in (before, after)]
        self._likeness = _likeness(self.old, self.new)
        self._twins: dict[int, Stage] = {}
        self._taken: dict[int, Stage] = {}
        if self.old and self.new:
            self._join_named()
            self._join_used(self.old[-1].line, self.new[-1].line)
            self._follow(same=True)
            self._join_alike()
            self._follow(same=False)

    def twin(self, stage: Stage) -> Stage | None:
        """The older stage that it was."""
        return self._twins.get(stage.line)

    def takes_otherwise(self, old: InstructionRecord, new: InstructionRecord) -> bool:
        """Whether an instruction takes from other stages than before."""
        then = {line for line in old.sources if line in self._by_line[0]}
        return then != {self._twins[line].line if line in self._twins else -line for line in new.sources}

    def is_unsure(self, stage: Stage) -> bool:
        """Whether it has no twin though one or another of the older stages may be it."""
        if stage.line in self._twins:
            return False
        free = [one.line for one in self.old if one.line not in self._taken]
        return any(self._likeness.get((line, stage.line), 0) >= _HALF for line in free)

    def whole(self, stage: Stage, *, old: bool = False) -> Records:
        """Its instructions, behind those of the stages below it that the other side does not have."""
        paired, stages = (self._taken, self._by_line[0]) if old else (self._twins, self._by_line[1])
        records, seen = stage.records, {stage.line}
        while True:
            below = [stages[line] for line in records[0].sources if line in stages]
            known = len(below) != 1 or below[0].line in paired or below[0].name in self._names[1 if old else 0]
            if known or below[0].line in seen:
                return records
            seen.add(below[0].line)
            records = (*below[0].records, *records[1:])

    def _join(self, old: int, new: int) -> bool:
        if old in self._taken or new in self._twins:
            return False
        self._taken[old], self._twins[new] = self._by_line[1][new], self._by_line[0][old]
        return True

    def _join_used(self, old: int, new: int) -> bool:
        """Those that are used alike, unless both sides have a stage of either name."""
        names = self._by_line[0][old].name, self._by_line[1][new].name
        known = any(name in side for name, side in zip(names, reversed(self._names), strict=True))
        return (names[0] == names[1] or not known) and self._join(old, new)

    def _join_named(self) -> None:
        """Those of one name, but for names that were given to other stages."""
        named = {stage.name: stage for stage in self.old if stage.name}
        best: dict[tuple[bool, int], float] = {}
        for (old, new), much in self._likeness.items():
            for key in ((True, old), (False, new)):
                best[key] = max(best.get(key, 0), much)
        for stage in [one for one in self.new if one.name in named]:
            pair = named[stage.name].line, stage.line
            elsewhere = max(best.get((True, pair[0]), 0), best.get((False, pair[1]), 0))
            if elsewhere < self._likeness.get(pair, 0) + _HALF:
                self._join(*pair)

    def _join_alike(self) -> None:
        """Those of which half is the same, the most alike first; of several that are as much so, none, or all in their
        order where they do one and the same."""
        alike = [pair for pair, much in self._likeness.items() if much >= _HALF]
        ranked = sorted(alike, key=lambda pair: (-self._likeness[pair], pair))
        blocked: set[tuple[bool, int]] = set()
        for much, group in groupby(ranked, key=lambda pair: self._likeness[pair]):
            free = [
                (old, new)
                for old, new in group
                if old not in self._taken and new not in self._twins and not blocked & {(True, old), (False, new)}
            ]
            count = Counter(key for old, new in free for key in ((True, old), (False, new)))
            for old, new in free:
                keys = {(True, old), (False, new)}
                if much == 1 or all(count[key] == 1 for key in keys):
                    self._join(old, new)
                else:
                    blocked |= keys

    def _follow(self, *, same: bool) -> None:
        """The stages that instructions of twins take from, where these stand in the same place; `same`: and only where
        they copy or mount the same."""
        pending = list(self._twins)
        while pending:
            stage = self._by_line[1][pending.pop()]
            for old, new in self._sources(self._twins[stage.line], stage, same=same):
                if old in self._by_line[0] and new in self._by_line[1] and self._join_used(old, new):
                    pending.append(new)

    def _sources(self, old: Stage, new: Stage, *, same: bool) -> Iterator[tuple[int, int]]:
        for matched in match(old.records, new.records):
            for one, other in zip(matched.old, matched.new, strict=False):
                alike = one.text_sha256 == other.text_sha256 and one.command != "FROM"
                paired = len(matched.old) == len(matched.new) and len(one.sources) == len(other.sources)
                if paired and one.command == other.command and same <= alike:
                    yield from zip(one.sources, other.sources, strict=True)


def _likeness(old: Sequence[Stage], new: Sequence[Stage]) -> dict[tuple[int, int], float]:
    """By the lines of both: how much of two stages is the same, 1 for all; those with nothing in common left out."""
    sums: Counter[tuple[int, int]] = Counter()
    where: dict[str, Counter[int]] = {}
    for stage in old:
        for text in _texts(stage):
            where.setdefault(text, Counter())[stage.line] += 1
    for stage in new:
        for text, times in Counter(_texts(stage)).items():
            for line, others in where.get(text, {}).items():
                sums[line, stage.line] += min(times, others)
    lengths = [{stage.line: len(_texts(stage)) for stage in side} for side in (old, new)]
    lone = {pair for pair in sums if lengths[0][pair[0]] == lengths[1][pair[1]] == 1}
    bases = {(one.line, other.line) for one in old for other in new if _base(one) == _base(other) != ""} - lone
    return {
        pair: 2 * much / (lengths[0][pair[0]] + lengths[1][pair[1]])
        for pair, much in sums.items()
        if much > (pair in bases)  # one base image makes no two stages alike
    }


def _texts(stage: Stage) -> list[str]:
    return [*([_base(stage)] if _base(stage) else []), *(record.text_sha256 for record in stage.records[1:])]


def _base(stage: Stage) -> str:
    images = stage.records[0].images
    return f"FROM {images}" if images else ""
