"""Contributors as text: whose doing a difference is, one line each, and sums that come out however many are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ci_budget.core.dockerfile.stage_names import is_unnamed
from ci_budget.core.records.report import Cause, Contributor
from ci_budget.core.text.units import format_delta, format_size

_KINDS: Final = {
    "this-change": "this change",
    "dependency-drift": "dependency drift",
    "base-drift": "base image drift",
}

_GIVEN: Final = {"ARG": "another value", "FROM": "another image"}
_BRINGING: Final = ("FROM", "COPY", "ADD")


def kind_words(kind: str) -> str:
    """A contributor's kind as a person reads it."""
    return _KINDS.get(kind, kind)


def tell_contributor(found: Contributor) -> str:
    """`+1.90 GB torch 2.13.0 -> 2.14.1 (dependency drift, line 4)`; `new` or `gone` where it has only one side; at the
    end the instruction that is behind it: `by line 2 of builder`."""
    sides = found.before is not None, found.after is not None
    said = [{(False, True): "new", (True, False): "gone"}.get(sides, ""), kind_words(found.kind)]
    said.append(f"line {found.line}" if found.line is not None else "")
    said += [_behind(found), "no longer ignored" if found.was_ignored else "", _inside(found)]
    return f"{format_delta(found.delta, 'bytes')} {found.name} ({', '.join(word for word in said if word)})"


def tell_cause(cause: Cause, file: str, text: str = "") -> str:
    """`RUN make` in Dockerfile:3 (stage builder) changed and keeps 9.00 MB more`; `text`: the instruction, where it is
    known."""
    named = f"`{text}`" if text else f"the {cause.command}"
    if cause.line is None:
        return f"{_an(cause.command)} behind {file}:{cause.after}{_stage(cause)} is gone"
    done = [_done(cause)] if cause.change != "grew" else []
    if cause.delta is not None:
        more = "" if cause.change == "new" else " more" if cause.delta > 0 else " less"
        verb = "brings" if cause.command in _BRINGING else "keeps"
        done.append(f"{verb} {format_size(abs(cause.delta))}{more}")
    return f"{named} in {file}:{cause.line}{_stage(cause)} {' and '.join(done)}"


def _stage(cause: Cause) -> str:
    return f" (stage {cause.stage})" if not is_unnamed(cause.stage) else ""


def _done(cause: Cause) -> str:
    if cause.change == "given":
        return {"ARG": "has another value", "FROM": "names another image"}.get(cause.command, "reads other files")
    return {"new": "is new"}.get(cause.change, "changed")


def _behind(found: Contributor) -> str:
    said = []
    cause = found.cause
    if cause is not None and (cause.stage, cause.line) != (found.stage, found.line):
        of = _of(cause)
        said.append(
            f"by line {cause.line}{of}" if cause.line is not None else f"by {_an(cause.command)}{of} that is gone"
        )
    one = found.changed
    if one is not None and one.line is None:
        said.append(f"after {_an(one.command)} behind line {one.after}{_of(one)} went")
    elif found.changed_line is not None:
        given = one is not None and one.change == "given" and one.line == found.changed_line
        what = _GIVEN.get(one.command, "other files") if one is not None and given else "a change"
        said.append(f"after {what} in line {found.changed_line}")
    return " ".join(said)


def _inside(found: Contributor) -> str:
    """Where in a package it lies, where one file did at least half of it."""
    first = next(iter(found.inside), None)
    return f"mostly in {first.name}" if first is not None and abs(first.delta) * 2 >= abs(found.delta) else ""


def _of(cause: Cause) -> str:
    return f" of {cause.stage}" if not is_unnamed(cause.stage) else ""


def _an(command: str) -> str:
    return f"an {command}" if command[:1] in "AE" else f"a {command}"


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
