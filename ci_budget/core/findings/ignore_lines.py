"""Which lines an ignore file lacks: what a build is sent and never needs.

Never proposed is what a COPY, ADD or bind mount names, nor what a command of the Dockerfile mentions. `COPY . .` names
nothing: of what only that takes along, proposed are histories, caches, tests, documents, and what every stage that
takes it along makes anew (`node_modules` beside an `npm ci`). What the ignore file keeps by a `!` stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from ci_budget.core.context.sources import Choice, select_sources
from ci_budget.core.findings.context_use import ContextUse, takes_all
from ci_budget.core.findings.spare_names import ANYWHERE, AT_TOP, FILES, REMADE, RUNNERS, SCRIPTS, VERSIONED, Remade

MOST_LINES = 100
_MODULES = "node_modules"  # in one folder and another of a project
_ENVIRONMENT = ".venv"
_LITTER = ".DS_Store"
_MOST_DOCUMENTS = 200  # folders whose names are looked for in every text

_DOCUMENTS = re.compile(r"\.(?:md|rst|adoc|csv|tsv|pdf|ipynb|log|odt|docx?|xlsx?|pptx?|drawio|puml)$", re.IGNORECASE)
_SPECIAL = re.compile(r"([\\*?\[\]])")
_COMMENT = b"# what no build needs (ci-budget explain --fix-ignore)"
_ORDER = ("history", "caches", "editors", "tests", "docs", "documents", "unused")


@dataclass(frozen=True, kw_only=True)
class IgnoreLine:
    """A line to add: what it keeps out, in bytes and files, and why (one of `history caches editors tests docs
    documents unused`)."""

    pattern: str
    why: str
    size: int
    files: int


def propose_lines(use: ContextUse) -> tuple[IgnoreLine, ...]:
    """The lines that the ignore file lacks, by why and then by size; none where a source's variables are unknown.

    Raises ConfigError for an `--exclude` pattern that the engine refuses.
    """
    if any(source.unresolved for source in use.sources):
        return ()
    sorter = _Sorter(use)
    totals: dict[tuple[str, str], tuple[int, int]] = {}
    for path, size, why in sorter.spare():
        pattern = sorter.pattern(path, why)
        if pattern is not None:
            files, total = totals.get((pattern, why), (0, 0))
            totals[pattern, why] = (files + 1, total + size)
    lines = [
        IgnoreLine(pattern=pattern, why=why, size=size, files=files) for (pattern, why), (files, size) in totals.items()
    ]
    kept = sorted(lines, key=lambda line: -line.size)[:MOST_LINES]
    return tuple(sorted(kept, key=lambda line: (_ORDER.index(line.why), -line.size, line.pattern)))


def add_lines(text: bytes, lines: Iterable[IgnoreLine]) -> bytes:
    """An ignore file's text with these lines at its end, ended as most are there; what stood there stays, byte for
    byte."""
    end = b"\r\n" if 2 * text.count(b"\r\n") > text.count(b"\n") else b"\n"
    added = b"".join(line.pattern.encode("utf-8", "surrogateescape") + end for line in lines)
    if not added:
        return text
    head = text if not text or text.endswith(b"\n") else text + end
    return head + (b"" if _COMMENT in text else _COMMENT + end) + added


def spare_files(use: ContextUse) -> frozenset[str]:
    """The files that the proposed lines keep out."""
    return frozenset(path for path, _, _ in _Sorter(use).spare())


class _Sorter:
    """Tells files that are used from spare ones."""

    def __init__(self, use: ContextUse) -> None:
        self._use = use
        named = [source for source in use.sources if not takes_all(source)]
        self._named = select_sources(use.measure, named)
        self._all = select_sources(use.measure, use.sources)
        self._sweeping = bool(use.sweeps)
        self._texts = "\n".join(use.commands)
        found = (path for path, _ in use.measure.listing() if path.rpartition("/")[2] == "pyvenv.cfg")
        self._environments = {path.rpartition("/")[0] for path in islice(found, _MOST_DOCUMENTS)}
        self._mentions: dict[tuple[str, str], bool] = {}
        self._remade: dict[str, bool] = {}
        self._kept: set[str] = set()
        self._names = {folder.path: frozenset(folder.names) for folder in use.measure.folders if use.sweeping}
        self._exceptions = [one.test for one in use.kept.patterns if one.exception and one.test is not None]
        self._named_folders: set[str] = set()  # folders that hold something that is named, or kept on purpose
        for source in named:
            self._named_folders.update(_folders(f"{source.path.rstrip('/')}/."))
        self._documents = frozenset[str]()
        if self._sweeping:
            self._documents = self._document_folders()
        self._busy = set(self._named_folders)  # folders that hold something that is used

    def spare(self) -> Iterator[tuple[str, int, str]]:
        """Path, bytes and why of each file that no build needs."""
        found: list[tuple[str, int, str]] = []
        for path, size, named, used in self._files():
            why = None if named else self._ballast(path) if used else self._ballast(path) or "unused"
            if why == "unused" and path in self._use.needed:
                continue
            if why is not None:
                found.append((path, size, why))
                continue
            folders = _folders(path)
            self._busy.update(folders)
            if named:
                self._named_folders.update(folders)
        yield from found

    def _files(self) -> Iterator[tuple[str, int, bool, bool]]:
        for folder in self._use.measure.folders:
            named, used = self._named.choose(folder.path), self._all.choose(folder.path)
            for path, size in folder.files():
                name = path.rpartition("/")[2]
                yield path, size, _applies(named, name), _applies(used, name)

    def _ballast(self, path: str) -> str | None:
        """Why a file that no source names is not wanted, whoever takes it along."""
        *folders, name = path.split("/")
        for depth, folder in enumerate(folders):
            here = "/".join(folders[: depth + 1])
            why = ANYWHERE.get(folder) or (AT_TOP.get(folder) if depth == 0 else None)
            if why is not None and not self._is_mentioned(folder, why):
                return self._unless_kept(path, depth, why)
            if here in self._environments and not self._is_mentioned(folder, "environment"):
                return self._unless_kept(path, depth, "caches")
            if self._is_remade(here):
                return self._unless_kept(path, depth, "caches")
        alike = ANYWHERE.get(name)  # a file: the line that keeps such folders out takes it along
        if alike is not None and not self._is_mentioned(name, alike):
            return self._unless_kept(path, len(folders), alike)
        if folders and folders[0] in self._documents:
            return self._unless_kept(path, 0, "documents")
        why = next((why for suffix, _, why in FILES if name.endswith(suffix)), None)
        return self._unless_kept(path, len(folders), why)

    def _unless_kept(self, path: str, depth: int, why: str | None) -> str | None:
        """The reason, where the ignore file does not keep the folder at that depth, or what of it is above the file."""
        if why is None or not self._exceptions:
            return why
        parts = path.split("/")
        above = ["/".join(parts[:count]) for count in range(depth + 1, len(parts) + 1)]
        if not any(test.whole(one) for test in self._exceptions for one in above):
            return why
        self._named_folders.update(_folders(path))  # as if a COPY named it
        self._kept.add(path)
        return None

    def _is_remade(self, folder: str) -> bool:
        """Whether every stage that takes a folder along makes it anew."""
        above, _, name = folder.rpartition("/")
        if folder not in self._remade:
            self._remade[folder] = any(
                one.folder.fullmatch(name) and self._makes(one) and self._lies_beside(above, one) for one in REMADE
            )
        return self._remade[folder]

    def _makes(self, one: Remade) -> bool:
        texts = self._use.sweeping
        return bool(texts) and all(one.makes.search(text) for text in texts)

    def _lies_beside(self, above: str, one: Remade) -> bool:
        names = self._names.get(above, frozenset())
        return not one.beside or any(name in names for name in one.beside)

    def _is_mentioned(self, name: str, why: str) -> bool:
        """Whether a command of the Dockerfile speaks of a folder, or runs what usually reads it."""
        key = (name, why)
        if key not in self._mentions:
            runner = RUNNERS.get(why)
            named = re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", self._texts) is not None
            found = named or (runner is not None and runner.search(self._texts) is not None)
            if why == "history" and not found:
                texts = self._use.texts
                found = texts is None or any(VERSIONED.search(text) for path, text in texts.items() if "/" not in path)
            if not found and (name == _ENVIRONMENT or why == "environment"):
                texts = self._use.texts  # what starts the program may start it from there
                scripts = (text for path, text in (texts or {}).items() if SCRIPTS.search(path))
                found = texts is None or any(name in text for text in scripts)
            self._mentions[key] = found
        return self._mentions[key]

    def _document_folders(self) -> frozenset[str]:
        """Folders at the top that hold nothing but documents, and that no program's text names."""
        texts = self._use.texts
        if texts is None:
            return frozenset()
        plain: dict[str, bool] = {}
        for path, _ in self._use.measure.listing():
            top, inside, _ = path.partition("/")
            if inside and self._ballast(path) is None:  # what goes anyway makes no folder less of documents
                plain[top] = plain.get(top, True) and _DOCUMENTS.search(path) is not None
        found = [top for top, only in plain.items() if only and top not in AT_TOP and top not in ANYWHERE]
        found = found[:_MOST_DOCUMENTS]
        return frozenset(
            top
            for top in found
            if not self._is_mentioned(top, "documents")
            and not any(top in text for path, text in texts.items() if not path.startswith(f"{top}/"))
        )

    def pattern(self, path: str, why: str) -> str | None:
        """The line that keeps a spare file out, together with whatever else is spare there."""
        *folders, name = path.split("/")
        if why == "unused":
            return _escaped(_highest(path, self._busy))
        for depth, folder in enumerate(folders):
            here = "/".join(folders[: depth + 1])
            if ANYWHERE.get(folder) == why:
                spread = folder in self._named_last
                if here in self._named_folders:
                    return _escaped(_highest(path, self._named_folders))
                return _escaped(here) if spread or (depth == 0 and why == "history") else f"**/{folder}"
            if why == "caches" and (here in self._environments or self._is_remade(here)):
                if folder == _MODULES and folder not in self._named_last:
                    return f"**/{folder}"
                return _escaped(_highest(path, self._named_folders) if here in self._named_folders else here)
            if depth == 0 and (AT_TOP.get(folder) == why or why == "documents"):
                return _escaped(_highest(path, self._named_folders))
        if name == _LITTER and name not in self._named_last:
            return f"**/{name}"
        suffix = next(((end, line) for end, line, _ in FILES if name.endswith(end)), None)
        return suffix[1] if suffix is not None and suffix[0] not in self._named_suffixes else _escaped(path)

    @cached_property
    def _named_last(self) -> frozenset[str]:
        """The last part of every folder that holds something named, and of a named file that is called like a folder of
        `ANYWHERE`; asked for when all files are sorted."""
        files = (path for path, _ in self._use.measure.listing() if path.rpartition("/")[2] in (*ANYWHERE, _MODULES))
        named = (path for path in files if self._named.has(path) or path in self._kept)
        return frozenset(path.rpartition("/")[2] for path in (*self._named_folders, *named))

    @cached_property
    def _named_suffixes(self) -> frozenset[str]:
        """The endings of `FILES` that a named file has, or any folder: patterns match folders too."""
        ends = tuple(end for end, _, _ in FILES)
        files = (path for path, _ in self._use.measure.listing() if path.endswith(ends))
        named = [path for path in files if self._named.has(path) or path in self._kept]
        folders = {
            part for folder in self._use.measure.folders for part in folder.path.split("/") if part.endswith(ends)
        }
        return frozenset(f".{path.rpartition('.')[2]}" for path in (*named, *folders))


def _applies(choice: Choice, name: str) -> bool:
    return choice if isinstance(choice, bool) else choice(name)


def _highest(path: str, taken: set[str]) -> str:
    """The highest folder above a path that is not taken, else the path itself."""
    return next((folder for folder in _folders(path) if folder not in taken), path)


def _folders(path: str) -> Sequence[str]:
    """All folders above a path, the top one first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _escaped(path: str) -> str | None:
    """A path as a pattern that matches it alone; None where no line of an ignore file can say it."""
    if path != path.strip() or not path.isprintable():
        return None
    text = _SPECIAL.sub(r"\\\1", path)
    return f"\\{text}" if text.startswith(("!", "#")) else text
