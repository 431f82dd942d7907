"""The config as a file, and the files that it names: found, bounded, and inside the repository."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ci_budget.core.config.model import ImageConfig
from ci_budget.core.config.text import ConfigProblemsError, ParsedConfig, parse_config
from ci_budget.core.config.yaml_tree import MAX_BYTES, Problem
from ci_budget.core.dockerfile.instructions import MAX_BYTES as MAX_DOCKERFILE
from ci_budget.core.dockerfile.instructions import Dockerfile, parse_dockerfile
from ci_budget.core.text.suggestion import suggest
from ci_budget.errors import ConfigError

CONFIG_NAMES: Final = ("ci-budget.yml", "ci-budget.yaml")


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """The files of one image, resolved: absolute, and without symlinks that leave the repository."""

    name: str
    context: Path
    dockerfile: Path
    parsed: Dockerfile

    @property
    def stage_names(self) -> tuple[str, ...]:
        """The names of the stages, `stage-N` where unnamed, in the order of the Dockerfile."""
        return tuple(stage.name for stage in self.parsed.stages)


def find_config(start: Path, explicit: Path | None = None) -> Path:
    """The config's path: `explicit`, else the nearest one from `start` up to the repository's root.

    Raises ConfigError when there is none, or two in one folder.
    """
    if explicit is not None:
        if not explicit.exists():
            raise ConfigError(f"there is no config file {explicit}", mend=_INIT)
        return explicit
    top = repository_root(start)
    folder = start.resolve()
    while True:
        found = [folder / name for name in CONFIG_NAMES if os.path.lexists(folder / name)]
        if len(found) > 1:
            raise ConfigError(f"{folder} holds both {' and '.join(CONFIG_NAMES)}", mend="Remove one of them.")
        if found:
            return found[0]
        if folder in (top, folder.parent):
            break
        folder = folder.parent
    where = f"in {top}" if start.resolve() == top else f"from {start.resolve()} up to {top}"
    raise ConfigError(f"there is no {CONFIG_NAMES[0]} {where}", mend=_INIT)


def repository_root(start: Path) -> Path:
    """The folder at or above `start` that holds `.git`; `start` itself where none does."""
    resolved = start.resolve()
    for folder in (resolved, *resolved.parents):
        if os.path.lexists(folder / ".git"):
            return folder
    return resolved


def load_config(path: Path, shown: str | None = None) -> ParsedConfig:
    """Read the config at `path`; messages call it `shown`. Raises ConfigError, naming file and line."""
    if path.is_symlink() and not path.resolve().is_relative_to(repository_root(path.absolute().parent)):
        raise ConfigError("the config is a symlink that leaves the repository", file=path)
    return parse_config(read_bounded(path, MAX_BYTES), shown or str(path))


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most `most` bytes; nothing else is ever read. Raises ConfigError."""
    try:
        # O_NONBLOCK: opening a FIFO must not wait for a writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"cannot be read: {reason}", file=path) from None
    if stat.S_ISDIR(os.fstat(handle).st_mode):  # fdopen would raise, and leave the handle open
        os.close(handle)
        raise ConfigError("is not a regular file", file=path)
    with os.fdopen(handle, "rb") as stream:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError("is not a regular file", file=path)
        if status.st_size > most:
            raise ConfigError(f"has {status.st_size:,} bytes; at most {most:,} are read", file=path)
        try:
            data = stream.read(most + 1)
        except OSError as error:
            raise ConfigError(f"cannot be read: {error.strerror}", file=path) from None
    if len(data) > most:
        raise ConfigError(f"has more than {most:,} bytes", file=path)
    return data


