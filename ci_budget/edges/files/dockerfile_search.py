"""The Dockerfiles of a repository: its own ones, not those that came with something else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ci_budget.core.config.names import joined_path, read_path
from ci_budget.core.config.starter import FoundDockerfile
from ci_budget.core.dockerfile.instructions import MAX_BYTES, Dockerfile, Stage, flag_values, parse_dockerfile
from ci_budget.edges.files.config_file import read_bounded
from ci_budget.errors import ConfigError

MAX_FOLDERS: Final = 50_000
MAX_FOUND: Final = 100

_FOREIGN: Final = {
    "__pycache__",
    "bower_components",
    "dist-packages",
    "external",
    "fixtures",
    "node_modules",
    "site-packages",
    "testdata",
    "third-party",
    "third_party",
    "thirdparty",
    "vendor",
    "vendored",
    "venv",
}
_NO_DOCKERFILES: Final = (
    ".bak", ".dockerignore", ".erb", ".in", ".j2", ".jinja", ".jinja2", ".json", ".md", ".mustache", ".orig", ".rej",
    ".rst", ".swp", ".template", ".tmpl", ".tpl", ".txt", ".yaml", ".yml", "~",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Search:
    """What was found, and what was left out and why, a sentence each."""

    found: tuple[FoundDockerfile, ...]
    left_out: tuple[str, ...]


def find_dockerfiles(root: Path) -> Search:
    """The Dockerfiles below `root`, by path. Hidden and foreign folders, submodules and templates are passed over."""
    found: list[FoundDockerfile] = []
    left_out: list[str] = []
    paths = _paths(root)
    for path in paths[:MAX_FOUND]:
        relative = path.relative_to(root).as_posix()
        try:
            read_path(relative)
            parsed = parse_dockerfile(read_bounded(path, MAX_BYTES), relative)
        except (ConfigError, ValueError) as error:
            left_out.append(str(error).splitlines()[0])
            continue
        found.append(
            FoundDockerfile(
                path=relative,
                context=_context(root, path, parsed),
                stages=tuple(stage.name for stage in parsed.stages),
                named=tuple(stage.named for stage in parsed.stages),
            )
        )
    if len(paths) > MAX_FOUND:
        left_out.append(f"{len(paths) - MAX_FOUND} more Dockerfiles; the first {MAX_FOUND} were taken")
    return Search(found=tuple(found), left_out=tuple(left_out))


def _paths(root: Path) -> list[Path]:
    paths: list[Path] = []
    for count, (folder, folders, files) in enumerate(os.walk(root)):
        if count >= MAX_FOLDERS:
            raise ConfigError(f"{root} holds more than {MAX_FOLDERS:,} folders; write {root}/ci-budget.yml by hand")
        folders[:] = sorted(name for name in folders if _is_own(Path(folder), name))
        here = [Path(folder) / name for name in sorted(files) if _is_dockerfile(name)]
        paths += [path for path in here if path.is_file() and not path.is_symlink()]
    return sorted(paths)


def _is_own(parent: Path, name: str) -> bool:
    if name in _FOREIGN or (name.startswith(".") and name != ".docker"):
        return False
    return not (parent / name / ".git").exists()  # a submodule, or another repository's clone


def _is_dockerfile(name: str) -> bool:
    lower = name.lower()
    if lower.endswith(_NO_DOCKERFILES):
        return False
    return any(
        lower == word or lower.startswith(f"{word}.") or lower.endswith(f".{word}")
        for word in ("dockerfile", "containerfile")
    )


def _context(root: Path, path: Path, parsed: Dockerfile) -> str:
    """The nearest folder, from the Dockerfile's own up to the root, that holds everything which is copied."""
    sources = [source for stage in parsed.stages for source in _sources(stage, parsed.file)]
    folder = path.parent
    while sources and not all((folder / source).exists() for source in sources):
        if folder == root:
            folder = path.parent
            break
        folder = folder.parent
    return folder.relative_to(root).as_posix()


def _sources(stage: Stage, file: str) -> list[str]:
    """What COPY and ADD take from the context under a name that stands there in full."""
    sources: list[str] = []
    for instruction in stage.instructions:
        if instruction.command not in ("copy", "add") or flag_values(instruction, "from", file):
            continue
        for source in instruction.arguments[:-1]:
            if "://" in source or source.startswith(("<<", "git@")) or any(char in source for char in "$*?[\\"):
                continue
            try:
                sources.append(joined_path(source))
            except ValueError:
                continue
    return sources
