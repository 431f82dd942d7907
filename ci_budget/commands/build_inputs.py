"""What a build takes from outside of its context: secrets, ssh agents and keys, named contexts, the environment.

Paths in the config are relative to its folder.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ci_budget.core.config.model import ImageConfig
from ci_budget.core.config.names import Secret
from ci_budget.core.config.text import ConfigProblemsError, ParsedConfig
from ci_budget.core.config.yaml_tree import Problem

AGENT_VARIABLE = "SSH_AUTH_SOCK"
_LAYOUT = "oci-layout://"
_LONGEST_SECRET = 64 * 1024
_SHORTEST_SECRET = 4


def require_inputs(parsed: ParsedConfig, names: Sequence[str], folder: Path) -> None:
    """Raises ConfigProblemsError for whatever of that is not there, or cannot be used, of the images `names`."""
    problems = []
    for name in names:
        image = parsed.config.images[name]
        for path, said in (*_secret_problems(image, folder), *_agent_problems(image, folder)):
            problems.append(Problem(line=parsed.line_of("images", name, *path), message=f"images.{name}.{said}"))
        for key, source in image.build_contexts.items():
            problem = _context_problem(source, folder)
            if problem is not None:
                line = parsed.line_of("images", name, "build_contexts", key)
                problems.append(Problem(line=line, message=f"images.{name}.build_contexts.{key}: {problem}"))
    if problems:
        raise ConfigProblemsError(problems, file=parsed.file)


def build_arguments(image: ImageConfig) -> dict[str, str]:
    """Build arguments; one without a value takes it from the environment, and is left out where that has none."""
    found: dict[str, str] = {}
    for name, value in image.build_args.items():
        given = str(value) if value not in (None, "") else os.environ.get(name)
        if given is not None:
            found[name] = given
    return found


def environment_names(image: ImageConfig) -> list[str]:
    """The environment variables that an image's build takes values from."""
    arguments = [name for name, value in image.build_args.items() if value in (None, "")]
    return [*arguments, *(secret.env or secret.id for secret in image.secrets if secret.src is None)]


def found_secrets(image: ImageConfig, folder: Path) -> tuple[Secret, ...]:
    """The secrets with their sources, as buildx finds one where none is named: the variable of its name, else the
    file."""
    return tuple(
        replace(secret, env=secret.env or secret.id)
        if secret.env is not None or (secret.src is None and secret.id in os.environ)
        else replace(secret, src=str(folder / (secret.src or secret.id)))
        for secret in image.secrets
    )


def found_agents(image: ImageConfig, folder: Path) -> tuple[str, ...]:
    """`ssh` as buildx takes it, with the whole paths of sockets and keys."""
    found = []
    for agent in image.ssh:
        name, paths = _agent(agent, folder)
        found.append(f"{name}={','.join(map(str, paths))}" if paths else agent)
    return tuple(found)


def found_contexts(image: ImageConfig, folder: Path) -> dict[str, str]:
    """Named contexts with the whole paths of folders."""
    found = {}
    for name, source in image.build_contexts.items():
        if source.startswith(_LAYOUT):
            found[name] = f"{_LAYOUT}{folder / source.removeprefix(_LAYOUT)}"
        else:
            found[name] = source if "://" in source else str((folder / source).resolve())
    return found


def outside_files(image: ImageConfig, folder: Path) -> list[Path]:
    """The files that secrets and ssh take from this machine."""
    found = [Path(secret.src) for secret in found_secrets(image, folder) if secret.src is not None]
    return found + [path for agent in image.ssh for path in _agent(agent, folder)[1]]


def redactor(image: ImageConfig, folder: Path) -> Callable[[str], str]:
    """Replaces secret values in anything that is logged or reported; the longest first.

    A file's lines count one by one, and those that are shorter than any secret say nothing.
    """
    texts = _secret_texts(image, folder)
    lines = {line.strip() for text in texts.values() for line in text.splitlines()}
    known = sorted((line for line in lines if len(line) >= _SHORTEST_SECRET), key=len, reverse=True)

    def redact(text: str) -> str:
        for value in known:
            text = text.replace(value, "***")
        return text

    return redact


