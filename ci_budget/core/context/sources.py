"""What the sources of COPY, ADD and bind mounts name in a build context, as BuildKit resolves them.

Read in its `solver/llbsolver/file` and in fsutil's `copy`: a source is cleaned, symbolic links are
followed inside the context, wildcards are Go's `filepath.Match` over whole paths (`**` is `*`), and a
directory stands for everything below it. `--parents` and `--exclude` take ignore patterns.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from ci_budget.core.context.globs import clean_path, compile_glob, has_wildcards
from ci_budget.core.context.ignore import IgnoreRules
from ci_budget.core.context.ignore_folders import IgnoreFolder
from ci_budget.core.stages.plan import ContextSource

Choice = bool | Callable[[str], bool]
"""All files of a directory, none, or those whose name passes."""

_MOST_LINKS = 255
_REMOTE = re.compile(r"(?:https?|git|ssh)://|[A-Za-z0-9_.-]+@[^/\s:]+:", re.ASCII)


class Measured(Protocol):
    """The part of a measured context that sources are resolved in."""

    @property
    def directories(self) -> frozenset[str]:
        """All directories that are sent, without the root."""

    @property
    def links(self) -> Mapping[str, str]:
        """Symbolic links and their targets."""

    def listing(self) -> Iterator[tuple[str, int]]:
        """All files."""


@dataclass
class Filter:
    """What lies below `root`, matches the patterns of `wanted`, and none of `excluded`."""

    root: str
    wanted: IgnoreRules
    excluded: IgnoreRules
    _folders: dict[tuple[bool, str], IgnoreFolder | None] = field(default_factory=dict)

    def choose(self, folder: str) -> Choice:
        """The choice in a directory of the context."""
        inside = _relative(folder, self.root)
        if inside is None:
            return False
        matches, leaves_out = self._judge(inside, wanted=True), self._judge(inside, wanted=False)
        if matches is False or leaves_out is True:
            return False
        if matches is True and leaves_out is False:
            return True
        return lambda name: _applies(matches, name) and not _applies(leaves_out, name)

    def _judge(self, inside: str, *, wanted: bool) -> Choice:
        """What patterns match in a directory: `ignores` of the rules, as patterns that match ignore."""
        state = self._open(inside, wanted=wanted)
        if state is None:
            return True
        return state.ignores if state.uniform is None else state.uniform

    def _open(self, inside: str, *, wanted: bool) -> IgnoreFolder | None:
        key = (wanted, inside)
        if key not in self._folders:
            rules = self.wanted if wanted else self.excluded
            parent, _, name = inside.rpartition("/")
            above = self._open(parent, wanted=wanted) if inside else None
            self._folders[key] = rules.root() if not inside else above.enter(name) if above is not None else None
        return self._folders[key]


def _applies(choice: Choice, name: str) -> bool:
    return choice if isinstance(choice, bool) else choice(name)


@dataclass
class Selection:
    """The directories (with everything below), single files and filtered directories that sources name."""

    roots: set[str] = field(default_factory=set)
    files: dict[str, set[str]] = field(default_factory=dict)
    filters: list[Filter] = field(default_factory=list)

    def add_file(self, path: str) -> None:
        """Add a single file."""
        folder, _, name = path.rpartition("/")
        self.files.setdefault(folder, set()).add(name)

    def choose(self, folder: str) -> Choice:
        """Which files directly in this directory are named."""
        if self.roots and any(path in self.roots for path in _ancestry(folder)):
            return True
        tests: list[Callable[[str], bool]] = []
        for choice in (filter_.choose(folder) for filter_ in self.filters):
            if choice is True:
                return True
            if choice is not False:
                tests.append(choice)
        names = self.files.get(folder, set())
        if not tests:
            return names.__contains__ if names else False
        return lambda name: name in names or any(test(name) for test in tests)

    def has(self, path: str) -> bool:
        """Whether this file is named."""
        folder, _, name = path.rpartition("/")
        return _applies(self.choose(folder), name)


def select_sources(measure: Measured, sources: Iterable[str | ContextSource]) -> Selection:
    """Resolve the sources; text alone is a source without flags. URLs, git references and heredocs are passed over,
    and a source with an unresolved variable is the whole context.

    Raises ConfigError for an `--exclude` or `--parents` pattern that the engine refuses.
    """
    selection = Selection()
    tree = Tree(measure)
    for source in sources:
        written = source if isinstance(source, str) else source.text
        if written.startswith("<<") or _REMOTE.match(written):
            continue
        if isinstance(source, str):
            _select(tree, selection, source)
        elif source.unresolved:
            selection.roots.add("")
        elif source.parents:
            parent, pivot, rest = written.partition("/./")
            _select(tree, selection, parent if pivot else "/", source.excludes, rest if pivot else written, source.line)
        else:
            _select(tree, selection, source.path, source.excludes, None, source.line)
    return selection


def _select(
    tree: Tree,
    selection: Selection,
    start: str,
    excludes: Sequence[str] = (),
    pattern: str | None = None,
    line: int | None = None,
) -> None:
    """Add what `start` stands for; of directories only what `pattern` (of `--parents`) matches and `excludes` not."""
    for path in tree.resolve(start):
        if path and path not in tree.measure.directories:
            selection.add_file(path)
        elif pattern is None and not excludes:
            selection.roots.add(path)
        else:
            inside = clean_path(f"/{pattern or ''}").removeprefix("/") or "**"
            wanted = IgnoreRules.from_patterns([inside], line=line)
            selection.filters.append(
                Filter(root=path, wanted=wanted, excluded=IgnoreRules.from_patterns(excludes, line=line))
            )


@dataclass(frozen=True)
class Tree:
    """A measured context to look paths up in."""

    measure: Measured

    @cached_property
    def paths(self) -> list[str]:
        """Everything that is sent, sorted."""
        files = (path for path, _ in self.measure.listing())
        return sorted({*self.measure.directories, *self.measure.links, *files})

    def resolve(self, source: str) -> Iterator[str]:
        """The paths that a source stands for, symbolic links followed."""
        components = [part for part in clean_path(f"/{source}").split("/") if part]
        plain = next((index for index, part in enumerate(components) if has_wildcards(part)), len(components))
        base = follow_links(self.measure.links, "/".join(components[:plain]))
        if base is None:
            return
        if plain == len(components):
            yield base
            return
        matches = compile_glob("/".join(components[plain:]))
        found: set[str] = set()
        for path in self.paths:
            inside = _relative(path, base)
            if inside and matches(inside) and found.isdisjoint(_ancestry(path)):
                found.add(path)
                target = follow_links(self.measure.links, path)
                if target is not None:
                    yield target


def follow_links(links: Mapping[str, str], path: str) -> str | None:
    """The path with its symbolic links resolved inside the context; None where they turn in a circle."""
    waiting, done, hops = deque(path.split("/")), list[str](), 0
    while waiting:
        part = waiting.popleft()
        if part in ("", "."):
            continue
        if part == "..":
            done = done[:-1]
            continue
        target = links.get("/".join([*done, part]))
        if target is None:
            done.append(part)
            continue
        hops += 1
        if hops > _MOST_LINKS:
            return None
        if target.startswith("/"):
            done = []
        waiting.extendleft(reversed(target.split("/")))
    return "/".join(done)


def _relative(path: str, root: str) -> str | None:
    """The path below `root` (empty: `root` itself), or None."""
    if not root or path == root:
        return "" if path == root else path
    return path[len(root) + 1 :] if path.startswith(f"{root}/") else None


def _ancestry(path: str) -> Sequence[str]:
    """The path itself and all above it, up to the root."""
    parts = path.split("/") if path else []
    return ["/".join(parts[:count]) for count in range(len(parts), -1, -1)]
