"""What of a build context is kept to tell later what grew: sums by folder, and its largest files."""

from __future__ import annotations

import heapq

from ci_budget.core.context.ignore import IgnoreRules
from ci_budget.core.context.measured import ContextMeasure
from ci_budget.core.inventory.building import shown_path
from ci_budget.core.inventory.model import ContextRecord, FileRecord, FolderRecord
from ci_budget.errors import ConfigError

_MOST_FOLDERS = 1000
_MOST_FILES = 1000
_SMALLEST_FILE = 4096
_DEEPEST = 12
_MOST_PATTERNS = 500
_LONGEST_PATTERN = 1000


def record_context(measure: ContextMeasure, rules: IgnoreRules | None = None) -> ContextRecord:
    """The record of a context, in at most a thousand folders and a thousand files; hard links count once each. `rules`:
    of its ignore file, where they are known."""
    depth = 0
    sums = _sums(measure, depth)
    while depth < _DEEPEST:
        deeper = _sums(measure, depth + 1)
        if len(deeper) > _MOST_FOLDERS:
            break
        depth, sums = depth + 1, deeper
    large = heapq.nlargest(_MOST_FILES, ((size, path) for path, size in measure.listing() if size >= _SMALLEST_FILE))
    return ContextRecord(
        size=measure.size,
        folder_depth=depth,
        folders=[
            FolderRecord(path=shown_path(path), layer=0, size=size, files=files)
            for path, (size, files) in sorted(sums.items())
        ],
        files=[FileRecord(path=shown_path(path), size=size, layer=0) for size, path in large],
        ignored=None if rules is None else _patterns(rules),
    )


def was_ignored(context: ContextRecord, path: str) -> bool:
    """Whether the ignore file of a recorded context surely left out what lies at `path`."""
    try:
        return bool(context.ignored) and IgnoreRules.from_patterns(context.ignored or []).ignores(path)
    except ConfigError:
        return False


def _patterns(rules: IgnoreRules) -> list[str] | None:
    found = [f"{'!' if one.exception else ''}{one.text}" for one in rules.patterns]
    few = len(found) <= _MOST_PATTERNS and all(len(one) <= _LONGEST_PATTERN and shown_path(one) == one for one in found)
    return found if few else None


def smallest_recorded(context: ContextRecord) -> int:
    """Bytes from which on a file of the context has a record of its own."""
    if len(context.files) < _MOST_FILES:
        return _SMALLEST_FILE
    return 1 + min(file.size for file in context.files)


def _sums(measure: ContextMeasure, depth: int) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {"": (0, 0)}
    for folder in measure.folders:
        parts = folder.path.split("/") if folder.path else []
        size, files = sum(folder.sizes), len(folder.sizes)
        for level in range(min(len(parts), depth) + 1):
            path = "/".join(parts[:level])
            known = found.get(path, (0, 0))
            found[path] = known[0] + size, known[1] + files
    return found
