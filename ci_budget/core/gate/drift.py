"""What changed under a build without being its doing: engine versions and base images since the baseline."""

from __future__ import annotations

from collections.abc import Sequence

from ci_budget.core.records.baseline import BaselineEntry, find_entry
from ci_budget.core.records.report import ImageReport
from ci_budget.core.text.units import format_delta, format_distinct

_VERSIONS = {"engine": "engine", "buildkit": "BuildKit", "buildx": "buildx"}


def describe_drift(measured: ImageReport, baselines: Sequence[BaselineEntry]) -> list[str]:
    """A sentence for each change since the comparable baseline was recorded; named, never compared."""
    match = find_entry(baselines, measured.fingerprint, "image_size")
    if match is None or match.differs:
        return []
    return [*_version_notes(measured, match.entry), *_base_notes(measured, match.entry)]


def _version_notes(measured: ImageReport, entry: BaselineEntry) -> list[str]:
    if measured.versions is None or entry.versions is None:
        return []
    changes = [
        f"{word} {then} -> {now}"
        for name, word in _VERSIONS.items()
        if (then := getattr(entry.versions, name)) != (now := getattr(measured.versions, name)) and then and now
    ]
    return [f"since the baseline was recorded: {', '.join(changes)} (named, never compared)"] if changes else []


def _base_notes(measured: ImageReport, entry: BaselineEntry) -> list[str]:
    then = {base.reference: base for base in entry.bases}
    notes = []
    for base in measured.bases:
        old = then.get(base.reference)
        if old is None or old.image_id == base.image_id or None in (old.image_id, base.image_id):
            continue
        sizes = ""
        if old.size is not None and base.size is not None and old.size != base.size:
            before, after = format_distinct([old.size, base.size], "bytes")
            sizes = f": {before} -> {after} ({format_delta(base.size - old.size, 'bytes')})"
        notes.append(f"the base {base.reference} is another image than when the baseline was recorded{sizes}")
    return notes