def _secret_texts(image: ImageConfig, folder: Path) -> dict[tuple[str | int, ...], str]:
    """The contents of secrets and secret build arguments by their place in the config, as far as they can be read."""
    found: dict[tuple[str | int, ...], str] = {}
    for index, secret in enumerate(found_secrets(image, folder)):
        if secret.env is not None:
            found["secrets", index] = os.environ.get(secret.env, "")
        elif secret.src is not None:
            with contextlib.suppress(OSError, ValueError), Path(secret.src).open("rb") as handle:
                found["secrets", index] = handle.read(_LONGEST_SECRET).decode("utf-8", "replace")
    arguments = build_arguments(image)
    for index, name in enumerate(image.secret_build_args):
        found["secret_build_args", index] = arguments.get(name, "")
    return found


_Problems = Iterator[tuple[tuple[str | int, ...], str]]


def _secret_problems(image: ImageConfig, folder: Path) -> _Problems:
    """A secret that is not there, and one so short that it stands in ordinary text as well."""
    for index, secret in enumerate(found_secrets(image, folder)):
        problem = None
        if secret.env is not None:
            problem = None if secret.env in os.environ else f"the variable {secret.env} is not set"
        elif secret.src is not None:
            problem = _file_problem(Path(secret.src), folder)
            if problem is not None and image.secrets[index].src is None:
                problem += f", nor is there a variable {secret.id}"
        if problem is not None:
            yield ("secrets", index), f"secrets: the secret '{secret.id}': {problem}"
    named: Mapping[str, Sequence[str]] = {
        "secrets": [secret.id for secret in image.secrets],
        "secret_build_args": image.secret_build_args,
    }
    for path, text in _secret_texts(image, folder).items():
        if 0 < len(text.strip()) < _SHORTEST_SECRET:
            name = named[str(path[0])][int(path[1])]
            yield (
                path,
                f"{path[0]}: the secret '{name}' has fewer than {_SHORTEST_SECRET} characters, too short to be kept "
                "out of logs: ordinary text holds it too; take a longer one, or an ordinary build argument if it is "
                "no secret",
            )


def _agent(agent: str, folder: Path) -> tuple[str, list[Path]]:
    name, _, paths = agent.partition("=")
    return name, [folder / path for path in paths.split(",") if path]


def _agent_problems(image: ImageConfig, folder: Path) -> _Problems:
    for index, agent in enumerate(image.ssh):
        name, paths = _agent(agent, folder)
        if not paths:
            socket = os.environ.get(AGENT_VARIABLE, "")
            problem = _file_problem(Path(socket), folder) if socket else f"the variable {AGENT_VARIABLE} is not set"
            problems = [problem]
        else:
            problems = [_file_problem(path, folder) for path in paths]
        yield from ((("ssh", index), f"ssh: '{name}': {problem}") for problem in problems if problem is not None)


def _file_problem(path: Path, folder: Path) -> str | None:
    """Why a file or a socket cannot be used."""
    shown = f"'{path.relative_to(folder) if path.is_relative_to(folder) else path}'"
    mode = _mode(path)
    if isinstance(mode, str):
        return f"the file {shown} {mode}"
    if stat.S_ISDIR(mode):
        return f"{shown} is a folder, and a file is needed"
    return None if os.access(path, os.R_OK) else f"the file {shown} may not be read by this user"


def _mode(path: Path) -> int | str:
    """The mode of what is there; why there is nothing."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "does not exist"
    except (OSError, ValueError) as error:
        return f"cannot be read: {error.strerror if isinstance(error, OSError) else error}"


def _context_problem(source: str, folder: Path) -> str | None:
    """Why a named context cannot be used, as far as that can be told here."""
    if "://" in source and not source.startswith(_LAYOUT):
        return None
    text = source.removeprefix(_LAYOUT)
    if source != text:
        text = text.partition("@")[0]
        name, colon, tag = text.rpartition(":")
        text = name if colon and "/" not in tag else text
    path = folder / text
    mode = _mode(path)
    if isinstance(mode, str):
        return f"the folder '{text}' {mode}"
    if not stat.S_ISDIR(mode):
        return f"'{text}' is no folder"
    return None if os.access(path, os.R_OK | os.X_OK) else f"the folder '{text}' may not be read by this user"
