"""Files that an image holds more than once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ci_budget.core.inventory.building import shown_path
from ci_budget.core.inventory.model import SMALLEST_SAME, SameContent
from ci_budget.core.layers.model import Entry

MOST_READ = 4 * 2**30
_MOST_GROUPS = 1000
_MOST_PATHS = 50

_FIRST = 64 * 1024

_File = tuple[str, int]
Hash = Callable[[int, str, int | None], str | None]


def find_same_content(visible: Sequence[tuple[Entry, int]], hash_file: Hash) -> list[SameContent]:
    """Groups of visible files of at least 1 MiB with the same content, largest first.

    `hash_file` gives the SHA-256 of a layer's file, of its first bytes where a number says how many, or None. Only
    files of one size are looked at, and of those that begin alike 4 GiB at most are read whole: what is beyond that
    is in no group.
    """
    by_size: dict[int, list[tuple[str, int]]] = {}
    for entry, layer in visible:
        if entry.size >= SMALLEST_SAME:
            by_size.setdefault(entry.size, []).append((entry.path, layer))
    groups: list[SameContent] = []
    left = MOST_READ
    for size in sorted((size for size, files in by_size.items() if len(files) > 1), reverse=True):
        for alike in _split(by_size[size], hash_file, _FIRST).values():
            if size * len(alike) <= left:
                left -= size * len(alike)
                for digest, same in _split(alike, hash_file, None).items():
                    paths = sorted(shown_path(path) for path, _ in same)
                    groups.append(SameContent(size=size, sha256=digest, paths=paths[:_MOST_PATHS]))
    return groups[:_MOST_GROUPS]


def _split(files: Sequence[_File], hash_file: Hash, first: int | None) -> dict[str, list[_File]]:
    """The files by their hash, those left out that are alone with theirs."""
    found: dict[str, list[_File]] = {}
    for path, layer in files:
        digest = hash_file(layer, path, first)
        if digest is not None:
            found.setdefault(digest, []).append((path, layer))
    return {digest: same for digest, same in found.items() if len(same) > 1}
