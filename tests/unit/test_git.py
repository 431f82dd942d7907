"""Reading a real repository at a revision: what is there, what is verifiably not, and what cannot be told."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_budget.edges import git
from ci_budget.errors import ConfigError, ExitCode, UnmeasuredError

Run = Callable[..., str]
IDENTITY = ["-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false"]


def command(folder: Path, *words: str) -> str:
    settings = [*IDENTITY, "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *settings, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    command(folder, "init", "-q", "-b", "main", ".")
    (folder / "config.yml").write_text("version: 1\n")
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_bytes(b"\x00\xffdata\n")
    (folder / "link").symlink_to("deep/file")
    (folder / "folder").symlink_to("deep")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "outside").symlink_to("/etc/hostname")
    (folder / "loop").symlink_to("loop")
    command(folder, "add", "-A")
    command(folder, "commit", "-q", "-m", "first")
    return folder


def second(repo: Path) -> None:
    (repo / "config.yml").write_text("version: 1 # changed\n")
    command(repo, "rm", "-q", "link")
    command(repo, "mv", "deep/file", "deep/moved name")
    command(repo, "commit", "-qam", "second")


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("config.yml", b"version: 1\n"),
        ("./deep/../config.yml", b"version: 1\n"),
        ("deep/file", b"\x00\xffdata\n"),
        ("link", b"\x00\xffdata\n"),
        ("folder/file", b"\x00\xffdata\n"),
        ("missing.yml", None),
        ("missing/folder/file", None),
        ("config.yml/file", None),
        ("conf*", None),
        (":(glob)**", None),
    ],
)
def test_a_file_at_a_revision(repo: Path, path: str, content: bytes | None) -> None:
    first = git.resolve(repo, "HEAD")
    second(repo)
    assert git.read_file_at(repo, first, path) == content
    assert git.read_file_at(repo, "HEAD~1", path) == content


def test_a_path_is_relative_to_the_folder(repo: Path) -> None:
    assert git.read_file_at(repo / "deep", "HEAD", "file") == b"\x00\xffdata\n"
    assert git.read_file_at(repo / "deep", "HEAD", "../config.yml") == b"version: 1\n"
    assert git.read_file_at(repo / "deep", "HEAD", "config.yml") is None


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("dangling", "it is a symlink that leads nowhere"),
        ("outside", "it is a symlink that leaves the repository"),
        ("loop", "it is a symlink that leads to itself"),
        ("deep", "it is a tree, no file"),
        ("folder/missing", "it is a symlink that leads nowhere"),
    ],
)
def test_what_cannot_be_told_is_not_absent(repo: Path, path: str, said: str) -> None:
    with pytest.raises(UnmeasuredError) as caught:
        git.read_file_at(repo, "HEAD", path)
    assert caught.value.what == f"cannot tell what {path} at HEAD held: {said}"


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret", "deep/../../secret", "", "two\nlines"])
def test_paths_stay_inside(repo: Path, path: str) -> None:
    with pytest.raises(ConfigError):
        git.read_file_at(repo, "HEAD", path)


def test_a_submodule_is_another_repository(repo: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    command(whole, "init", "-q", ".")
    command(whole, "submodule", "--quiet", "add", str(repo), "part")
    command(whole, "commit", "-qam", "with a part")
    with pytest.raises(UnmeasuredError, match="submodule"):
        git.read_file_at(whole, "HEAD", "part/config.yml")


def test_an_object_that_is_lost_is_not_absent(repo: Path) -> None:
    for revision, kind in (("HEAD:config.yml", "blob"), ("HEAD:deep", "tree")):
        ident = command(repo, "rev-parse", revision)
        lost = repo / ".git" / "objects" / ident[:2] / ident[2:]
        lost.unlink()
        with pytest.raises(UnmeasuredError):
            git.read_file_at(repo, "HEAD", "config.yml" if kind == "blob" else "deep/file")


def test_large_files_are_not_read(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "LARGEST_FILE", 5)
    with pytest.raises(ConfigError, match="at most 5 are read"):
        git.read_file_at(repo, "HEAD", "config.yml")


@pytest.mark.parametrize(
    "revision", ["--output=/tmp/x", "-h", "a..b", "HEAD:config.yml", "a b", "x\ny", "", "@{-1};rm"]
)
def test_revisions_are_no_options(repo: Path, revision: str) -> None:
    with pytest.raises(ConfigError, match="is no revision"):
        git.resolve(repo, revision)


def test_what_to_do_for_a_missing_revision_does_it(repo: Path, tmp_path: Path) -> None:
    first = command(repo, "rev-parse", "HEAD")
    command(repo, "branch", "other")
    second(repo)
    shallow = tmp_path / "shallow"
    command(tmp_path, "clone", "-q", "--depth=1", f"file://{repo}", str(shallow))

    def mend(revision: str) -> str:
        with pytest.raises(UnmeasuredError) as error:
            git.resolve(shallow, revision)
        return str(error.value.mend)

    deeper = "Give actions/checkout `fetch-depth: 2` (0 where the base is further away), or run"
    assert mend("HEAD~1") == f"{deeper} `git fetch --unshallow` first."
    assert (
        mend("other")
        == mend("origin/other")
        == f"{deeper} `git fetch --depth=1 origin other` first and name FETCH_HEAD."
    )
    command(shallow, "fetch", "-q", "--depth=1", "origin", "other")
    assert git.resolve(shallow, "FETCH_HEAD") == first
    command(shallow, "fetch", "-q", "--unshallow")
    assert git.resolve(shallow, "HEAD~1") == first
    assert mend("HEAD~7") == "Give actions/checkout `fetch-depth: 2` (0 where the base is further away)."
    command(shallow, "fetch", "-q", "origin", "other:refs/remotes/origin/other")
    assert mend("other") == "The clone has it as origin/other: name that."
    assert git.resolve(shallow, "origin/other") == first


def test_a_shallow_clone_says_what_to_do(repo: Path, tmp_path: Path) -> None:
    base = git.resolve(repo, "HEAD")
    second(repo)
    shallow = tmp_path / "shallow"
    command(tmp_path, "clone", "-q", "--depth=1", f"file://{repo}", str(shallow))
    with pytest.raises(UnmeasuredError) as caught:
        git.read_file_at(shallow, base, "config.yml")
    assert caught.value.exit_code == ExitCode.UNMEASURED
    assert str(caught.value) == (
        f"the revision '{base}' is not in {shallow}: this clone is shallow, so its files cannot be read\n"
        "  Give actions/checkout `fetch-depth: 2` (0 where the base is further away), "
        f"or run `git fetch --depth=1 origin {base}` first."
    )
    assert git.commit_parents(shallow) == (base,), "the commit itself still names its parent"
    command(shallow, "fetch", "-q", "--depth=1", "origin", base)
    assert git.read_file_at(shallow, base, "config.yml") == b"version: 1\n"


def test_the_base_of_a_merge_commit(repo: Path, tmp_path: Path) -> None:
    command(repo, "checkout", "-q", "-b", "feature")
    second(repo)
    command(repo, "checkout", "-q", "main")
    command(repo, "commit", "-q", "--allow-empty", "-m", "meanwhile")
    main = git.resolve(repo, "main")
    command(repo, "merge", "-q", "--no-ff", "-m", "merge", "feature")
    assert git.merge_parent(repo) == main
    assert git.commit_parents(repo) == (main, git.resolve(repo, "feature"))
    with pytest.raises(UnmeasuredError, match="is no merge commit"):
        git.merge_parent(repo, "feature")
    shallow = tmp_path / "shallow"
    command(tmp_path, "clone", "-q", "--depth=1", f"file://{repo}", str(shallow))
    with pytest.raises(UnmeasuredError, match="this clone is shallow"):
        git.merge_parent(shallow)


def test_changed_paths(repo: Path) -> None:
    second(repo)
    assert git.changed_paths(repo, "HEAD~1") == ["config.yml", "deep/file", "deep/moved name", "link"]
    assert git.changed_paths(repo, "HEAD", "HEAD") == []


def test_no_repository(tmp_path: Path) -> None:
    assert git.head_commit(tmp_path) is None
    with pytest.raises(UnmeasuredError, match="is no git repository"):
        git.read_file_at(tmp_path, "HEAD", "config.yml")
    with pytest.raises(UnmeasuredError, match="is no git repository"):
        git.read_file_at(tmp_path / "nowhere", "HEAD", "config.yml")


def test_no_commit_yet(tmp_path: Path) -> None:
    command(tmp_path, "init", "-q", ".")
    assert git.head_commit(tmp_path) is None
    for revision in ("HEAD", "HEAD~1", "@"):
        with pytest.raises(UnmeasuredError) as refused:
            git.resolve(tmp_path, revision)
        what = f"{tmp_path} has no commit yet, so there is no revision '{revision}'"
        assert str(refused.value) == f"{what}\n  Commit first."
    with pytest.raises(UnmeasuredError, match="git fetch --depth=1 origin main"):
        git.resolve(tmp_path, "main")


def test_somebody_elses_repository(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # git's own test suite makes it refuse every repository that is not named as safe in this way
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(UnmeasuredError) as caught:
        git.resolve(repo, "HEAD")
    assert str(caught.value) == (
        f"git does not read {repo}: the folder belongs to another user\n"
        f"  If you trust it: `git config --global --add safe.directory {repo}`."
    )


def test_moved_paths(repo: Path) -> None:
    long = "".join(f"line {number} of a file\n" for number in range(40))
    for name in ("kept", "edited", "replaced", "gone"):
        (repo / "deep" / name).write_text(f"{name}\n{long}")
    command(repo, "add", "-A")
    command(repo, "commit", "-qm", "base")
    base = git.resolve(repo, "HEAD")
    command(repo, "mv", "deep/edited", "new name")
    (repo / "new name").write_text(f"edited\n{long}and more\n")
    command(repo, "mv", "deep/replaced", "elsewhere")
    (repo / "deep" / "replaced").write_text("small\n")
    (repo / "deep" / "gone").unlink()
    (repo / "unlike").write_text("".join(f"{number} * {number}\n" for number in range(90)))
    command(repo, "add", "-A")
    command(repo, "commit", "-qm", "head")
    expected = {"new name": "deep/edited", "elsewhere": "deep/replaced"}
    assert git.moved_paths(repo, base) == expected
    assert git.moved_paths(repo / "deep", base) == expected


def test_a_hook_s_git_does_not_say_which_repository_is_asked(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a hook git tells its children where its own repository, files and index are: of another one here."""
    first = command(repo, "rev-parse", "HEAD")
    other = tmp_path / "other"
    command(tmp_path, "init", "-q", "other")
    for name, value in {
        "GIT_DIR": other / ".git", "GIT_WORK_TREE": other, "GIT_INDEX_FILE": other / ".git/index.lock",
        "GIT_PREFIX": "a/", "GIT_OBJECT_DIRECTORY": other / ".git/objects", "GIT_COMMON_DIR": other / ".git",
        "GIT_NAMESPACE": "b",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    assert git.resolve(repo, "main") == first
    assert git.top_folder(repo / "deep") == repo
    assert git.count_changes(repo) == 0
    assert git.read_file_at(repo, "HEAD", "config.yml") == b"version: 1\n"
    assert git.changed_paths(repo, "HEAD", "HEAD") == []
    tree = tmp_path / "tree"
    tree.mkdir()
    git.check_out(repo, first, into=tree, index=tmp_path / "index")
    assert (tree / "config.yml").read_text() == "version: 1\n"
