"""Measuring a build context on a real tree."""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ci_budget.core.context.ignore import IgnoreRules
from ci_budget.core.context.measured import ContextMeasure
from ci_budget.edges.files.context_files import find_ignore_file, measure_context, read_ignore_rules
from ci_budget.errors import ConfigError, ExitCode, UnmeasuredError


def write(root: Path, *paths: str) -> None:
    """Write files whose size is the length of their path."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


def measure(root: Path, rules: str = "") -> ContextMeasure:
    return measure_context(root, IgnoreRules.parse(rules.encode()))


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the privilege to read everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Path]:
    """A folder that everybody may look into, whatever the folders above it are."""
    folder = Path("/tmp") / f"context-test-{os.getpid()}-{random.randrange(10**9)}"
    folder.mkdir(mode=0o755)
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder)


def test_counts_what_the_rules_leave(tmp_path: Path) -> None:
    write(tmp_path, "a", "b/cc", "b/d/eee", "f/gg")
    (tmp_path / "empty").mkdir()
    found = measure(tmp_path, "f\n!f/gg\nb/d\n")
    assert dict(found.listing()) == {"a": 1, "b/cc": 4, "f/gg": 4}
    assert (found.size, found.files) == (9, 3)
    assert found.directories == {"b", "empty", "f"}
    assert found.largest == (("b/cc", 4), ("f/gg", 4), ("a", 1))


def test_hard_links_count_once(tmp_path: Path) -> None:
    write(tmp_path, "b/first", "c")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/link").hardlink_to(tmp_path / "b/first")
    found = measure(tmp_path)
    assert dict(found.listing()) == {"a/link": 7, "b/first": 7, "c": 1}
    assert (found.size, found.files) == (8, 3)
    assert found.twins == {"a/link": 0, "b/first": 0}
    assert measure(tmp_path, "a\n").size == 8
    assert measure(tmp_path, "a\nb\n").size == 1


def test_sparse_files_count_in_full(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(3 * 2**30)
    assert measure(tmp_path).size == 3 * 2**30


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "real/file")
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "real/up").symlink_to("../real//file")
    found = measure(tmp_path)
    assert dict(found.listing()) == {"real/file": 9}
    assert found.links == {"folder": "real", "loop": ".", "broken": "nowhere", "real/up": "../real//file"}


def test_sockets_are_empty_files_and_other_special_files_none(tmp_path: Path) -> None:
    write(tmp_path, "a")
    os.mkfifo(tmp_path / "fifo")
    os.mknod(tmp_path / "socket", stat.S_IFSOCK | 0o600)
    found = measure(tmp_path)
    assert dict(found.listing()) == {"a": 1, "socket": 0}
    assert (found.size, found.files) == (1, 2)


def test_a_file_that_arrives_empty_has_no_bytes(tmp_path: Path) -> None:
    """See `IgnoreFolder.empties`; its hard links have none either, as the first one's content is sent."""
    write(tmp_path, "a/b", "c")
    (tmp_path / "x").hardlink_to(tmp_path / "a/b")
    found = measure(tmp_path, "a*\n!a/b\na\n")
    assert dict(found.listing()) == {"a/b": 0, "c": 1, "x": 0}
    assert found.size == 1


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xff\xfe")
    (tmp_path / name).write_text("xx")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / name).write_text("xx")
    assert dict(measure(tmp_path).listing()) == {name: 2, f"d/{name}": 2}
    assert dict(measure(tmp_path, "d/a??\n").listing()) == {name: 2}


def test_an_unreadable_directory_is_named(shared: Path) -> None:
    write(shared, "a", "b/secret/c", "b/d")
    (shared / "b/secret").chmod(0)
    with as_nobody():
        with pytest.raises(UnmeasuredError) as caught:
            measure(shared)
        assert str(caught.value) == (
            "'b/secret' in the build context cannot be read: Permission denied\n"
            "  Make it readable, or name it in the ignore file."
        )
        assert caught.value.exit_code == ExitCode.UNMEASURED
        assert measure(shared, "b/secret\n").files == 2
        assert measure(shared, "b/secret\n!**/c\n").files == 2


def test_an_unreadable_root_is_named(shared: Path) -> None:
    root = shared / "context"
    write(root, "a")
    root.chmod(0)
    with as_nobody(), pytest.raises(UnmeasuredError, match="context' in the build context cannot be read"):
        measure(root)


@pytest.mark.parametrize("kind", ["missing", "file", "link to nothing", "link to itself"])
def test_a_context_that_is_no_directory(kind: str, tmp_path: Path) -> None:
    root = tmp_path / "context"
    if kind == "file":
        root.write_text("x")
    elif kind != "missing":
        root.symlink_to("nowhere" if kind == "link to nothing" else "context")
    with pytest.raises(UnmeasuredError) as caught:
        measure(root)
    assert caught.value.file == str(root)


