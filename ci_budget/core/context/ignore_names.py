"""Many patterns as one comparison of a name in a directory."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ci_budget.core.context.ignore_patterns import PathTest

NameMatch = Callable[[str], bool]

_MOST_REMEMBERED = 4096


class Remembered(dict[str, bool]):
    """The answers of a comparison; in most trees the same names come again and again."""

    __slots__ = ("_compare",)

    def __init__(self, compare: NameMatch) -> None:
        super().__init__()
        self._compare = compare

    def __missing__(self, name: str) -> bool:
        answer = self._compare(name)
        if len(self) < _MOST_REMEMBERED:
            self[name] = answer
        return answer


def match_names(tests: Sequence[PathTest], directory: str) -> NameMatch:
    """Whether any of the patterns, whose directory part fits already, matches a name in this directory."""
    names = [test.name for test in tests if test.name is not None]
    wholes = [test.whole for test in tests if test.name is None]
    literals = frozenset(name.literal for name in names if name.literal is not None)
    suffixes = tuple({name.suffix for name in names if name.suffix is not None})
    expressions = [name.expression for name in names if name.expression is not None]
    if "" in suffixes:
        return lambda _name: True
    if not expressions and not wholes:
        if not suffixes:
            return literals.__contains__
        return lambda name: name in literals or name.endswith(suffixes)
    fits = re.compile("|".join(expressions)).fullmatch if expressions else None

    def match(name: str) -> bool:
        if name in literals or name.endswith(suffixes) or (fits is not None and fits(name)):
            return True
        return bool(wholes) and any(whole(directory + name) for whole in wholes)

    return match
