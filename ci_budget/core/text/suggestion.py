"""The nearest known name to a mistyped one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

_LONGEST = 200
_CUTOFF = 0.6


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like `name`, None when none does. Case, `-` and `_` count for nothing."""
    wanted = _plain(name)
    best: tuple[float, str] | None = None
    for candidate in sorted(known):
        shape = _plain(candidate)
        ratio = SequenceMatcher(None, wanted, shape).ratio()
        if shape.startswith(wanted) and len(wanted) >= 3:
            ratio = max(ratio, _CUTOFF)
        if ratio >= _CUTOFF and (best is None or ratio > best[0]):
            best = (ratio, candidate)
    return best[1] if best else None


def suggest(name: str, known: Iterable[str], *, kind: str) -> str:
    """`did you mean 'x'?`, or the known names where none is near. `kind` is their plural: `keys`, `stages`."""
    names = list(known)
    found = nearest(name, names)
    if found is not None:
        return f"did you mean '{found}'?"
    if not names:
        return f"there are no {kind} here"
    shown = ", ".join(names[:12])
    return f"known {kind}: {shown}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _plain(name: str) -> str:
    return name[:_LONGEST].lower().replace("-", "_")
