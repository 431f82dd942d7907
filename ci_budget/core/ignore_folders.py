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

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ci_budget.core.ignore_patterns import PathTest
from ci_budget.errors import ConfigError

NameMatch = Callable[[str, str], bool]
"""Test of a name in a directory: the name, and the directory's path with a slash at its end."""


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

    def ignores(self, name: str) -> bool:
        """Whether the file of this name is left out."""

    def empties(self, name: str) -> bool:
        """Whether the file of this name, which is not left out, arrives without its content."""

    def enter(self, name: str) -> IgnoreFolder | None:
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

    def ignores(self, name: str) -> bool:
        """See IgnoreFolder."""
        return self._follow(name)[0]

    def empties(self, name: str) -> bool:
        """See IgnoreFolder."""
        refused = False
        for pattern, known in zip(self.patterns, self.known, strict=True):
            if pattern.exception is refused:
                if pattern.test is None:
                    return True
                if known or pattern.test.whole(self.prefix + name):
                    refused = not pattern.exception
        return refused

    def enter(self, name: str) -> PlainFolder | None:
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


@dataclass
class Comparisons:
    """The patterns, and the comparisons made of them so far."""

    patterns: tuple[IgnorePattern, ...]
    tests: Sequence[PathTest]
    plans: dict[tuple[int, int, tuple[int, ...]], Plan] = field(default_factory=dict)
    singles: dict[int, NameMatch] = field(default_factory=dict)

    def is_ignoring(self, index: int) -> bool:
        """What the pattern says of what it matches; -1 stands for no pattern."""
        return index >= 0 and not self.patterns[index].exception

    def plan(self, held: int, opened: int, active: tuple[int, ...]) -> Plan:
        """The comparisons for a directory; the same for most directories, so kept."""
        key = (held, opened, active)
        plan = self.plans.get(key)
        if plan is None:
            plan = self.plans[key] = Plan(
                files=self._runs(active, default=self.is_ignoring(held)),
                default=self.is_ignoring(held),
                contents=self._runs([index for index in active if index > opened], default=self.is_ignoring(opened)),
                contents_default=self.is_ignoring(opened),
                touches=match_names([self.tests[index] for index in active]),
                members=tuple((index, self.patterns[index].exception, self._single(index)) for index in active),
            )
        return plan

    def _runs(self, active: Iterable[int], *, default: bool) -> tuple[tuple[bool, NameMatch], ...]:
        """From the last pattern to the first: what the comparison says, and the comparison. What would only say
        the default is left out at the end."""
        runs: list[tuple[bool, list[PathTest]]] = []
        for index in sorted(active, reverse=True):
            if not runs or runs[-1][0] is not self.is_ignoring(index):
                runs.append((self.is_ignoring(index), []))
            runs[-1][1].append(self.tests[index])
        if runs and runs[-1][0] is default:
            runs.pop()
        return tuple((says, match_names(tests)) for says, tests in runs)

    def _single(self, index: int) -> NameMatch:
        if index not in self.singles:
            self.singles[index] = match_names([self.tests[index]])
        return self.singles[index]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The comparisons that files (`files`) and their contents (`contents`) in a directory have to go through,
    the first that matches decides; whether any pattern matches (`touches`); and the patterns one by one."""

    files: tuple[tuple[bool, NameMatch], ...]
    default: bool
    contents: tuple[tuple[bool, NameMatch], ...]
    contents_default: bool
    touches: NameMatch
    members: tuple[tuple[int, bool, NameMatch], ...]


class QuickFolder:
    """See the module. `held` is the highest pattern remembered as matched, `opened` the highest matched at
    all, `live` the patterns above `held` that can match something in the directory or below it."""

    __slots__ = ("_comparisons", "_held", "_live", "_opened", "_plan", "_prefix")

    def __init__(self, comparisons: Comparisons, *, prefix: str, held: int, opened: int, live: tuple[int, ...]) -> None:
        self._comparisons, self._prefix, self._held, self._opened, self._live = comparisons, prefix, held, opened, live
        tests = comparisons.tests
        active = tuple([i for i in live if (place := tests[i].place) is None or place(prefix)])
        self._plan = comparisons.plan(held, opened, active)

    @property
    def excluded(self) -> bool:
        """See IgnoreFolder."""
        return self._comparisons.is_ignoring(self._held)

    @property
    def uniform(self) -> bool | None:
        """See IgnoreFolder."""
        return None if self._plan.files else self._plan.default

    def ignores(self, name: str) -> bool:
        """See IgnoreFolder."""
        for says, matches in self._plan.files:
            if matches(name, self._prefix):
                return says
        return self._plan.default

    def empties(self, name: str) -> bool:
        """See IgnoreFolder."""
        if self._held == self._opened:
            return False
        for says, matches in self._plan.contents:
            if matches(name, self._prefix):
                return says
        return self._plan.contents_default

    def enter(self, name: str) -> QuickFolder | None:
        """See IgnoreFolder."""
        comparisons, held, opened = self._comparisons, self._held, self._opened
        if self._plan.touches(name, self._prefix):
            for index, exception, matches in self._plan.members:
                if matches(name, self._prefix):
                    opened = max(opened, index)
                    if exception is comparisons.is_ignoring(held):
                        held = index
        prefix = f"{self._prefix}{name}/"
        tests, patterns = comparisons.tests, comparisons.patterns
        live = tuple([index for index in self._live if index > held and tests[index].reaches(prefix)])
        if comparisons.is_ignoring(held) and not any(patterns[index].exception for index in live):
            return None
        return QuickFolder(comparisons, prefix=prefix, held=held, opened=opened, live=live)


def match_names(tests: Sequence[PathTest]) -> NameMatch:
    """Whether any of the patterns, whose directory part fits already, matches a name in a directory."""
    names = [test.name for test in tests if test.name is not None]
    wholes = [test.whole for test in tests if test.name is None]
    literals = frozenset(name.literal for name in names if name.literal is not None)
    suffixes = tuple({name.suffix for name in names if name.suffix is not None})
    expressions = [name.expression for name in names if name.expression is not None]
    if "" in suffixes:
        return lambda _name, _prefix: True
    if not expressions and not wholes:
        if not suffixes:
            return lambda name, _prefix: name in literals
        return lambda name, _prefix: name in literals or name.endswith(suffixes)
    fits = re.compile("|".join(expressions)).fullmatch if expressions else None

    def match(name: str, prefix: str) -> bool:
        if name in literals or name.endswith(suffixes) or (fits is not None and fits(name)):
            return True
        return bool(wholes) and any(whole(prefix + name) for whole in wholes)

    return match
