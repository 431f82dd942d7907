"""The config that a check goes by: a file, or what the command line says of one image, or both."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ci_budget.commands.check_options import CheckOptions
from ci_budget.core.config.model import Config, ImageConfig
from ci_budget.core.config.text import ParsedConfig
from ci_budget.core.text.suggestion import suggest
from ci_budget.edges.files.config_file import CONFIG_NAMES, find_config, load_config, repository_root
from ci_budget.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
_NO_NAME = re.compile(r"[^a-z0-9._-]+")


def goes_without_config(options: CheckOptions) -> bool:
    """Whether the options describe the one image themselves: --context or --file without --image and --config."""
    alone = (options.context is not None or options.file is not None) and not options.images
    return alone and options.config is None


def read_config(options: CheckOptions) -> tuple[ParsedConfig, Path]:
    """The config and its folder; a config made of the options where they describe the image themselves.

    Raises ConfigError, naming file and line.
    """
    if goes_without_config(options):
        return _config_of_options(options)
    path = find_config(Path.cwd(), options.config)
    shown = Path(os.path.relpath(path))  # as annotations and readers want it
    return load_config(path if str(shown).startswith("..") else shown), path.resolve().parent


def _config_of_options(options: CheckOptions) -> tuple[ParsedConfig, Path]:
    context = (options.context or Path()).resolve()
    folder = repository_root(context)
    file = (options.file or context / "Dockerfile").resolve()
    name = _NO_NAME.sub("-", context.name.lower()).strip("-._") or "image"
    image: Mapping[str, object] = {
        "context": _relative(context, folder, "--context"),
        "dockerfile": _relative(file, context, "--file"),
    }
    config = _read(Config, {"version": 1, "images": {name: image}})
    return ParsedConfig(config=config, file="(command line)", lines={}), folder


def _read(model: type[Model], values: Mapping[str, object]) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"the command line: {found}") from None


def _relative(path: Path, folder: Path, option: str) -> str:
    found = os.path.relpath(path, folder)
    if option == "--context" and found.startswith(".."):
        raise ConfigError(f"{option} {path} lies outside of the repository {folder}")
    return found


def require_known(names: Sequence[str], parsed: ParsedConfig) -> None:
    """Raises ConfigError for a name that is no image of the config."""
    for name in names:
        if name not in parsed.config.images:
            hint = suggest(name, parsed.config.images, kind="images")
            raise ConfigError(f"there is no image '{name}' in this config; {hint}", file=parsed.file)


def overridden(parsed: ParsedConfig, folder: Path, options: CheckOptions) -> ParsedConfig:
    """The config with what the command line says of one image in its place. Raises ConfigError."""
    given: dict[str, object] = {}
    if len(options.images) == 1 or len(parsed.config.images) == 1:
        name = options.images[0] if options.images else next(iter(parsed.config.images))
    else:
        if any((options.target, options.build_args, options.context, options.file)):
            raise ConfigError("--context, --file, --target and --build-arg are about one image; name it with --image")
        return parsed
    image = parsed.config.images[name]
    context = folder / image.context_path
    if parsed.lines and options.context is not None:
        context = options.context.resolve()
        given["context"] = _relative(context, folder, "--context")
    if parsed.lines and options.file is not None:
        given["dockerfile"] = _relative(options.file.resolve(), context, "--file")
    if options.target is not None:
        given["target"] = options.target
    if options.build_args:
        arguments = dict(part.partition("=")[::2] for part in options.build_args)
        given["build_args"] = {**image.build_args, **arguments}
    if not given:
        return parsed
    merged = _read(ImageConfig, {**image.model_dump(exclude_unset=True), **given})
    config = parsed.config.model_copy(update={"images": {**parsed.config.images, name: merged}})
    return ParsedConfig(config=config, file=parsed.file, lines=parsed.lines)


def config_places(file: Path, *, searched: bool) -> list[Path]:
    """Where another revision may have the config that `file` is now, nearest first; absolute.

    `searched`: it was searched for, so it may have another of the names there, or lie further up.
    """
    own = file.parent.resolve() / file.name
    found = [own]
    if searched:
        top = repository_root(own.parent)
        above = [own.parent, *(parent for parent in own.parents if parent.is_relative_to(top))]
        found += [parent / name for parent in above for name in CONFIG_NAMES]
    return list(dict.fromkeys(found))
