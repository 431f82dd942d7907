"""Contributors as text: whose doing a difference is, one line each, and sums that come out however many are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ci_budget.core.records.report import Contributor
from ci_budget.core.text.units import format_delta

_KINDS: Final = {
    "this-change": "this change",
    "dependency-drift": "dependency drift",
    "base-drift": "base image drift",
}


def kind_words(kind: str) -> str:
    """A contributor's kind as a person reads it."""
    return _KINDS.get(kind, kind)


def tell_contributor(found: Contributor) -> str:
    """`+1.90 GB torch 2.13.0 -> 2.14.1 (dependency drift, line 4)`; `new` or `gone` where it has only one side."""
    sides = found.before is not None, found.after is not None
    said = [{(False, True): "new", (True, False): "gone"}.get(sides, ""), kind_words(found.kind)]
    said.append(f"line {found.line}" if found.line is not None else "")
    return f"{format_delta(found.delta, 'bytes')} {found.name} ({', '.join(word for word in said if word)})"


def tell_split(found: Sequence[Contributor]) -> str:
    """`this change +20.0 MB, base image drift +1.20 MB`: the sums by kind, largest first."""
    sums: dict[str, int] = {}
    for item in found:
        sums[item.kind] = sums.get(item.kind, 0) + item.delta
    ordered = sorted(sums.items(), key=lambda one: -abs(one[1]))
    return ", ".join(f"{kind_words(kind)} {format_delta(delta, 'bytes')}" for kind, delta in ordered)


def tell_changes(found: Sequence[Contributor], most: int) -> list[str]:
    """At most `most` lines, the last one for all that are left, with their sum."""
    if len(found) <= most:
        return [tell_contributor(item) for item in found]
    left = found[most - 1 :]
    rest = f"{format_delta(sum(item.delta for item in left), 'bytes')} in {len(left)} more"
    return [*(tell_contributor(item) for item in found[: most - 1]), rest]
