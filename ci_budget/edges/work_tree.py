"""Another revision's files in a folder of their own, outside of the user's checkout, for as long as a block lasts.

Not by `git worktree add`: that writes into the user's `.git`, runs its hooks, and leaves an entry behind when it is
killed. Git fills the folder from an index that lies beside it; the repository is only read.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from ci_budget.edges import git
from ci_budget.edges.signals import shielded
from ci_budget.edges.sites.state import try_lock
from ci_budget.errors import UnmeasuredError

_FOLDER = "worktrees"


@contextlib.contextmanager
def work_tree(state: Path, repo: Path, commit: str) -> Iterator[Path]:
    """A folder below `state` with the files of `commit`, gone when the block is left. `repo`: a checkout's top folder.

    Submodules are filled from its clones of them; where one lacks the commit, the folder is empty. What a killed run
    left of its own is removed first. The folder has an empty `.git`, so that nothing above it passes for its
    repository. Raises UnmeasuredError when the files cannot be brought there.
    """
    remove_abandoned(state)
    place = state / _FOLDER / secrets.token_hex(4)
    lock = _lock_of(place)
    handle = try_lock(lock)
    try:
        yield _fill(place, repo, commit)
    finally:
        with shielded():
            _remove(place)
            lock.unlink(missing_ok=True)
            if handle is not None:
                os.close(handle)


def _fill(place: Path, repo: Path, commit: str) -> Path:
    files = place / "files"
    try:
        files.mkdir(parents=True, mode=0o755)
        git.check_out(repo, commit, into=files, index=place / "index")
        for count, part in enumerate(git.list_submodules(repo, commit)):
            if part.is_here:
                _fill_submodule(repo / part.path, part.commit, files / part.path, place / f"index-{count}")
        (files / ".git").mkdir()
    except OSError as error:
        raise UnmeasuredError(f"{commit[:12]} cannot be checked out to {place}: {error.strerror}") from error
    return files


def _fill_submodule(clone: Path, commit: str, files: Path, index: Path) -> None:
    git.check_out(clone, commit, into=files, index=index)
    if (clone / ".git").is_file():  # where its repository lies; a context that has it there has it here
        shutil.copyfile(clone / ".git", files / ".git")


def copy_git_folder(repo: Path, tree: Path) -> None:
    """Give a work tree what the checkout has as `.git`, for builds whose context holds it on both sides.

    Raises UnmeasuredError when it cannot be copied.
    """
    source, target = repo / ".git", tree / ".git"
    try:
        if target.is_dir():
            shutil.rmtree(target)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copyfile(source, target)
    except (OSError, shutil.Error) as error:
        raise UnmeasuredError(
            f"{source} is part of the build context and cannot be copied: {error}",
            mend="Name `.git` in the ignore file: hardly any build needs it.",
        ) from error


def abandoned_trees(state: Path) -> list[Path]:
    """The work trees below `state` whose process is gone."""
    folder = state / _FOLDER
    if not folder.is_dir():
        return []
    return [place for place in sorted(folder.iterdir()) if place.is_dir() and _is_abandoned(place)]


def remove_abandoned(state: Path) -> None:
    """Remove the work trees that killed runs left behind."""
    for place in abandoned_trees(state):
        with shielded():
            _remove(place)
            _lock_of(place).unlink(missing_ok=True)


def _is_abandoned(place: Path) -> bool:
    handle = try_lock(_lock_of(place))
    if handle is None:
        return False
    os.close(handle)
    return True


def _lock_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.lock")


def _remove(place: Path) -> None:
    try:
        shutil.rmtree(place)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UnmeasuredError(f"the work tree {place} cannot be removed: {error.strerror}") from error
