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


class Record(Protocol):
    """A record of the build cache; `created` in Unix seconds of the engine's clock."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def created(self) -> float: ...


@dataclass(kw_only=True)
class StepTrace:
    """A step that the engine began for us: its name, and when it ran, in Unix seconds of the engine's clock."""

    name: str
    started: float
    completed: float = inf


def own_records(fresh: Sequence[Record], steps: Iterable[StepTrace]) -> list[str]:
    """The ids of those of the records that came during our build that `steps` made.

    Where each record that names a step names one of ours, nobody else built, and all are ours: copies of the context,
    bases and cache mounts too, which name no step. Otherwise ours are those that name one of our steps and were created
    while it ran; whose the rest is, nobody can tell, and it stays.
    """
    known = list(steps)
    if not known:
        return []
    named = [record for record in fresh if _names_a_step(record)]
    ours = [record for record in named if any(_made(step, record) for step in known)]
    return [record.id for record in (fresh if len(ours) == len(named) else ours)]


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
