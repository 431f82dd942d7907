"""The repository, read through git's plumbing: commits, files at a revision, changed paths.

Nothing is written into it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ci_budget.edges import processes
from ci_budget.errors import ConfigError, UnmeasuredError

LARGEST_FILE = 16_000_000
"""Bytes of a file that is read from a revision; no config and no baseline is larger."""

_REVISION = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9_@./^~{}+-]{0,255}", re.ASCII)
_OBJECT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{7,64}", re.ASCII)
_RELATIVE = re.compile(r"[~^{]")
_REMOTE = "origin/"
_LARGEST_COMMIT_HEADER = 200
_CHECKOUT_TIMEOUT = 1800.0
# A hook's git says by these which repository is meant: not the one of the folder that is asked about. Config that is
# handed down (GIT_CONFIG_*) stays, for it may say which folders are safe.
_OF_A_HOOK = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE", "GIT_NAMESPACE",
    "GIT_REPLACE_REF_BASE",
)  # fmt: skip
_ENVIRONMENT: dict[str, str | None] = {
    **dict.fromkeys(_OF_A_HOOK),
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_LITERAL_PATHSPECS": "1",
}


def head_commit(repo: Path) -> str | None:
    """The commit that is checked out; None where there is no repository, no commit, or none that may be read."""
    try:
        return resolve(repo, "HEAD")
    except UnmeasuredError:
        return None


def resolve(repo: Path, revision: str) -> str:
    """The full id of the commit that `revision` names.

    Raises UnmeasuredError, with what to do, when it is not in this clone.
    """
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise ConfigError(f"'{revision[:80]}' is no revision; name a commit, a branch or a tag")
    done = _git(repo, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", check=False)
    found = done.text.strip()
    if done.exit_code == 0 and _OBJECT.fullmatch(found):
        return found
    _raise_repository_trouble(repo, done)
    head = ("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if revision.startswith(("HEAD", "@")) and _git(repo, *head, check=False).exit_code != 0:
        raise UnmeasuredError(f"{repo} has no commit yet, so there is no revision '{revision}'", mend="Commit first.")
    shallow = _git(repo, "rev-parse", "--is-shallow-repository", check=False).text.strip() == "true"
    why = "this clone is shallow" if shallow else "no such commit was fetched"
    raise UnmeasuredError(
        f"the revision '{revision}' is not in {repo}: {why}, so its files cannot be read",
        mend=_way_to(repo, revision, shallow=shallow),
    )


def _way_to(repo: Path, revision: str, *, shallow: bool) -> str:
    """How to get a revision that is not there."""
    remote = f"{_REMOTE}{revision}"
    if _git(repo, "rev-parse", "--verify", "--quiet", f"refs/remotes/{remote}", check=False).exit_code == 0:
        return f"The clone has it as {remote}: name that."
    deeper = "Give actions/checkout `fetch-depth: 2` (0 where the base is further away)"
    if _RELATIVE.search(revision):
        return f"{deeper}{', or run `git fetch --unshallow` first' if shallow else ''}."
    fetch = f"`git fetch --depth=1 origin {revision.removeprefix(_REMOTE)}`"
    # a branch or a tag that is fetched so gets no name of its own
    return f"{deeper}, or run {fetch} first{'' if _ID.fullmatch(revision) else ' and name FETCH_HEAD'}."


def commit_parents(repo: Path, revision: str = "HEAD") -> tuple[str, ...]:
    """The parents that the commit itself names, also those that a shallow clone lacks.

    Raises UnmeasuredError when the commit is not in this clone.
    """
    commit = resolve(repo, revision)
    text = _git(repo, "cat-file", "commit", commit).text
    header = text.split("\n\n", 1)[0].splitlines()[:_LARGEST_COMMIT_HEADER]
    return tuple(line.split(" ", 1)[1] for line in header if line.startswith("parent "))


def merge_parent(repo: Path, revision: str = "HEAD") -> str:
    """The first parent of a merge commit: the base of a pull request that was checked out as its merge.

    Raises UnmeasuredError when `revision` is no merge, or its parent is not in this clone.
    """
    parents = commit_parents(repo, revision)
    if len(parents) < 2:
        raise UnmeasuredError(
            f"{revision} is no merge commit, so its first parent is not the base of a pull request",
            mend="Check out the pull request's merge commit (actions/checkout does so by default), or name the base.",
        )
    return resolve(repo, parents[0])


def read_file_at(repo: Path, revision: str, path: str | PurePosixPath) -> bytes | None:
    """A file's content at a revision. `path` is relative to the folder `repo`, which may lie inside the repository.

    Symlinks inside the repository are followed. None only when the revision is there and verifiably
    has no such file. Raises UnmeasuredError when that cannot be told, ConfigError when the path leaves the
    repository or the file is larger than 16 MB.
    """
    commit = resolve(repo, revision)
    place = _place(repo, path)
    question = f"{commit}:{place}".encode()
    answer = _git(repo, "cat-file", "--batch-check", "--follow-symlinks", stdin=question + b"\n").text
    status = _Status.read(answer)
    shown = f"{path} at {revision}"
    if status.kind == "blob":
        if status.size > LARGEST_FILE:
            raise ConfigError(f"{shown} has {status.size:,} bytes; at most {LARGEST_FILE:,} are read")
        return _git(repo, "cat-file", "blob", status.object).stdout
    if status.kind == "notdir" or (status.kind == "missing" and _is_absent(repo, commit, place)):
        return None
    raise UnmeasuredError(
        f"cannot tell what {shown} held: {_REASONS.get(status.kind, f'it is a {status.kind}, no file')}",
        mend="Make it a plain file of this repository there; in a partial or damaged clone, fetch it whole.",
    )


def changed_paths(repo: Path, base: str, head: str = "HEAD") -> list[str]:
    """The paths that differ between two revisions, relative to the repository's top folder; both sides of a rename."""
    commits = [resolve(repo, revision) for revision in (base, head)]
    return _paths(_git(repo, "diff-tree", "-r", "-z", "--name-only", "--no-renames", *commits).stdout)


