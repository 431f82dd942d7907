"""What a host-mode run makes on the runner's engine and takes away again: names, smoke tests, a cold build's cache.

What was there before, and the steps that were begun, stand in a file of the state directory, so that the next run can
do it for a killed one. That file's time stamp goes on as long as its run lives: what the engine made later is somebody
else's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from math import inf
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ci_budget.core.measurement.own_records import StepTrace, own_records
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.files.whole_file import replace_file
from ci_budget.edges.sandbox.privileged_container import OWNER
from ci_budget.edges.signals import shielded
from ci_budget.edges.sites.host_turns import host_turns_halted
from ci_budget.edges.sites.step_traces import StepTraces
from ci_budget.errors import UnmeasuredError

LABEL = "ci-budget"
OWN_IMAGE = "sandbox"
"""The label's value on the tool's own image, which whoever runs a container of it inherits."""
_NAMES = "ci-budget.local/image*"
_BEAT = 1.0  # seconds
_LOOK = 0.1  # seconds after which a step that was begun stands in the file
_LATE = 2.0  # seconds that the engine may go on after the run that it built for was killed
_PATIENCE = 10.0  # seconds for the engine to end that build
_SHORT_PATIENCE = 2.0  # seconds for it to end one that was cancelled, and whose client is gone
_LARGEST = 64 * 2**20


class _Step(BaseModel):
    """As a StepTrace."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    started: float
    completed: float | None


class _Before(BaseModel):
    """The cache records that were there, and the steps that were begun since; `cold`: what they made goes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    records: list[str]
    steps: list[_Step] = []
    cold: bool


@contextlib.contextmanager
def traces_removed(
    engine: DockerEngine, names: Sequence[str], *, traces: StepTraces, root: Path | None, cold: bool
) -> Iterator[None]:
    """After the block: `names` off their images and, of a cold build, the cache records that its `traces` tell of.

    `root`: the state directory, in which it is written down for the next run; None where others may use this engine
    at the same time.
    """
    before = _Before(records=[record.id for record in engine.cache_records()], cold=cold)
    file = _file(root, engine) if root is not None else None
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        _write(file, before)
    try:
        with _kept_up_to_date(file, before, traces):
            yield
    except BaseException:
        with shielded(), contextlib.suppress(UnmeasuredError):  # what is told is what ended the block
            _remove(engine, names, before, file, traces.all(), patience=_SHORT_PATIENCE)
        raise
    with shielded():
        _remove(engine, names, before, file, traces.all(), patience=_SHORT_PATIENCE)


def mend_host(root: Path, engine: DockerEngine) -> bool:
    """Do it for a run that was killed; False where there is none, or somebody measures on this engine now."""
    file = _file(root, engine)
    if not file.exists():
        return False
    with host_turns_halted(engine) as halted:
        if not halted:
            return False
        for draft in file.parent.glob(f"{file.name}*.tmp"):
            draft.unlink(missing_ok=True)
        try:
            if file.stat().st_size > _LARGEST:
                raise ValueError("too large")
            before, until = _Before.model_validate_json(file.read_bytes()), file.stat().st_mtime + _LATE
        except FileNotFoundError:
            return False
        except (OSError, ValueError, ValidationError):  # it says nothing: only what bears our name can be known
            before, until = _Before(records=[], cold=False), 0.0
        owned = {ident for ident, _ in engine.container_labels(OWNER)}
        for ident, value in engine.container_labels(LABEL):
            if ident not in owned and value != OWN_IMAGE:
                engine.remove_container(ident)
        steps = [
            StepTrace(name=one.name, started=one.started, completed=until if one.completed is None else one.completed)
            for one in before.steps
        ]
        _remove(engine, engine.image_names(_NAMES), before, file, steps, patience=_PATIENCE)
    return True


def _remove(
    engine: DockerEngine,
    names: Sequence[str],
    before: _Before,
    file: Path | None,
    steps: Sequence[StepTrace],
    *,
    patience: float,
) -> None:
    """What is in use after `patience` seconds stays. Raises UnmeasuredError, and keeps the file, where the engine does
    not answer."""
    for name in names:
        engine.remove_image(name)
    deadline = time.monotonic() + patience
    while before.cold and (made := _made(engine, before, steps)):
        engine.drop_cache_records(made)
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    if file is not None:
        file.unlink(missing_ok=True)


def _made(engine: DockerEngine, before: _Before, steps: Sequence[StepTrace]) -> Sequence[str]:
    """The cache records that our steps made since `before`."""
    there, records = set(before.records), engine.cache_records()
    old, fresh = ([record for record in records if (record.id in there) == known] for known in (True, False))
    return own_records(fresh, steps, old=old)


@contextlib.contextmanager
def _kept_up_to_date(file: Path | None, before: _Before, traces: StepTraces) -> Iterator[None]:
    """During the block the file's time stamp goes on, and it tells the `traces`."""
    if file is None:
        yield
        return
    stop = threading.Event()

    def beat() -> None:
        told: list[_Step] = []
        touched = time.monotonic()
        while not stop.wait(_LOOK):
            now = [_step(one) for one in traces.all()]
            with contextlib.suppress(OSError):  # the disk is full: then what is told is older
                if now != told:
                    _write(file, before.model_copy(update={"steps": now}))
                    told, touched = now, time.monotonic()
                elif time.monotonic() - touched >= _BEAT:
                    os.utime(file)
                    touched = time.monotonic()

    thread = threading.Thread(target=beat, daemon=True, name="host-traces")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _write(file: Path, before: _Before) -> None:
    replace_file(file, before.model_dump_json().encode(), draft=file.name, mode=0o600)


def _step(trace: StepTrace) -> _Step:
    name = trace.name.encode("utf-8", "replace").decode()
    return _Step(name=name, started=trace.started, completed=trace.completed if trace.completed < inf else None)


def _file(root: Path, engine: DockerEngine) -> Path:
    name = engine.facts().id or engine.docker_host
    return root / "host-runs" / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
