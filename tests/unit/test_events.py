"""BuildKit's progress as it comes over the wire: in pieces, repeated, mixed with plain lines, or broken."""

from __future__ import annotations

import base64
import json
import os
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_budget.core.measurement.events import MAX_LINE, BuildEvents, LogLine, Vertex, VertexChange

EXAMPLES = int(os.environ.get("CI_BUDGET_PROPERTY_EXAMPLES", "100"))
T0 = "2026-03-01T10:00:00.123456789Z"
T1 = "2026-03-01T10:00:01.5Z"
EPOCH = 1772359200.0  # 2026-03-01T10:00:00Z


def line(**record: Any) -> bytes:
    """One line of `--progress=rawjson`."""
    return json.dumps(record).encode() + b"\n"


def log(digest: str, data: bytes) -> bytes:
    """A line that carries a piece of a step's log."""
    return line(logs=[{"vertex": digest, "stream": 1, "data": base64.b64encode(data).decode(), "timestamp": T0}])


def feed(events: BuildEvents, *lines: bytes) -> list[tuple[str, str]]:
    """What the lines changed: (started or completed, step) and (log, text)."""
    found = []
    for one in lines:
        for change in events.feed(one):
            if isinstance(change, LogLine):
                found.append(("log", change.text))
            else:
                found.append((change.kind, change.vertex.name))
    return found


class TestVertexes:
    """A step comes again and again with new fields."""

    def test_records_are_merged_by_digest(self) -> None:
        events = BuildEvents()
        changes = feed(
            events,
            line(vertexes=[{"digest": "sha256:a", "name": "[app 2/3] RUN make", "inputs": ["sha256:0"]}]),
            line(vertexes=[{"digest": "sha256:a", "name": "[app 2/3] RUN make", "started": T0}]),
            line(vertexes=[{"digest": "sha256:a", "name": "[app 2/3] RUN make", "started": T0}]),
            line(vertexes=[{"digest": "sha256:a", "started": T0, "completed": T1, "cached": True}]),
        )
        assert changes == [("started", "[app 2/3] RUN make"), ("completed", "[app 2/3] RUN make")]
        assert events.vertexes == {
            "sha256:a": Vertex(
                digest="sha256:a",
                name="[app 2/3] RUN make",
                inputs=("sha256:0",),
                started=pytest.approx(EPOCH + 0.123456),
                completed=EPOCH + 1.5,
                cached=True,
            )
        }

    def test_one_that_starts_and_ends_at_once_does_both(self) -> None:
        events = BuildEvents()
        assert feed(events, line(vertexes=[{"digest": "d", "name": "n", "started": T0, "completed": T0}])) == [
            ("started", "n"),
            ("completed", "n"),
        ]

    def test_what_was_cached_or_failed_stays_so(self) -> None:
        events = BuildEvents()
        feed(
            events,
            line(vertexes=[{"digest": "d", "cached": True, "error": "exit code: 1"}]),
            line(vertexes=[{"digest": "d", "cached": False, "error": ""}]),
        )
        assert (events.vertexes["d"].cached, events.vertexes["d"].error) == (True, "exit code: 1")

    @pytest.mark.parametrize(
        ("name", "step", "context"),
        [
            ("[1/2] FROM docker.io/library/python:3.11", True, False),
            ("[builder 12/12] RUN make", True, False),
            ("[stage-1 2/3] COPY . .", True, False),
            ("[internal] load build context", False, True),
            ("[app internal] load build context", False, True),
            ("[context models] load from client", False, True),
            ("[internal] load metadata for docker.io/library/python:3.11", False, False),
            ("exporting to image", False, False),
            ("RUN echo [1/2] no step", False, False),
            ("", False, False),
        ],
    )
    def test_which_names_are_steps(self, name: str, step: bool, context: bool) -> None:
        vertex = Vertex(digest="d", name=name)
        assert (vertex.is_step, vertex.loads_context) == (step, context)

    @pytest.mark.parametrize("time", [None, 5, "", "soon", "2026-13-45T99:00:00Z", ["2026"]])
    def test_a_time_that_is_none_starts_nothing(self, time: object) -> None:
        events = BuildEvents()
        assert feed(events, line(vertexes=[{"digest": "d", "started": time}])) == []
        assert events.vertexes["d"].started is None


