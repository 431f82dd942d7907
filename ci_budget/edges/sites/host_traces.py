"""What a host-mode run makes on the runner's engine and takes away again: names, smoke tests, a cold build's cache.

What was there before stands in a file of the state directory, so that the next run can do it for a killed one. That
file's time stamp goes on as long as its run lives: what the engine made later is somebody else's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ci_budget.core.measurement.own_records import StepTrace, own_records
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.sandbox.privileged_container import OWNER
from ci_budget.edges.signals import shielded
from ci_budget.edges.sites.host_turns import host_turns_halted
from ci_budget.errors import UnmeasuredError

LABEL = "ci-budget"
OWN_IMAGE = "sandbox"
"""The label's value on the tool's own image, which whoever runs a container of it inherits."""
_NAMES = "ci-budget.local/image*"
_BEAT = 1.0  # seconds
_LATE = 2.0  # seconds that the engine may go on after the run that it built for was killed
_PATIENCE = 10.0  # seconds for the engine to end that build
_LARGEST = 64 * 2**20


class _Before(BaseModel):
    """The cache records that were there, and when the run began, in Unix seconds; `cold`: what it made goes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    records: list[str]
    started: float
    cold: bool


@contextlib.contextmanager
def traces_removed(
    engine: DockerEngine, names: Sequence[str], *, steps: Mapping[str, StepTrace], root: Path | None, cold: bool
) -> Iterator[None]:
    """After the block: `names` off their images and, of a cold build, the cache records that its `steps` made.

    `root`: the state directory, in which it is written down for the next run; None where others may use this engine
    at the same time.
    """
    before = _Before(records=[record.id for record in engine.cache_records()], started=time.time(), cold=cold)
    file = _file(root, engine) if root is not None else None
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(before.model_dump_json(), encoding="ascii")
    with _beating(file):
        try:
            yield
        except BaseException:
            with shielded(), contextlib.suppress(UnmeasuredError):  # what is told is what ended the block
                _remove(engine, names, before, file, steps=steps)
            raise
        with shielded():
            _remove(engine, names, before, file, steps=steps)


def mend_host(root: Path, engine: DockerEngine) -> bool:
    """Do it for a run that was killed; False where there is none, or somebody measures on this engine now."""
    file = _file(root, engine)
    if not file.exists():
        return False
    with host_turns_halted(engine) as halted:
        if not halted:
            return False
        try:
            if file.stat().st_size > _LARGEST:
                raise ValueError("too large")
            before, until = _Before.model_validate_json(file.read_bytes()), file.stat().st_mtime + _LATE
        except FileNotFoundError:
            return False
        except (OSError, ValueError, ValidationError):  # it says nothing: only what bears our name can be known
            before, until = _Before(records=[], started=0.0, cold=False), 0.0
        owned = {ident for ident, _ in engine.container_labels(OWNER)}
        for ident, value in engine.container_labels(LABEL):
            if ident not in owned and value != OWN_IMAGE:
                engine.remove_container(ident)
        _remove(engine, engine.image_names(_NAMES), before, file, until=until)
    return True


def _remove(
    engine: DockerEngine,
    names: Sequence[str],
    before: _Before,
    file: Path | None,
    *,
    steps: Mapping[str, StepTrace] | None = None,
    until: float = float("inf"),
) -> None:
    """Raises UnmeasuredError, and keeps the file, where the engine does not answer."""
    for name in names:
        engine.remove_image(name)
    deadline = time.monotonic() + (_PATIENCE if until < float("inf") else 0.0)
    while before.cold and (made := _made(engine, before, steps, until)):
        engine.drop_cache_records(made)
        if time.monotonic() > deadline:  # what is in use stays
            break
        time.sleep(0.2)
    if file is not None:
        file.unlink(missing_ok=True)


def _made(engine: DockerEngine, before: _Before, steps: Mapping[str, StepTrace] | None, until: float) -> Sequence[str]:
    """The cache records that our steps made since `before`; of a killed run, whose steps are unknown, those `until`."""
    there = set(before.records)
    fresh = [record for record in engine.cache_records() if record.id not in there]
    if steps is not None:
        return own_records(fresh, steps.values())
    return [record.id for record in fresh if before.started <= record.created <= until]


@contextlib.contextmanager
def _beating(file: Path | None) -> Iterator[None]:
    """The file's time stamp goes on during the block."""
    stop = threading.Event()

    def beat() -> None:
        while file is not None and not stop.wait(_BEAT):
            with contextlib.suppress(OSError):  # it is gone: the block is left
                os.utime(file)

    thread = threading.Thread(target=beat, daemon=True, name="host-traces")
    thread.start()
    try:
        yield
    finally:
        stop.set()


def _file(root: Path, engine: DockerEngine) -> Path:
    name = engine.facts().id or engine.docker_host
    return root / "host-runs" / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
