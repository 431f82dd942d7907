"""Which part of a context the sources of COPY, ADD and bind mounts stand for.

The table holds on a real engine too (tests/engine/test_context_engine.py).
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ci_budget.core.context.ignore import IgnoreRules
from ci_budget.core.context.measured import ContextMeasure, Unreferenced, list_unreferenced, referenced_size
from ci_budget.core.context.sources import follow_links, select_sources
from ci_budget.core.stages.plan import ContextSource
from ci_budget.edges.files.context_files import measure_context
from ci_budget.errors import ConfigError
from tests.context_table import FILES, TABLE, Row, write_tree


@pytest.fixture
def measure(tmp_path: Path) -> ContextMeasure:
    write_tree(tmp_path)
    return measure_context(tmp_path, IgnoreRules())


def source(
    text: str, excludes: tuple[str, ...] = (), *, parents: bool = False, unresolved: bool = False
) -> ContextSource:
    return ContextSource(
        command="COPY",
        path=text.removeprefix("/") or ".",
        text=text,
        excludes=excludes,
        parents=parents,
        stage="runtime",
        stage_index=1,
        line=7,
        unresolved=("A",) if unresolved else (),
    )


def names(measure: ContextMeasure, sources: list[str | ContextSource]) -> set[str]:
    selection = select_sources(measure, sources)
    return {path.rpartition("/")[2] for path, _ in measure.listing() if selection.has(path)}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.words)
def test_takes_what_copy_takes(row: Row, measure: ContextMeasure) -> None:
    sources: list[str | ContextSource] = [source(text, row.excludes) for text in row.sources]
    assert names(measure, sources) == set(row.names.split())
    if not row.excludes:
        assert names(measure, list(row.sources)) == set(row.names.split())
    assert referenced_size(measure, sources) == sum(map(len, row.names.split()))


@pytest.mark.parametrize(
    ("text", "excludes", "expected"),
    [
        ("a/b/four.txt", (), "four.txt"),
        ("a/*/c", (), "five.md"),
        ("**/*.md", (), "two.md five.md"),
        ("a/./**/*.md", (), "five.md"),
        ("a/./b", (), "four.txt five.md"),
        ("./a/b/", (), "four.txt five.md"),
        ("./a", ("**/*.txt",), "five.md"),
        ("a/./b", ("b/c",), "four.txt"),
        ("folder/./c", (), "five.md"),
        (".", (), " ".join(Path(path).name for path in FILES)),
    ],
)
def test_parents_takes_ignore_patterns(
    text: str, excludes: tuple[str, ...], expected: str, measure: ContextMeasure
) -> None:
    assert names(measure, [source(text, excludes, parents=True)]) == set(expected.split())


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/one.txt",
        "http://example.com/a",
        "https://example.com/a.git#main",
        "git@example.com:a/b.git",
        "git://example.com/a",
        "ssh://git@example.com/a",
        "<<EOF",
    ],
)
def test_what_lies_elsewhere_takes_nothing(text: str, measure: ContextMeasure) -> None:
    assert referenced_size(measure, [text, source(text)]) == 0


def test_an_unresolved_variable_may_be_anything(measure: ContextMeasure) -> None:
    assert referenced_size(measure, [source("$A", unresolved=True)]) == measure.size


def test_no_sources(measure: ContextMeasure) -> None:
    assert referenced_size(measure, []) == 0
    assert sum(entry.size for entry in list_unreferenced(measure, [])) == measure.size


def test_lists_what_is_sent_for_nothing(measure: ContextMeasure) -> None:
    assert list_unreferenced(measure, ["a/b", "*.md", "e"]) == (
        Unreferenced(directory="a", files=1, size=9),
        Unreferenced(directory="d[1]", files=1, size=9),
        Unreferenced(directory=".", files=1, size=7),
        Unreferenced(directory="ab", files=1, size=7),
    )


def test_hard_links_count_once_and_are_used_together(tmp_path: Path) -> None:
    for folder in "abc":
        (tmp_path / folder).mkdir()
    (tmp_path / "a/x").write_text("12345")
    (tmp_path / "b/x").hardlink_to(tmp_path / "a/x")
    (tmp_path / "c/y").write_text("1")
    measure = measure_context(tmp_path, IgnoreRules())
    assert referenced_size(measure, ["b"]) == 5
    assert referenced_size(measure, ["a", "b"]) == 5
    assert list_unreferenced(measure, ["b"]) == (Unreferenced(directory="c", files=1, size=1),)
    assert list_unreferenced(measure, ["c"]) == (
        Unreferenced(directory="a", files=1, size=5),
        Unreferenced(directory="b", files=1, size=0),
    )


@pytest.mark.parametrize("seed", range(20))
def test_used_and_unused_add_up(seed: int, tmp_path: Path) -> None:
    random_ = random.Random(seed)
    paths: list[str] = []
    for number in range(30):
        path = "/".join([*random_.choices("abc", k=random_.randint(0, 2)), f"f{number}"])
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        if paths and random_.random() < 0.3:
            (tmp_path / path).hardlink_to(tmp_path / random_.choice(paths))
        else:
            (tmp_path / path).write_bytes(b"x" * random_.randint(0, 99))
        paths.append(path)
    measure = measure_context(tmp_path, IgnoreRules())
    sources = random_.choices([*paths, "a", "b", "a/*", "*", "[bc]/a", "**/f1?"], k=3)
    unused = list_unreferenced(measure, sources)
    assert referenced_size(measure, sources) + sum(entry.size for entry in unused) == measure.size


def test_a_bad_exclude_pattern_is_an_error(measure: ContextMeasure) -> None:
    with pytest.raises(ConfigError) as caught:
        referenced_size(measure, [source("a", ("[",))])
    assert caught.value.line == 7


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("a/b", "a/b"),
        ("link/x", "d/x"),
        ("link/../x", "x"),
        ("up/x", "x"),
        ("abs", "d/e"),
        ("chain/x", "d/x"),
        ("loop/x", None),
        ("d/in", "d/e/f"),
    ],
)
def test_follows_links_inside_the_context(path: str, resolved: str | None) -> None:
    links = {"link": "d", "up": "../../..", "abs": "/d/e", "chain": "./link", "loop": "loop", "d/in": "e/./f"}
    assert follow_links(links, path) == resolved
