"""Which records of an engine's build cache our build made, where others may build on the same engine meanwhile."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

_SLACK = 1.0  # seconds between a step's event and its record
_EXEC = " from exec "
_FLAGS = re.compile(r"(?:--\S+\s+)*")
_MARKS = re.compile(r"[\W_]+")
_LOAD = re.compile(
    r"\[internal\] load (?:(?P<dockerfile>build definition)|build context|\.dockerignore)"
    r"|\[context (?P<name>.+)\] load (?:from client|\.dockerignore)"
)


class Record(Protocol):
    """A record of the build cache; `created` and `last_used` (0: not yet) in Unix seconds of the engine's clock."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def last_used(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class StepTrace:
    """A step that the engine began for us, or a transfer into it: its name, and when it ran, in Unix seconds of the
    engine's clock; of a transfer, when its record came."""

    name: str
    started: float
    completed: float = inf


def own_records(fresh: Sequence[Record], steps: Iterable[StepTrace], *, old: Sequence[Record] = ()) -> list[str]:
    """The ids of those of the records that came during our build that `steps` made; `old`: those that were there.

    Where each record that names a step names one of ours, nobody else built, and all are ours: copies of the context,
    bases and cache mounts too, which name no step. Otherwise ours are those that name one of our steps and were created
    while it ran, and what we surely transferred; whose the rest is, nobody can tell, and it stays.
    """
    known = list(steps)
    if not known:
        return []
    named = [record for record in fresh if _names_a_step(record)]
    ours = [record for record in named if any(_made(step, record) for step in known)]
    if len(ours) == len(named):
        return [record.id for record in fresh]
    return [record.id for record in (*ours, *_transferred(fresh, known, old))]


def loads(name: str) -> str | None:
    """How a record names what the vertex of this name transfers from the client; None where it transfers nothing."""
    found = _LOAD.match(name)
    if found is None:
        return None
    return f"local source for {found['name'] or ('dockerfile' if found['dockerfile'] else 'context')}"


def _transferred(fresh: Sequence[Record], steps: Sequence[StepTrace], old: Sequence[Record]) -> list[Record]:
    """What we surely transferred: records that came when we did it, as many as we transferred, where no older one was
    used since, which spares a transfer."""
    ours = []
    for description in {loads(step.name) for step in steps} - {None}:
        transfers = [step for step in steps if loads(step.name) == description]
        begun = min(step.started for step in transfers)
        if any(record.description == description and record.last_used >= begun for record in old):
            continue
        came = [
            record
            for record in fresh
            if record.description == description
            and any(step.started <= record.created <= step.completed for step in transfers)
        ]
        ours += came if len(came) == len(transfers) else []
    return ours


def _names_a_step(record: Record) -> bool:
    return record.kind == "regular" and (record.description.startswith("[") or _EXEC in record.description)


def _made(step: StepTrace, record: Record) -> bool:
    if not step.started - _SLACK <= record.created <= step.completed + _SLACK:
        return False
    if record.description == step.name:
        return True
    _, is_exec, command = record.description.partition(_EXEC)
    _, is_run, instruction = step.name.partition("] RUN ")
    if not (is_exec and is_run):
        return False
    # The engine tells words where the Dockerfile may have a JSON list; of a heredoc the step's name has only the start.
    wanted = _MARKS.sub("", _FLAGS.sub("", instruction, count=1))
    return "<<" in instruction or _MARKS.sub("", command).endswith(wanted)
