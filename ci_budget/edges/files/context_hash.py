"""One hash over everything that a build context gives to a build, to tell later whether it changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from ci_budget.core.context.measured import ContextMeasure

LARGEST_HASHED = 512 * 2**20


def hash_contents(root: Path, measure: ContextMeasure) -> dict[str, bytes] | None:
    """SHA-256 of each file of a context; None above 512 MiB, or where a file cannot be read."""
    if measure.size > LARGEST_HASHED:
        return None
    found = {}
    for path, _ in measure.listing():
        try:
            handle = os.open(root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as stream:
                found[path] = hashlib.file_digest(stream, "sha256").digest()
        except OSError:
            return None
    return found


def hash_context(measure: ContextMeasure, contents: Mapping[str, bytes]) -> str:
    """SHA-256 over the context's names, link targets and contents (as `hash_contents` gives them).

    Modes and times are left out: a checkout sets them anew.
    """
    total = hashlib.sha256()
    for folder in sorted(measure.directories):
        total.update(b"d" + os.fsencode(folder) + b"\0")
    for path, target in sorted(measure.links.items()):
        total.update(b"l" + os.fsencode(path) + b"\0" + os.fsencode(target) + b"\0")
    for path, content in sorted(contents.items()):
        total.update(b"f" + os.fsencode(path) + b"\0" + content)
    return total.hexdigest()
