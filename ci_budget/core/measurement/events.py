"""BuildKit's progress events (`--progress=rawjson`): NDJSON on standard error, mixed with plain lines.

A vertex (one step of the build graph) comes again and again with new fields; records are merged by
digest. Format: SolveStatus of github.com/moby/buildkit/client, as printed by buildx >= 0.13.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

MAX_LINE = 4 * 2**20
_NUMBERED = re.compile(r"^\[[^\]]*\d+/\d+\] ")
_NO_SPACE = re.compile(
    r"no space left on device|ENOSPC|disk quota exceeded|not enough (?:free )?(?:disk )?space|insufficient disk space"
    r"|don't have enough free space|No space left",
    re.IGNORECASE,
)


@dataclass(kw_only=True)
class Vertex:
    """One node of the build graph. Times are the engine's wall clock in seconds since the epoch."""

    digest: str
    name: str = ""
    inputs: tuple[str, ...] = ()
    started: float | None = None
    completed: float | None = None
    cached: bool = False
    error: str = ""

    @property
    def is_step(self) -> bool:
        """True for an instruction of the Dockerfile (`[stage 2/5] RUN ...`), false for internal work."""
        return _NUMBERED.match(self.name) is not None

    @property
    def loads_context(self) -> bool:
        """True for the transfer of a local context into the engine."""
        return "load build context" in self.name or self.name.startswith("[context ")


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """Text that a step printed."""

    vertex: str
    text: str


@dataclass(frozen=True, kw_only=True)
class VertexChange:
    """A vertex that started or ended with this event; `vertex` is its merged state."""

    vertex: Vertex
    kind: str  # "started" or "completed"


@dataclass(kw_only=True)
class BuildEvents:
    """The merged state of one build's progress, fed line by line."""

    vertexes: dict[str, Vertex] = field(default_factory=dict)
    plain: list[str] = field(default_factory=list)
    lacked_space: set[str] = field(default_factory=set)
    _partial: dict[str, bytes] = field(default_factory=dict)

    def feed(self, line: bytes) -> Iterator[VertexChange | LogLine]:
        """Take in one line; yields what it changed. A line that is no event is kept in `plain` (the last 200)."""
        record = _decode(line)
        if record is None:
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                self.plain.append(text[:2000])
                del self.plain[:-200]
            return
        for item in _records(record, "vertexes"):
            yield from self._merge(item)
        for item in _records(record, "logs"):
            yield from self._log(item)

    def finish(self) -> Iterator[LogLine]:
        """The unfinished last lines of the steps' logs."""
        for digest, rest in self._partial.items():
            if rest:
                yield self._line(digest, rest)
        self._partial.clear()

    def _merge(self, item: dict[str, Any]) -> Iterator[VertexChange]:
        digest = str(item.get("digest", ""))
        vertex = self.vertexes.setdefault(digest, Vertex(digest=digest))
        vertex.name = str(item.get("name") or vertex.name)
        inputs = item.get("inputs")
        if isinstance(inputs, list):
            vertex.inputs = tuple(str(one) for one in inputs)
        vertex.cached = vertex.cached or item.get("cached") is True
        vertex.error = str(item.get("error") or vertex.error)
        started, completed = _time(item.get("started")), _time(item.get("completed"))
        if started is not None and vertex.started is None:
            vertex.started = started
            yield VertexChange(vertex=vertex, kind="started")
        if completed is not None and vertex.completed is None:
            vertex.completed = completed
            yield VertexChange(vertex=vertex, kind="completed")

    def _log(self, item: dict[str, Any]) -> Iterator[LogLine]:
        digest, text = str(item.get("vertex", "")), item.get("data")
        if not isinstance(text, str):
            return
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return
        data = self._partial.pop(digest, b"") + data
        *lines, rest = data.replace(b"\r\n", b"\n").split(b"\n")
        if len(rest) > 65536:
            lines.append(rest)
            rest = b""
        if rest:
            self._partial[digest] = rest
        for line in lines:
            yield self._line(digest, line)

    def _line(self, digest: str, line: bytes) -> LogLine:
        text = line.decode("utf-8", "replace").rsplit("\r", 1)[-1]
        if _NO_SPACE.search(text):
            self.lacked_space.add(digest)
        return LogLine(vertex=digest, text=text)

    def failed(self) -> Vertex | None:
        """The step that failed; a cancelled neighbour only when nothing else did."""
        broken = [vertex for vertex in self.vertexes.values() if vertex.error]
        broken.sort(key=lambda vertex: ("context canceled" in vertex.error, not vertex.is_step, vertex.completed or 0))
        return broken[0] if broken else None

    def says_no_space(self, vertex: Vertex | None) -> bool:
        """Whether the log or the error of `vertex` (of any, for None) says that space was lacking."""
        if vertex is None:
            texts = [item.error for item in self.vertexes.values()] + self.plain
            return bool(self.lacked_space) or any(_NO_SPACE.search(text) for text in texts)
        return vertex.digest in self.lacked_space or _NO_SPACE.search(vertex.error) is not None


def _decode(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(b"{") or len(line) > MAX_LINE:
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(record, dict) and record.keys() & {"vertexes", "statuses", "logs", "warnings"}:
        return record
    return None


def _records(record: dict[str, Any], key: str) -> list[dict[str, Any]]:
    items = record.get(key)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _time(text: object) -> float | None:
    """Go's RFC 3339 with nanoseconds, which Python reads up to microseconds."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text)).timestamp()
    except ValueError:
        return None
