"""Another revision's files in a folder of their own: whole, gone afterwards, and the repository as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ci_budget.edges import git
from ci_budget.edges.sites.leftovers import find_leftovers
from ci_budget.edges.work_tree import abandoned_trees, copy_git_folder, work_tree
from ci_budget.errors import UnmeasuredError
from tests.unit.test_git import command


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with two commits, an uncommitted change, a hook, and an index of its own."""
    folder = tmp_path / "repo"
    (folder / "deep").mkdir(parents=True)
    command(folder, "init", "-q", "-b", "main", ".")
    (folder / "file").write_text("first\n")
    (folder / "deep" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "deep" / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("deep/run.sh")
    (folder / ".gitattributes").write_text("windows text eol=crlf\n")
    (folder / "windows").write_text("line\n")
    command(folder, "add", "-A")
    command(folder, "commit", "-q", "-m", "first")
    (folder / ".gitattributes").unlink()
    (folder / "file").write_text("second\n")
    command(folder, "add", "-A")
    command(folder, "commit", "-q", "-m", "second")
    for hook in ("post-checkout", "post-index-change"):
        (folder / ".git" / "hooks" / hook).write_text("#!/bin/sh\ntouch hook-ran\n")
        (folder / ".git" / "hooks" / hook).chmod(0o755)
    (folder / "file").write_text("not committed\n")
    return folder


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below, `.git` included: its time of change and its content."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_submodules_as_they_were_pinned_where_the_checkout_has_that(repo: Path, tmp_path: Path) -> None:
    for name, inner in {"inner": None, "outer": "inner"}.items():
        (tmp_path / name).mkdir()
        command(tmp_path / name, "init", "-q", "-b", "main", ".")
        (tmp_path / name / "old").write_text("old")
        if inner:
            command(tmp_path / name, "submodule", "--quiet", "add", str(tmp_path / inner), "deep/inner")
        command(tmp_path / name, "add", "-A")
        command(tmp_path / name, "commit", "-q", "-m", "one")
    command(repo, "submodule", "--quiet", "add", str(tmp_path / "outer"), "parts/outer")
    command(repo, "submodule", "--quiet", "add", str(tmp_path / "inner"), "parts/gone")
    command(repo, "submodule", "--quiet", "update", "--init", "--recursive")
    command(repo, "commit", "-q", "-m", "with submodules")
    pinned = git.resolve(repo, "HEAD")
    (repo / "parts" / "outer" / "new").write_text("new")
    command(repo / "parts" / "outer", "add", "-A")
    command(repo / "parts" / "outer", "commit", "-q", "-m", "two")
    command(repo, "commit", "-qam", "raised")
    command(repo, "submodule", "--quiet", "deinit", "--force", "parts/gone")
    before = snapshot(repo)
    with work_tree(tmp_path / "state", repo, pinned) as tree:
        files = [path.relative_to(tree / "parts") for path in (tree / "parts").rglob("*") if path.is_file()]
        assert sorted(map(str, files)) == [
            "outer/.git", "outer/.gitmodules", "outer/deep/inner/.git", "outer/deep/inner/old", "outer/old",
        ]  # fmt: skip
        assert (tree / "parts" / "outer" / ".git").read_bytes() == (repo / "parts" / "outer" / ".git").read_bytes()
        assert list((tree / "parts" / "gone").iterdir()) == []
    assert snapshot(repo) == before
    found = [(part.path, part.is_here) for part in git.list_submodules(repo, pinned)]
    assert found == [("parts/gone", False), ("parts/outer", True), ("parts/outer/deep/inner", True)]


def test_the_files_of_a_commit_and_nothing_else_changes(repo: Path, tmp_path: Path) -> None:
    before = snapshot(repo)
    state = tmp_path / "state"
    with work_tree(state, repo, git.resolve(repo, "HEAD~1")) as tree:
        assert not tree.is_relative_to(repo)
        assert sorted(path.name for path in tree.iterdir()) == [
            ".git",
            ".gitattributes",
            "deep",
            "file",
            "link",
            "windows",
        ]
        assert (tree / "file").read_text() == "first\n"
        assert (tree / "windows").read_bytes() == b"line\r\n", "by the attributes of that commit"
        assert os.access(tree / "deep" / "run.sh", os.X_OK)
        assert (tree / "link").readlink() == Path("deep/run.sh")
    assert snapshot(repo) == before
    assert [path for path in state.rglob("*") if not path.is_dir()] == []
    assert abandoned_trees(state) == []


def test_it_is_gone_after_an_error(repo: Path, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), work_tree(tmp_path / "state", repo, git.resolve(repo, "HEAD")):
        raise ZeroDivisionError
    assert list((tmp_path / "state" / "worktrees").iterdir()) == []


def test_what_a_killed_run_left_is_removed_by_the_next(repo: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom ci_budget.edges.work_tree import work_tree\n"
        "with work_tree(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]):\n    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, state, repo, git.resolve(repo, "HEAD")])
    assert done.returncode == -9
    (left,) = abandoned_trees(state)
    (found,) = find_leftovers(state, None)
    assert (found.label, found.size > 0) == (f"work tree {left.name}", True)
    with work_tree(state, repo, git.resolve(repo, "HEAD")) as tree:
        assert not left.exists()
        assert abandoned_trees(state) == [], "the one in use is not abandoned"
        assert tree.exists()


def test_a_commit_that_lacks_its_files(repo: Path, tmp_path: Path) -> None:
    blob = command(repo, "rev-parse", "HEAD:file")
    (repo / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(UnmeasuredError) as error, work_tree(tmp_path / "state", repo, git.resolve(repo, "HEAD")):
        raise AssertionError
    assert "git could not write the files of" in str(error.value)
    assert list((tmp_path / "state" / "worktrees").iterdir()) == []


def test_the_git_folder_as_the_checkout_has_it(repo: Path, tmp_path: Path) -> None:
    with work_tree(tmp_path / "state", repo, git.resolve(repo, "HEAD")) as tree:
        copy_git_folder(repo, tree)
        copy_git_folder(repo, tree)
        sizes = [
            {str(path.relative_to(top)): path.stat().st_size for path in (top / ".git").rglob("*") if path.is_file()}
            for top in (repo, tree)
        ]
        assert sizes[0] == sizes[1]
