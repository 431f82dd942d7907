"""What an image holds more than once: large files, and folders of small ones."""

from __future__ import annotations

import hashlib
import posixpath
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ci_budget.core.inventory.building import shown_path
from ci_budget.core.inventory.model import SMALLEST_SAME, Manager, SameContent
from ci_budget.core.layers.model import Entry

MOST_READ = 2**30
MOST_SMALL = 50_000
_MOST_GROUPS = 1000
_MOST_PATHS = 50
_MOST_ALIKE = 20  # a name and size that more files have (an empty package's `__init__.py`) tells nothing
_DISTRIBUTION = (Manager.DPKG, Manager.APK)

Visible = Sequence[tuple[Entry, int]]
Hash = Callable[[int, str, bool], str | None]
_File = tuple[str, int, int]
"""Path, bytes, layer."""
_Pair = tuple[_File, _File]


@dataclass(frozen=True, kw_only=True)
class SameContents:
    """What was found, large files before folders. `unread`: bytes of what looks the same and was too much to read."""

    groups: tuple[SameContent, ...]
    unread: int


def find_same_content(visible: Visible, hash_file: Hash, owned: Mapping[str, Manager]) -> SameContents:
    """Visible files of at least 1 MiB whose content is the same, and folders whose smaller files are, 1 MiB or more.

    `hash_file` gives the SHA-256 of a layer's file, or of samples of it (True), or None. Nothing is the same that was
    not read whole; 1 GiB at most is read in all. What distribution packages bring alike (`owned`) is theirs.
    """
    reader = _Reader(hash_file)
    groups = [*_large_files(visible, reader, owned), *_folders(visible, reader, owned)]
    return SameContents(groups=tuple(groups[:_MOST_GROUPS]), unread=reader.unread)


class _Reader:
    """Hashes files as long as it does not become too much."""

    def __init__(self, hash_file: Hash) -> None:
        self._hash = hash_file
        self._left = MOST_READ
        self._files = MOST_SMALL
        self.unread = 0

    def split(self, files: Sequence[_File], *, sampled: bool) -> dict[str, list[_File]]:
        """The files by their hash, those left out that are alone with theirs."""
        found: dict[str, list[_File]] = {}
        for file in files:
            digest = self._hash(file[2], file[0], sampled)
            if digest is not None:
                found.setdefault(digest, []).append(file)
        return {digest: same for digest, same in found.items() if len(same) > 1}

    def may_read(self, size: int, *, small: int = 0) -> bool:
        """Whether there is room for so many bytes (and so many small files); takes it."""
        if size > self._left or small > self._files:
            self.unread += size
            return False
        self._left -= size
        self._files -= small
        return True

    def same(self, pair: _Pair) -> str | None:
        """The hash that both files have."""
        first, other = (self._hash(layer, path, False) for path, _, layer in pair)
        return first if first == other else None


def _large_files(visible: Visible, reader: _Reader, owned: Mapping[str, Manager]) -> list[SameContent]:
    by_size: dict[int, list[_File]] = {}
    for entry, layer in visible:
        if entry.size >= SMALLEST_SAME:
            by_size.setdefault(entry.size, []).append((entry.path, entry.size, layer))
    groups = []
    for size in sorted((size for size, files in by_size.items() if len(files) > 1), reverse=True):
        for alike in reader.split(by_size[size], sampled=True).values():
            if _is_theirs(alike, owned) or not reader.may_read(size * len(alike)):
                continue
            for digest, same in reader.split(alike, sampled=False).items():
                paths = sorted(shown_path(file[0]) for file in same)
                groups.append(SameContent(size=size, sha256=digest, paths=paths[:_MOST_PATHS]))
    return groups


def _is_theirs(files: Sequence[_File], owned: Mapping[str, Manager]) -> bool:
    return all(owned.get(path) in _DISTRIBUTION for path, _, _ in files)


def _folders(visible: Visible, reader: _Reader, owned: Mapping[str, Manager]) -> list[SameContent]:
    """Pairs of folders, largest first: files of one name and size tell which ones to read."""
    held: dict[tuple[str, str], list[_Pair]] = {}
    for files in _alike(visible):
        for pair in pairwise(files):
            if not _is_theirs(pair, owned):
                held.setdefault(_roots(pair), []).append(pair)
    sizes = {roots: sum(pair[0][1] for pair in pairs) for roots, pairs in held.items()}
    groups = []
    for roots in sorted(sizes, key=lambda roots: (-sizes[roots], roots)):
        pairs = held[roots]
        if sizes[roots] < SMALLEST_SAME:
            break
        if reader.may_read(2 * sizes[roots], small=2 * len(pairs)):
            read = [(pair, digest) for pair in pairs if (digest := reader.same(pair)) is not None]
            size = sum(pair[0][1] for pair, _ in read)
            if size >= SMALLEST_SAME:
                groups.append(_folder(roots, read, size))
    return groups


def _alike(visible: Visible) -> list[list[_File]]:
    """Small files of the same name and size, each list in the order of paths."""
    small = [shown for shown in visible if 0 < shown[0].size < SMALLEST_SAME]
    keys = [hash((entry.path.rpartition("/")[2], entry.size)) for entry, _ in small]  # names would be as large again
    again = {key for key, count in Counter(keys).items() if count > 1}
    found: dict[tuple[str, int], list[_File]] = {}
    for (entry, layer), key in zip(small, keys, strict=True):
        if key in again:
            named = entry.path.rpartition("/")[2], entry.size
            found.setdefault(named, []).append((entry.path, entry.size, layer))
    return [sorted(files) for files in found.values() if 1 < len(files) <= _MOST_ALIKE]


def _roots(pair: _Pair) -> tuple[str, str]:
    """The folders that the two lie in, less what is the same at the end of both."""
    first, other = (path.split("/")[:-1] for path, _, _ in pair)
    while len(first) > 1 and len(other) > 1 and first[-1] == other[-1]:
        first.pop()
        other.pop()
    return "/".join(first), "/".join(other)


def _folder(roots: tuple[str, str], read: Sequence[tuple[_Pair, str]], size: int) -> SameContent:
    start = len(roots[0]) + 1 if roots[0] else 0
    within = {pair[0][0][start:]: digest for pair, digest in read}
    shared = posixpath.commonpath([posixpath.dirname(name) for name in within])
    listing = "".join(f"{digest} {name}\n" for name, digest in sorted(within.items()))
    return SameContent(
        size=size,
        sha256=hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest(),
        paths=sorted(shown_path(f"{posixpath.join(root, shared).rstrip('/')}/") for root in roots),
        files=len(read),
    )
