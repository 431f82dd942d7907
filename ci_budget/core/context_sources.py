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
from typing import Protocol

from ci_budget.core.globs import clean_path, compile_glob, has_wildcards
from ci_budget.core.ignore import IgnoreRules
from ci_budget.core.ignore_folders import IgnoreFolder

Choice = bool | Callable[[str], bool]
"""All files of a directory, none, or those whose name passes."""

_MOST_LINKS = 255
_REMOTE = re.compile(r"(?:https?|git|ssh)://|[A-Za-z0-9_.-]+@[^/\s:]+:", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ContextSource:
    """A source as written, variables expanded; `excludes` and `parents` are COPY's flags."""

    path: str
    excludes: tuple[str, ...] = ()
    parents: bool = False


class Tree(Protocol):
    """The part of a measured context that sources are resolved in."""

    @property
    def directories(self) -> frozenset[str]:
        """All directories that are sent, without the root."""

    @property
    def links(self) -> Mapping[str, str]:
        """Symbolic links and their targets."""

    def listing(self) -> Iterator[tuple[str, int]]:
        """All files."""


def is_local_source(path: str) -> bool:
    """Whether a source lies in the context: no URL, no git reference, no heredoc."""
    return not path.startswith("<<") and _REMOTE.match(path) is None


@dataclass
class Filter:
    """Everything below `root` that the rules let through: what they ignore (`inverted`) or what they do not."""

    root: str
    rules: IgnoreRules
    inverted: bool
    _folders: dict[str, IgnoreFolder | None] = field(default_factory=dict)

    def choose(self, folder: str) -> Choice:
        """The choice in a directory of the context."""
        inside = _relative(folder, self.root)
        if inside is None:
            return False
        state = self._open(inside)
        if state is None:
            return self.inverted
        if state.uniform is not None:
            return state.uniform is self.inverted
        return lambda name: state.ignores(name) is self.inverted

    def _open(self, inside: str) -> IgnoreFolder | None:
        if inside not in self._folders:
            parent, _, name = inside.rpartition("/")
            above = self._open(parent) if inside else None
            self._folders[inside] = (
                self.rules.root() if not inside else above.enter(name) if above is not None else None
            )
        return self._folders[inside]


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
        choice = self.choose(folder)
        return choice if isinstance(choice, bool) else choice(name)


def select_sources(tree: Tree, sources: Iterable[ContextSource]) -> Selection:
    """Resolve the sources. Raises ConfigError for an `--exclude` or `--parents` pattern that the engine refuses."""
    selection = Selection()
    for source in sources:
        start, pattern = source.path, None
        if source.parents:
            parent, pivot, rest = source.path.partition("/./")
            start, pattern = (parent, rest) if pivot else ("/", source.path)
        for path in _resolve(tree, start):
            if path and path not in tree.directories:
                selection.add_file(path)
                continue
            if pattern is not None:
                inside = clean_path(f"/{pattern}").removeprefix("/") or "**"
                selection.filters.append(Filter(root=path, rules=IgnoreRules.from_patterns([inside]), inverted=True))
            elif source.excludes:
                selection.filters.append(
                    Filter(root=path, rules=IgnoreRules.from_patterns(source.excludes), inverted=False)
                )
            else:
                selection.roots.add(path)
    return selection


def _resolve(tree: Tree, source: str) -> Iterator[str]:
    """The paths that a source stands for, symbolic links followed."""
    components = [part for part in clean_path(f"/{source}").split("/") if part]
    plain = next((index for index, part in enumerate(components) if has_wildcards(part)), len(components))
    base = follow_links(tree.links, "/".join(components[:plain]))
    if base is None:
        return
    if plain == len(components):
        yield base
        return
    matches = compile_glob("/".join(components[plain:]))
    found: set[str] = set()
    for path in sorted({*tree.directories, *tree.links, *(path for path, _ in tree.listing())}):
        inside = _relative(path, base)
        if inside and matches(inside) and not any(above in found for above in _ancestry(path)):
            found.add(path)
            target = follow_links(tree.links, path)
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
