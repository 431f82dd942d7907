"""Walking down a tree with ignore patterns: what a directory tells of the files and directories in it.

fsutil's walker evaluates every pattern on every path, and hands a directory's results on to what lies
below it. `PlainFolder` does just that. `QuickFolder` gives the same answers (tested against each
other) from three observations:

- Only the highest pattern that a directory has matched matters below it: it matches everything there,
  so that no earlier pattern can change a result. The results of a directory are one number.
- The last pattern that matches decides, so neighbouring patterns of the same kind are one comparison.
- Which patterns can match a file at all, by its name, is the same for all files of a directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ci_budget.core.context.ignore_names import NameMatch, Remembered, match_names
from ci_budget.core.context.ignore_patterns import PathTest
from ci_budget.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class IgnorePattern:
    """One pattern. `exception`: it began with `!`; `text` is without it. `test` is None where the engine
    cannot compile the pattern (`fault` says why): it fails once it compares a path with it, and so do we."""

    line: int | None
    text: str
    exception: bool
    test: PathTest | None
    fault: str = ""


class IgnoreFolder(Protocol):
    """A directory of the context, seen through the ignore rules. All methods may raise ConfigError, for a
    pattern that the engine accepts until it has to compare a path with it."""

    @property
    def excluded(self) -> bool:
        """Whether the directory itself is left out; files below may still be kept."""

    @property
    def uniform(self) -> bool | None:
        """What `ignores` says of all names, where it says the same of all."""

    @property
    def ignores(self) -> NameMatch:
        """Whether the file of a name is left out."""

    @property
    def empties(self) -> NameMatch | None:
        """Whether the file of a name, which is not left out, arrives without its content; None: no file does."""

    def enter(self, name: str, /) -> IgnoreFolder | None:
        """The directory of this name; None where nothing in it can be kept."""


def open_root(patterns: tuple[IgnorePattern, ...], file: str | None) -> IgnoreFolder:
    """The root of a context, to walk down from. `file` is named in errors."""
    tests = [pattern.test for pattern in patterns if pattern.test is not None]
    if len(tests) == len(patterns):
        live = tuple(range(len(patterns)))
        return QuickFolder(Comparisons(patterns, tests), prefix="", held=-1, opened=-1, live=live)
    none = (False,) * len(patterns)
    return PlainFolder(patterns=patterns, file=file, prefix="", held=none, known=none, excluded=False)


@dataclass(frozen=True, kw_only=True)
class PlainFolder:
    """The walker's own way. `held`: the patterns it remembers as matched by this directory; `known`: all
    that match the directory or one above it."""

    patterns: tuple[IgnorePattern, ...]
    file: str | None
    prefix: str
    held: tuple[bool, ...]
    known: tuple[bool, ...]
    excluded: bool
    uniform: None = None

    def ignores(self, name: str, /) -> bool:
        """See IgnoreFolder."""
        return self._follow(name)[0]

    def empties(self, name: str, /) -> bool:
        """See IgnoreFolder."""
        refused = False
        for pattern, known in zip(self.patterns, self.known, strict=True):
            if pattern.exception is refused:
                if pattern.test is None:
                    return True
                if known or pattern.test.whole(self.prefix + name):
                    refused = not pattern.exception
        return refused

    def enter(self, name: str, /) -> PlainFolder | None:
        """See IgnoreFolder."""
        excluded, held = self._follow(name)
        path = self.prefix + name
        if excluded and not self._may_keep(f"{path}/"):
            return None
        known = tuple(
            known or (pattern.test is not None and pattern.test.whole(path))
            for pattern, known in zip(self.patterns, self.known, strict=True)
        )
        return PlainFolder(
            patterns=self.patterns, file=self.file, prefix=f"{path}/", held=held, known=known, excluded=excluded
        )

    def _follow(self, name: str) -> tuple[bool, tuple[bool, ...]]:
        ignored, path, matches = False, self.prefix + name, []
        for pattern, held in zip(self.patterns, self.held, strict=True):
            match = held
            if not match and pattern.exception is ignored:
                if pattern.test is None:
                    raise ConfigError(
                        f"the pattern {pattern.text!a} is malformed: {pattern.fault}",
                        file=self.file,
                        line=pattern.line,
                    )
                match = pattern.test.whole(path)
            if match:
                ignored = not pattern.exception
            matches.append(match)
        return ignored, tuple(matches)

    def _may_keep(self, directory: str) -> bool:
        """Whether the walker goes into an excluded directory."""
        exceptions = [pattern.text for pattern in self.patterns if pattern.exception]
        starts = [text.removesuffix("/**").removesuffix("/*") for text in exceptions]
        return any(set("*[]?^\\") & set(start) for start in starts) or any(
            f"{start}/".startswith(directory) for start in starts
        )


class Comparisons:
    """The patterns, and the comparisons made of them so far: the same for most directories, so kept."""

    def __init__(self, patterns: tuple[IgnorePattern, ...], tests: Sequence[PathTest]) -> None:
        self.patterns, self.tests = patterns, tests
        self._plans: dict[tuple[int, int, tuple[int, ...]], Plan] = {}
        self._bounded: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._placed: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._uniform: dict[tuple[int, ...], bool] = {}

    def is_ignoring(self, index: int) -> bool:
        """What the pattern says of what it matches; -1 stands for no pattern."""
        return index >= 0 and not self.patterns[index].exception

    def find_live(self, live: tuple[int, ...], held: int, directory: str) -> tuple[int, ...]:
        """Of the patterns that were live above, those that matter in this directory or below it."""
        tests, bounded = self.tests, self._bounded.get(live)
        if bounded is None:
            bounded = tuple(index for index in live if tests[index].lead or tests[index].depth is not None)
            self._bounded[live] = bounded
        lost = [index for index in bounded if not tests[index].reaches(directory)]
        if lost or (live and live[0] <= held):
            return tuple([index for index in live if index > held and index not in lost])
        return live

    def find_active(self, live: tuple[int, ...], directory: str) -> tuple[int, ...]:
        """Of the live patterns, those whose directory part fits this directory."""
        tests, placed = self.tests, self._placed.get(live)
        if placed is None:
            placed = self._placed[live] = tuple(index for index in live if tests[index].place is not None)
        lost = [index for index in placed if (place := tests[index].place) is not None and not place(directory)]
        return tuple([index for index in live if index not in lost]) if lost else live

    def is_uniform(self, live: tuple[int, ...], directory: str) -> bool:
        """Whether the same comparisons hold in all directories below, as long as no pattern matches one of them."""
        uniform = self._uniform.get(live)
        if uniform is None:
            uniform = self._uniform[live] = not any(self.tests[index].is_local for index in live)
        return uniform and "\n" not in directory

    def plan(self, held: int, opened: int, active: tuple[int, ...], directory: str) -> Plan:
        """The comparisons for a directory with these results and these patterns."""
        key = (held, opened, active)
        plan = self._plans.get(key)
        if plan is None:
            tests = [self.tests[index] for index in active]
            above = tuple(index for index in active if index > opened)
            plan = Plan(
                uniform=None if self._find_runs(active, held) else self.is_ignoring(held),
                ignores=Remembered(self._judge(active, held, directory)).__getitem__,
                empties=self._judge(above, opened, directory) if opened > held else None,
                touches=Remembered(match_names(tests, directory)).__getitem__,
                members=tuple(
                    (index, self.patterns[index].exception, match_names([test], directory))
                    for index, test in zip(active, tests, strict=True)
                ),
            )
            if all(test.name is not None for test in tests):
                self._plans[key] = plan
        return plan

    def _find_runs(self, active: tuple[int, ...], held: int) -> list[tuple[bool, list[PathTest]]]:
        """From the last pattern to the first, neighbours of the same kind together; without those at the end that
        would only say what is held anyway."""
        runs: list[tuple[bool, list[PathTest]]] = []
        for index in reversed(active):
            if not runs or runs[-1][0] is not self.is_ignoring(index):
                runs.append((self.is_ignoring(index), []))
            runs[-1][1].append(self.tests[index])
        return runs[:-1] if runs and runs[-1][0] is self.is_ignoring(held) else runs

    def _judge(self, active: tuple[int, ...], held: int, directory: str) -> NameMatch:
        """Whether a name is ignored: the first run that matches it decides."""
        runs = [(says, match_names(tests, directory)) for says, tests in self._find_runs(active, held)]
        default = self.is_ignoring(held)
        if not runs:
            return lambda _name: default
        if len(runs) == 1:
            says, only = runs[0]
            return only if says else lambda name: not only(name)

        def judge(name: str) -> bool:
            for says, matches in runs:
                if matches(name):
                    return says
            return default

        return judge


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The comparisons that names in a directory have to go through: see IgnoreFolder; whether any pattern
    matches a name (`touches`); and the patterns one by one: number, whether an exception, comparison."""

    uniform: bool | None
    ignores: NameMatch
    empties: NameMatch | None
    touches: NameMatch
    members: tuple[tuple[int, bool, NameMatch], ...]