class TestLogs:
    """Logs come in pieces that know nothing of lines."""

    def test_a_line_split_over_events_is_one_line(self) -> None:
        events = BuildEvents()
        changes = feed(events, log("d", b"first li"), log("d", b"ne\nsecond\nth"), log("d", b"ird\n"))
        assert changes == [("log", "first line"), ("log", "second"), ("log", "third")]

    def test_a_character_split_over_events_is_one_character(self) -> None:
        text = "naïve ☃\n".encode()
        events = BuildEvents()
        changes = feed(events, *(log("d", text[index : index + 1]) for index in range(len(text))))
        assert changes == [("log", "naïve ☃")]

    def test_steps_do_not_mix(self) -> None:
        events = BuildEvents()
        changes = feed(events, log("a", b"one"), log("b", b"two\n"), log("a", b" more\n"))
        assert changes == [("log", "two"), ("log", "one more")]

    def test_of_a_progress_bar_the_last_state_counts(self) -> None:
        events = BuildEvents()
        assert feed(events, log("d", b"10%\r50%\r100%\n"), log("d", b"windows\r\n")) == [
            ("log", "100%"),
            ("log", "windows"),
        ]

    def test_a_line_end_split_between_its_two_characters(self) -> None:
        assert feed(BuildEvents(), log("d", b"text\r"), log("d", b"\nnext\n")) == [("log", "text"), ("log", "next")]

    def test_the_unfinished_last_line_comes_at_the_end(self) -> None:
        events = BuildEvents()
        feed(events, log("a", b"whole\nrest"), log("b", b"other\n"))
        assert list(events.finish()) == [LogLine(vertex="a", text="rest")]
        assert list(events.finish()) == []

    def test_an_endless_line_is_cut(self) -> None:
        events = BuildEvents()
        changes = feed(events, *(log("d", b"x" * 30_000) for _ in range(5)))
        assert [len(text) for _, text in changes] == [90_000]
        assert [len(found.text) for found in events.finish()] == [60_000]

    def test_bytes_that_are_no_text_are_replaced(self) -> None:
        assert feed(BuildEvents(), log("d", b"\xff\xfe\n")) == [("log", "\ufffd\ufffd")]

    @pytest.mark.parametrize("data", ["no base64!", "YQ", None, 7, {"a": 1}])
    def test_data_that_is_no_base64_is_left_out(self, data: object) -> None:
        events = BuildEvents()
        assert feed(events, line(logs=[{"vertex": "d", "data": data}]), log("d", b"fine\n")) == [("log", "fine")]


class TestSpace:
    """Whether a step said that space was lacking."""

    @pytest.mark.parametrize(
        "text",
        [
            "dd: error writing '/x': No space left on device",
            "OSError: [Errno 28] ENOSPC",
            "E: You don't have enough free space in /var/cache/apt/archives/.",
            "error: not enough space",
            "not enough free disk space to unpack",
            "Disk quota exceeded",
            "Insufficient disk space",
        ],
    )
    def test_said_by_a_log(self, text: str) -> None:
        events = BuildEvents()
        feed(events, line(vertexes=[{"digest": "d", "name": "n"}]), log("d", text.encode() + b"\n"))
        assert events.says_no_space(events.vertexes["d"])
        assert events.says_no_space(None)
        assert not events.says_no_space(Vertex(digest="other"))

    def test_said_in_a_line_split_over_events(self) -> None:
        events = BuildEvents()
        feed(events, log("d", b"cp: no space left"), log("d", b" on device"))
        assert not events.says_no_space(None)
        list(events.finish())
        assert events.says_no_space(Vertex(digest="d"))

    def test_said_by_an_error_or_a_plain_line(self) -> None:
        failed = BuildEvents()
        feed(failed, line(vertexes=[{"digest": "d", "error": "write /a: no space left on device"}]))
        plain = BuildEvents()
        feed(plain, b"ERROR: failed to copy: no space left on device\n")
        assert failed.says_no_space(failed.vertexes["d"])
        assert plain.says_no_space(None)
        assert not plain.says_no_space(Vertex(digest="d"))

    @pytest.mark.parametrize("text", ["spaceship", "left no device", "a space left"])
    def test_not_said(self, text: str) -> None:
        events = BuildEvents()
        feed(events, log("d", text.encode() + b"\n"))
        assert not events.says_no_space(None)