def test_the_context_may_be_a_link(tmp_path: Path) -> None:
    write(tmp_path / "real", "a")
    (tmp_path / "link").symlink_to("real")
    assert measure(tmp_path / "link").files == 1


def test_deep_trees(tmp_path: Path) -> None:
    path = tmp_path
    for _ in range(600):
        path = path / "d"
    path.mkdir(parents=True)
    (path / "file").write_text("x")
    assert dict(measure(tmp_path, "x\n!**/y\n").listing()) == {"/".join(["d"] * 600 + ["file"]): 1}


@pytest.mark.parametrize("what", ["file", "directory"])
def test_what_vanishes_meanwhile_is_left_out(what: str, tmp_path: Path) -> None:
    write(tmp_path, "a", "m/x" if what == "directory" else "m", "z")

    def vanish() -> None:
        if what == "directory":
            shutil.rmtree(tmp_path / "m")
        else:
            (tmp_path / "m").unlink()

    found = measure_context(tmp_path, meddling_rules(at="a", action=vanish))
    assert [path for path, _ in found.listing()] == ["a", "z"]


def meddling_rules(*, at: str, action: Callable[[], None]) -> IgnoreRules:
    """Rules that let everything through, and do something when they are asked for one name."""

    class Folder:
        excluded = False
        uniform = None
        empties = None

        def ignores(self, name: str, /) -> bool:
            if name == at:
                action()
            return False

        def enter(self, name: str, /) -> Folder:
            return self

    class Rules(IgnoreRules):
        def root(self) -> Folder:
            return Folder()

    return Rules()


def test_order_does_not_depend_on_the_file_system(tmp_path: Path) -> None:
    names = [f"{letter}{number}" for letter in "bca" for number in range(20)]
    random.Random(1).shuffle(names)
    write(tmp_path, *names, *(f"d/{name}" for name in names))
    found = [path for path, _ in measure(tmp_path).listing()]
    assert found == [f"d/{name}" for name in sorted(names)] + sorted(names)


@pytest.mark.parametrize(
    ("files", "dockerfile", "expected"),
    [
        ((), "context/Dockerfile", None),
        (("context/.dockerignore",), "context/Dockerfile", "context/.dockerignore"),
        (
            ("context/.dockerignore", "context/Dockerfile.dockerignore"),
            "context/Dockerfile",
            "context/Dockerfile.dockerignore",
        ),
        (
            ("context/.dockerignore", "else/app.Dockerfile.dockerignore", "else/.dockerignore"),
            "else/app.Dockerfile",
            "else/app.Dockerfile.dockerignore",
        ),
        (("context/.dockerignore", "else/Dockerfile.dockerignore"), "else/app.Dockerfile", "context/.dockerignore"),
    ],
)
def test_which_ignore_file_counts(
    files: tuple[str, ...], dockerfile: str, expected: str | None, tmp_path: Path
) -> None:
    (tmp_path / "context").mkdir()
    write(tmp_path, *files)
    found = find_ignore_file(tmp_path / "context", tmp_path / dockerfile)
    assert found == (tmp_path / expected if expected else None)


def test_an_empty_ignore_file_of_the_dockerfile_replaces_the_other(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("a\n")
    (tmp_path / "Dockerfile.dockerignore").write_text("")
    assert read_ignore_rules(tmp_path, tmp_path / "Dockerfile").patterns == ()


@pytest.mark.parametrize(
    ("target", "found"),
    [("rules", True), ("/rules", True), ("d/../rules", True), ("../rules", True), ("link", True), ("../../out", False),
     ("nowhere", False), (".dockerignore", False), ("d", False)],
)  # fmt: skip
def test_ignore_file_as_a_link(target: str, found: bool, tmp_path: Path) -> None:
    """Links cannot leave the context: `..` at its root stays there."""
    context = tmp_path / "context"
    (context / "d").mkdir(parents=True)
    (context / "rules").write_text("a\n")
    (context / "link").symlink_to("/d/../rules")
    (tmp_path / "out").write_text("b\n")
    (context / ".dockerignore").symlink_to(target)
    rules = read_ignore_rules(context, context / "Dockerfile")
    assert [pattern.text for pattern in rules.patterns] == (["a"] if found else [])


def test_an_unreadable_ignore_file_is_an_error(shared: Path) -> None:
    path = shared / ".dockerignore"
    path.write_text("a\n")
    path.chmod(0)
    with as_nobody(), pytest.raises(UnmeasuredError) as caught:
        read_ignore_rules(shared, shared / "Dockerfile")
    assert str(caught.value) == f"{path}: cannot read the ignore file: Permission denied"


def test_a_bad_ignore_file_is_named(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("a\n[\n")
    with pytest.raises(ConfigError) as caught:
        read_ignore_rules(tmp_path, tmp_path / "Dockerfile")
    assert (caught.value.file, caught.value.line) == (str(tmp_path / ".dockerignore"), 2)