def moved_paths(repo: Path, base: str, head: str = "HEAD") -> dict[str, str]:
    """Files of `head` that `base` has elsewhere, as git knows them again by their content: new path to old path.

    Relative to the repository's top folder. A file also moved where another content took its old place.
    """
    commits = [resolve(repo, revision) for revision in (base, head)]
    # -B: a file that was rewritten is no source of a change, but of a move; git then calls that a copy (C)
    settings = ["-r", "-z", "-B", "-M", "-l1000", "--diff-filter=RC", "--name-status"]
    parts = _paths(_git(repo, "diff-tree", *settings, *commits).stdout)
    return dict(zip(parts[2::3], parts[1::3], strict=True))


def top_folder(repo: Path) -> Path:
    """The top folder of the repository's checkout. Raises UnmeasuredError where there is none."""
    return Path(_git(repo, "rev-parse", "--show-toplevel").text.removesuffix("\n"))


def check_out(repo: Path, commit: str, *, into: Path, index: Path) -> None:
    """Write the files of `commit` into the empty folder `into`, with the checkout's own filters and sparse patterns.

    `index` is a file that is made beside it. The repository is only read: no index, no HEAD, no hook, no entry of
    its own changes. Submodules become empty folders. Raises UnmeasuredError.
    """
    folder = _git(repo, "rev-parse", "--absolute-git-dir").text.removesuffix("\n")
    settings = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.bare=false"]
    done = processes.run(
        ["git", f"--git-dir={folder}", f"--work-tree={into}", *settings, "read-tree", "--reset", "-u", commit],
        env=_ENVIRONMENT | {"GIT_INDEX_FILE": str(index)},
        cwd=into,
        check=False,
        timeout=_CHECKOUT_TIMEOUT,
    )
    if done.exit_code != 0:
        raise UnmeasuredError(
            f"git could not write the files of {commit[:12]}: {done.complaint}",
            mend="In a partial clone, or with large file storage, fetch what that commit needs first.",
        )


def count_changes(repo: Path) -> int:
    """How many files of the checkout are not as in its commit, new ones included, ignored ones not."""
    done = _git(repo, "status", "--porcelain", "-z", "--no-renames")
    return sum(1 for entry in done.stdout.split(b"\0") if entry)


@dataclass(frozen=True, kw_only=True)
class Submodule:
    """A submodule of a commit. `path`: from the top folder; `commit`: the one that it is pinned to; `is_here`: whether
    the checkout's own clone of it has that."""

    path: str
    commit: str
    is_here: bool