class TestFailed:
    """Which step failed."""

    def test_the_one_with_an_error_of_its_own(self) -> None:
        events = BuildEvents()
        feed(
            events,
            line(
                vertexes=[
                    {"digest": "a", "name": "[app 2/3] RUN a", "error": "context canceled", "completed": T0},
                    {"digest": "b", "name": "exporting", "error": "exit code: 1", "completed": T0},
                    {"digest": "c", "name": "[app 3/3] RUN c", "error": "exit code: 2", "completed": T1},
                    {"digest": "d", "name": "[app 1/3] FROM x"},
                ]
            ),
        )
        failed = events.failed()
        assert failed is not None and failed.digest == "c"

    def test_a_cancelled_one_where_there_is_no_other(self) -> None:
        events = BuildEvents()
        feed(events, line(vertexes=[{"digest": "a", "name": "[1/1] RUN a", "error": "context canceled"}]))
        failed = events.failed()
        assert failed is not None and failed.digest == "a"
        assert BuildEvents().failed() is None


class TestPlain:
    """What is no event is kept as text."""

    @pytest.mark.parametrize(
        "text",
        [
            "ERROR: failed to solve: exit code: 1",
            '{"level": "warn"}',
            '{"vertexes": [',
            "[1, 2]",
            "null",
            '{"a": ' * 5000,
        ],
        ids=["text", "other-json", "cut-off", "a-list", "null", "deep"],
    )
    def test_anything_else(self, text: str) -> None:
        events = BuildEvents()
        assert feed(events, text.encode() + b"\r\n") == []
        assert events.plain == [text[:2000]]

    def test_empty_lines_are_nothing(self) -> None:
        events = BuildEvents()
        assert feed(events, b"\n", b"  \n", b"") == []
        assert events.plain == []

    def test_only_the_last_200_are_kept(self) -> None:
        events = BuildEvents()
        feed(events, *(f"line {number}\n".encode() for number in range(1000)))
        assert (len(events.plain), events.plain[0], events.plain[-1]) == (200, "line 800", "line 999")

    def test_an_event_beyond_all_measure_is_not_parsed(self) -> None:
        events = BuildEvents()
        huge = line(vertexes=[{"digest": "d", "name": "x" * MAX_LINE}])
        assert feed(events, huge) == []
        assert events.vertexes == {}
        assert [len(text) for text in events.plain] == [2000]

    @pytest.mark.parametrize(
        "record",
        [
            {"vertexes": None},
            {"vertexes": {"digest": "d"}},
            {"vertexes": ["d", 7, None]},
            {"logs": "text"},
            {"statuses": [{"id": "x", "current": 5}]},
            {"warnings": [{}]},
        ],
    )
    def test_fields_of_another_shape_change_nothing(self, record: dict[str, Any]) -> None:
        events = BuildEvents()
        assert feed(events, line(**record)) == []
        assert (events.vertexes, events.plain) == ({}, [])


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8), st.just(T0), st.just(T1)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
keys = st.sampled_from(
    ("digest", "name", "inputs", "started", "completed", "cached", "error", "vertex", "data", "vertexes", "logs")
)
items = st.lists(st.dictionaries(keys, values, max_size=6) | values, max_size=4)
records = st.fixed_dictionaries({}, optional={"vertexes": items | values, "logs": items | values, "statuses": values})


@settings(max_examples=EXAMPLES, deadline=None)
@given(lines=st.lists(records.map(lambda record: json.dumps(record).encode()) | st.binary(max_size=60), max_size=12))
def test_whatever_comes_is_taken_in(lines: list[bytes]) -> None:
    """No line raises, nothing grows without bound, and each step starts and ends at most once."""
    events = BuildEvents()
    seen: list[tuple[str, str]] = []
    for one in lines:
        for change in events.feed(one):
            if isinstance(change, VertexChange):
                seen.append((change.vertex.digest, change.kind))
    list(events.finish())
    assert len(seen) == len(set(seen))
    assert len(events.plain) <= 200
    events.failed()
    events.says_no_space(None)


@settings(max_examples=EXAMPLES, deadline=None)
@given(text=st.text(alphabet="ab\n☃é ", max_size=60), cuts=st.lists(st.integers(0, 200), max_size=12))
def test_however_a_log_is_cut_its_lines_are_the_same(text: str, cuts: list[int]) -> None:
    data = text.encode()
    borders = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    events = BuildEvents()
    pieces = [log("d", data[start:end]) for start, end in pairwise(borders)]
    found = [shown for _, shown in feed(events, *pieces)] + [last.text for last in events.finish()]
    assert found == text.removesuffix("\n").split("\n") if text else found == []
