"""What counts as the same content: from which size on, how much is read for it, and whose it is."""

from __future__ import annotations

import hashlib

import pytest

from ci_budget.core.inventory import same_content
from ci_budget.core.inventory.same_content import SameContents, find_same_content
from ci_budget.core.layers.model import Entry, Kind

LEAST = 2**20


def found(files: dict[str, tuple[int, str]], read: list[str] | None = None) -> SameContents:
    """Of files by path: bytes, and a word for what is in them."""

    def digest(_layer: int, path: str, sampled: bool) -> str:
        if read is not None and not sampled:
            read.append(path)
        return files[path][1]

    visible = [(Entry(path, Kind.FILE, size), 0) for path, (size, _) in files.items()]
    return find_same_content(visible, digest, {})


def told(files: dict[str, tuple[int, str]]) -> list[tuple[int, int, list[str]]]:
    return [(one.size, one.files, one.paths) for one in found(files).groups]


def test_files_from_one_mib_on_largest_first() -> None:
    assert told({"a": (LEAST - 1, "x"), "b": (LEAST - 1, "x"), "q/c": (LEAST, "y"), "d": (LEAST, "y")}) == [
        (LEAST, 1, ["d", "q/c"])
    ]
    large, larger = {"a": (LEAST, "x"), "b": (LEAST, "x")}, {"c": (LEAST + 9, "y"), "d": (LEAST + 9, "y")}
    assert told({**large, **larger, "e": (LEAST, "z")}) == [
        (LEAST + 9, 1, ["c", "d"]), (LEAST, 1, ["a", "b"]),
    ]  # fmt: skip


def test_no_more_than_fifty_paths_of_a_group() -> None:
    (group,) = told({f"f{number:02}": (LEAST, "x") for number in range(60)})
    assert group[2] == [f"f{number:02}" for number in range(50)]


def test_what_is_too_much_to_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {name: (LEAST + 4 * at, str(at)) for at in range(3) for name in (f"a{at}", f"b{at}")}
    read: list[str] = []
    monkeypatch.setattr(same_content, "MOST_READ", 2 * (LEAST + 8) + 2 * LEAST)
    same = found(files, read)
    assert ([one.size for one in same.groups], same.unread, sorted(read)) == (
        [LEAST + 8, LEAST], 2 * (LEAST + 4), ["a0", "a2", "b0", "b2"],
    )  # fmt: skip


def pair(count: int, size: int, *, first: str = "a", other: str = "b") -> dict[str, tuple[int, str]]:
    """Two folders of the same small files."""
    return {f"{folder}/in/f{at}": (size, str(at)) for folder in (first, other) for at in range(count)}


class TestFolders:
    """Of small files, 1 MiB or more together."""

    def test_as_small_as_is_told(self) -> None:
        assert told(pair(4, LEAST // 4)) == [(LEAST, 4, ["a/in/", "b/in/"])]
        assert told(pair(4, LEAST // 4 - 1)) == []

    def test_one_whose_content_differs_is_left_out(self) -> None:
        files = pair(5, LEAST // 4)
        files["b/in/f2"] = (LEAST // 4, "other")
        assert told(files) == [(LEAST, 4, ["a/in/", "b/in/"])]
        files["b/in/f3"] = (LEAST // 4, "other")
        assert told(files) == []

    def test_their_hash_is_that_of_names_and_contents(self) -> None:
        (group,) = found(pair(2, LEAST // 2)).groups
        assert group.sha256 == hashlib.sha256(b"0 in/f0\n1 in/f1\n").hexdigest()

    def test_empty_files_and_names_that_many_have_tell_nothing(self) -> None:
        assert told(pair(9, 0)) == []
        many = {f"d{at:02}/same": (LEAST // 2, "x") for at in range(21)}
        assert told(many) == []
        assert told(dict(list(many.items())[:20])) == []

    def test_the_largest_first_and_as_long_as_there_is_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        files = pair(4, LEAST // 4) | pair(4, LEAST // 2, first="c", other="d")
        assert [paths for _, _, paths in told(files)] == [["c/in/", "d/in/"], ["a/in/", "b/in/"]]
        monkeypatch.setattr(same_content, "MOST_SMALL", 8)
        same = found(files)
        assert ([one.paths for one in same.groups], same.unread) == ([["c/in/", "d/in/"]], 2 * LEAST)

    def test_at_the_root(self) -> None:
        files = {f"{start}f{at}": (LEAST // 2, str(at)) for start in ("", "z/") for at in range(2)}
        assert told(files) == [(LEAST, 2, ["/", "z/"])]


def test_no_more_than_a_thousand_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(same_content, "_MOST_GROUPS", 2)
    files = {name: (LEAST + at, str(at)) for at in range(3) for name in (f"a{at}", f"b{at}")}
    assert [size for size, _, _ in told(files)] == [LEAST + 2, LEAST + 1]