def check_files(parsed: ParsedConfig, root: Path, *, needed: Collection[str] | None = None) -> tuple[ImageFiles, ...]:
    """The files of every image, with the Dockerfile parsed; `root` is the folder that paths are relative to.

    `needed`: the images that matter (None: all); another one is left out where something is wrong with it, for a sparse
    checkout lacks files, unless it is built from the context of one that matters: what it uses of that must be known.

    Raises ConfigProblemsError for contexts and Dockerfiles that are missing or lie outside `root`, and for
    targets and stages that the Dockerfile lacks; an error of the Dockerfile itself names its own line.
    """
    problems: list[Problem] = []
    files: list[ImageFiles] = []
    images = parsed.config.images
    contexts = {images[name].context_path for name in (images if needed is None else needed)}
    for name, image in images.items():
        found: list[Problem] = []
        spare = needed is not None and name not in needed and image.context_path not in contexts
        try:
            own = _image_files(parsed, root.resolve(), name, image)
        except _FileError as error:
            found.append(Problem(line=parsed.line_of("images", name, error.key), message=str(error)))
        except ConfigError:
            if not spare:
                raise
            continue
        else:
            found += _stage_problems(parsed, name, image, own)
            if not found or not spare:
                files.append(own)
        problems += [] if spare else found
    if problems:
        raise ConfigProblemsError(problems, file=parsed.file)
    return tuple(files)


_INIT: Final = "`ci-budget init` writes a config from the repository's Dockerfiles; --config names another file."


class _FileError(Exception):
    """A file that a key of an image names cannot be used."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def _image_files(parsed: ParsedConfig, root: Path, name: str, image: ImageConfig) -> ImageFiles:
    context = _inside(root, image.context_path, name, "context")
    if not context.is_dir():
        what = "is not a folder" if context.exists() else "does not exist"
        raise _FileError("context", f"images.{name}.context: the folder '{image.context}' {what}")
    dockerfile = _inside(root, image.dockerfile_path, name, "dockerfile")
    if not dockerfile.is_file():
        what = "is not a file" if dockerfile.exists() else "does not exist"
        hint = _file_hint(image, context) if what == "does not exist" else ""
        raise _FileError("dockerfile", f"images.{name}.dockerfile: '{image.dockerfile_path}' {what}{hint}")
    top = repository_root(root)
    beside = Path(parsed.file).parent / image.dockerfile_path
    # reports name it from the repository's root, as runners want it, wherever the command was given
    shown = os.path.relpath(root / image.dockerfile_path, top) if os.path.lexists(top / ".git") else str(beside)
    try:
        data = read_bounded(dockerfile, MAX_DOCKERFILE)
    except ConfigError as error:
        raise _FileError("dockerfile", f"images.{name}.dockerfile: '{image.dockerfile_path}' {error.what}") from None
    return ImageFiles(name=name, context=context, dockerfile=dockerfile, parsed=parse_dockerfile(data, shown))


def _inside(root: Path, relative: str, name: str, key: str) -> Path:
    try:
        path = (root / relative).resolve()
    except (OSError, RuntimeError) as error:
        raise _FileError(key, f"images.{name}.{key}: '{relative}' cannot be followed: {error}") from None
    if not path.is_relative_to(root):
        raise _FileError(key, f"images.{name}.{key}: '{relative}' leads outside of the repository by a symlink")
    return path


def _file_hint(image: ImageConfig, context: Path) -> str:
    here = sorted(entry.name for entry in context.iterdir() if "dockerfile" in entry.name.lower())
    names = [name for name in here if not name.lower().endswith(".dockerignore")]
    return f"; {suggest(image.dockerfile, names, kind='Dockerfiles')}" if names else "; it is relative to the context"


def _stage_problems(parsed: ParsedConfig, name: str, image: ImageConfig, files: ImageFiles) -> list[Problem]:
    stages = files.stage_names
    known = {stage.lower() for stage in stages}
    numbers = {str(index) for index in range(len(stages))}
    problems = []
    if image.target is not None and image.target.lower() not in known | numbers:
        message = f"images.{name}.target: {image.dockerfile_path} has no stage '{image.target}'; "
        message += suggest(image.target, stages, kind="stages")
        problems.append(Problem(line=parsed.line_of("images", name, "target"), message=message))
    for stage in image.stages:
        if stage.lower() not in known | numbers:
            message = f"images.{name}.stages: {image.dockerfile_path} has no stage '{stage}'; "
            message += suggest(stage, stages, kind="stages")
            problems.append(Problem(line=parsed.line_of("images", name, "stages", stage), message=message))
    return problems