class QuickFolder:
    """See the module. `held` is the highest pattern remembered as matched, `opened` the highest matched at
    all, `live` the patterns above `held` that can match something in the directory or below it."""

    __slots__ = (
        "_comparisons",
        "_held",
        "_is_uniform",
        "_live",
        "_opened",
        "_plan",
        "_prefix",
        "empties",
        "ignores",
        "uniform",
    )

    def __init__(self, comparisons: Comparisons, *, prefix: str, held: int, opened: int, live: tuple[int, ...]) -> None:
        self._comparisons, self._prefix, self._held, self._opened, self._live = comparisons, prefix, held, opened, live
        plan = comparisons.plan(held, opened, comparisons.find_active(live, prefix), prefix)
        self._is_uniform = comparisons.is_uniform(live, prefix)
        self._plan, self.uniform, self.ignores, self.empties = plan, plan.uniform, plan.ignores, plan.empties

    @property
    def excluded(self) -> bool:
        """See IgnoreFolder."""
        return self._comparisons.is_ignoring(self._held)

    def enter(self, name: str, /) -> QuickFolder | None:
        """See IgnoreFolder."""
        comparisons, held, opened = self._comparisons, self._held, self._opened
        touched = self._plan.touches(name)
        if not touched and self._is_uniform and "\n" not in name:
            return self
        if touched:
            for index, exception, matches in self._plan.members:
                if matches(name):
                    opened = max(opened, index)
                    if exception is comparisons.is_ignoring(held):
                        held = index
        prefix = f"{self._prefix}{name}/"
        live = comparisons.find_live(self._live, held, prefix)
        if comparisons.is_ignoring(held) and not any(comparisons.patterns[index].exception for index in live):
            return None
        return QuickFolder(comparisons, prefix=prefix, held=held, opened=opened, live=live)
