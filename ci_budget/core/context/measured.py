"""The measured build context, and which part of it a Dockerfile can use."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from ci_budget.core.context.sources import Choice, select_sources
from ci_budget.core.stages.plan import ContextSource


@dataclass(frozen=True, kw_only=True)
class ContextFolder:
    """The files that one directory gives to the context: their names, joined with `/`, and their bytes.

    `path` is relative to the context, empty for its root. Kept together like this a file costs about
    as much memory as its name.
    """

    path: str
    joined: str
    sizes: array[int]

    @property
    def names(self) -> list[str]:
        """The names, sorted; bytes that are not UTF-8 as lone surrogates."""
        return self.joined.split("/")

    def files(self) -> Iterator[tuple[str, int]]:
        """The path and the size in bytes of each file."""
        prefix = f"{self.path}/" if self.path else ""
        return ((prefix + name, size) for name, size in zip(self.names, self.sizes, strict=True))


@dataclass(frozen=True, kw_only=True)
class ContextMeasure:
    """What `COPY . /` would copy: the regular files that the ignore rules leave.

    `size`: their apparent bytes, hard links once; `files`: how many names there are. `folders` holds the
    directories that have files, `directories` all that are sent, `links` the targets of symbolic links, and `twins`
    maps the files with several hard links to a number that such files share.
    """

    size: int
    files: int
    folders: tuple[ContextFolder, ...]
    directories: frozenset[str] = frozenset()
    links: Mapping[str, str] = field(default_factory=dict)
    twins: Mapping[str, int] = field(default_factory=dict)

    def listing(self) -> Iterator[tuple[str, int]]:
        """The path and the size in bytes of each file; each hard link has the full size."""
        for folder in self.folders:
            yield from folder.files()

    @property
    def undecodable(self) -> str | None:
        """A path whose bytes are no UTF-8, which builders cannot send; None where all are."""
        paths = chain((path for path, _ in self.listing()), self.directories, self.links)
        return next((path for path in paths if not path.isascii() and _has_surrogates(path)), None)

    @cached_property
    def largest(self) -> tuple[tuple[str, int], ...]:
        """The ten largest files."""
        return tuple(sorted(self.listing(), key=lambda file: (-file[1], file[0]))[:10])


def _has_surrogates(path: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in path)


@dataclass(frozen=True, kw_only=True)
class Unreferenced:
    """Files under one top-level directory that no COPY, ADD or bind mount can use; `.` are the root's own files."""

    directory: str
    files: int
    size: int


def referenced_size(measure: ContextMeasure, sources: Sequence[str | ContextSource]) -> int:
    """Bytes of the context that the sources of COPY, ADD and bind mounts name, hard links once.

    Sources are those of the stage plan, or plain text with its variables expanded; URLs, git references and
    heredocs are passed over. Raises ConfigError for an `--exclude` pattern that the engine refuses.
    """
    return sum(size for _, size, used in _tally(measure, sources) if used)


def chosen_paths(measure: ContextMeasure, sources: Sequence[str | ContextSource]) -> Iterator[str]:
    """The files that the sources name, folder by folder. Raises ConfigError as `referenced_size`."""
    selection = select_sources(measure, sources)
    for folder in measure.folders:
        choice = selection.choose(folder.path)
        if choice is not False:
            yield from (path for path, _, used in _judge(folder, choice) if used)


def list_unreferenced(measure: ContextMeasure, sources: Sequence[str | ContextSource]) -> tuple[Unreferenced, ...]:
    """What is sent for nothing, by top-level directory, largest first; with `referenced_size` it adds up to
    the context's size. Raises ConfigError as there."""
    totals: dict[str, tuple[int, int]] = {}
    for path, size, used in _tally(measure, sources):
        if not used:
            top, inside, _ = path.partition("/")
            directory = top if inside else "."
            files, total = totals.get(directory, (0, 0))
            totals[directory] = (files + 1, total + size)
    found = [Unreferenced(directory=name, files=files, size=size) for name, (files, size) in totals.items()]
    return tuple(sorted(found, key=lambda entry: (-entry.size, entry.directory)))


def _tally(measure: ContextMeasure, sources: Sequence[str | ContextSource]) -> Iterator[tuple[str, int, bool]]:
    """Every file, its bytes, and whether it is used; of hard links only the first has bytes, and one that is
    used makes all of them used."""
    selection = select_sources(measure, sources)
    chosen = [(folder, selection.choose(folder.path)) for folder in measure.folders]
    used_twins: set[int] = set()
    if measure.twins:
        for folder, choice in chosen:
            used_twins.update(
                measure.twins[path] for path, _, used in _judge(folder, choice) if used and path in measure.twins
            )
    counted: set[int] = set()
    for folder, choice in chosen:
        for path, size, used in _judge(folder, choice):
            twin = measure.twins.get(path)
            if twin is None:
                yield path, size, used
            else:
                yield path, 0 if twin in counted else size, twin in used_twins
                counted.add(twin)


def _judge(folder: ContextFolder, choice: Choice) -> Iterator[tuple[str, int, bool]]:
    prefix = f"{folder.path}/" if folder.path else ""
    for name, size in zip(folder.names, folder.sizes, strict=True):
        yield prefix + name, size, choice if isinstance(choice, bool) else choice(name)