def list_submodules(top: Path, commit: str) -> list[Submodule]:
    """The submodules of a commit, and theirs as far as they are here. `top`: the checkout's top folder."""
    found: list[Submodule] = []
    for line in _git(top, "ls-tree", "-r", "-z", "--full-tree", commit).stdout.split(b"\0"):
        if not line.startswith(b"160000 "):
            continue
        facts, name = line.split(b"\t", 1)
        path, pinned = name.decode("utf-8", "surrogateescape"), facts.split()[2].decode("ascii")
        folder = top / path
        # without a .git of its own git would answer for the repository around it
        here = (folder / ".git").exists() and _git(folder, "cat-file", "-e", pinned, check=False).exit_code == 0
        found.append(Submodule(path=path, commit=pinned, is_here=here))
        if here:
            found += [replace(inner, path=f"{path}/{inner.path}") for inner in list_submodules(folder, pinned)]
    return found


_REASONS = {
    "missing": "the repository lacks the file, although it names it",
    "dangling": "it is a symlink that leads nowhere",
    "symlink": "it is a symlink that leaves the repository",
    "loop": "it is a symlink that leads to itself",
    "ambiguous": "git finds it ambiguous",
    "submodule": "it lies in a submodule, which is another repository",
}


@dataclass(frozen=True, kw_only=True)
class _Status:
    """An answer of `git cat-file --batch-check --follow-symlinks` (git-cat-file(1), BATCH OUTPUT)."""

    kind: str
    object: str = ""
    size: int = 0

    @classmethod
    def read(cls, answer: str) -> _Status:
        words = answer.split("\n", 1)[0].split(" ")
        if len(words) == 3 and _OBJECT.fullmatch(words[0]) and words[2].isdigit():
            return cls(kind=words[1], object=words[0], size=int(words[2]))
        if words[-1] in ("missing", "ambiguous", "submodule"):
            return cls(kind=words[-1])
        return cls(kind=words[0])


def _place(repo: Path, path: str | PurePosixPath) -> str:
    """The path from the repository's top folder, without `.` and `..`."""
    text = str(path)
    if not text or text.startswith("/") or not text.isprintable():
        raise ConfigError(f"'{text[:80]}' is no path inside the repository")
    prefix = _git(repo, "rev-parse", "--show-prefix").text.removesuffix("\n")
    kept: list[str] = []
    for part in (prefix + text).split("/"):
        if part == ".." and not kept:
            raise ConfigError(f"'{text[:80]}' leaves the repository")
        if part == "..":
            kept.pop()
        elif part not in ("", "."):
            kept.append(part)
    return "/".join(kept)


def _paths(listed: bytes) -> list[str]:
    return [name.decode("utf-8", "surrogateescape") for name in listed.split(b"\0") if name]


def _is_absent(repo: Path, commit: str, place: str) -> bool:
    """Whether each tree on the way is there and one of them has no such entry: git says `missing` for less."""
    parts = place.split("/")
    for depth in range(1, len(parts) + 1):
        listed = _git(repo, "ls-tree", "-z", "--full-tree", commit, "--", "/".join(parts[:depth])).stdout
        if not listed:
            return True
        kind = listed.split(b"\t", 1)[0].split(b" ")[1]
        if kind == b"commit":
            raise UnmeasuredError(
                f"{place} lies in a submodule, which is another repository",
                mend="Keep the config and the baseline in the repository that is checked.",
            )
        if kind != b"tree":
            return False
    return False


def _git(repo: Path, *words: str, check: bool = True, stdin: bytes | None = None) -> processes.Completed:
    done = processes.run(["git", "-C", repo, *words], env=_ENVIRONMENT, check=False, stdin=stdin)
    if check and done.exit_code != 0:
        _raise_repository_trouble(repo, done)
        raise UnmeasuredError(f"`git {words[0]}` failed in {repo} (exit {done.exit_code}): {done.complaint}")
    return done


def _raise_repository_trouble(repo: Path, done: processes.Completed) -> None:
    said = done.stderr.decode("utf-8", "replace")
    if "dubious ownership" in said:
        raise UnmeasuredError(
            f"git does not read {repo}: the folder belongs to another user",
            mend=f"If you trust it: `git config --global --add safe.directory {repo.resolve()}`.",
        )
    if "not a git repository" in said or "cannot change to" in said:
        raise UnmeasuredError(
            f"{repo} is no git repository, so there is no other revision to read",
            mend="Run ci-budget in a clone of the repository.",
        )
