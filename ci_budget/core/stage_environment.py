"""What ARG, ENV and WORKDIR mean while a stage is built, and so which paths and steps its instructions come to.

Follows the dispatch functions of BuildKit's `frontend/dockerfile/dockerfile2llb/convert.go`. The environment of an
image from outside is unknown here: what depends on it is marked, never guessed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ci_budget.core.dockerfile import Dockerfile, Instruction
from ci_budget.core.expansion import Expanded, Expander, ExpansionError
from ci_budget.core.mounts import read_mounts
from ci_budget.core.platforms import Platform
from ci_budget.errors import ConfigError

MAX_VARIABLES = 2_000
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REMOTE = re.compile(r"(?:https?|git|ssh)://|[^/\s@]+@[^/\s:]+:")
_HEREDOC = re.compile(r"[0-9]*<<-?\s*[^<]+")


@dataclass(kw_only=True)
class Environment:
    """The variables of a stage. `complete` is False where a base image may have others. `directory` may be unknown."""

    values: dict[str, str] = field(default_factory=dict)
    complete: bool = True
    directory: str | None = "/"

    def copy(self) -> Environment:
        """An environment of its own for a stage that starts from this one."""
        return Environment(values=dict(self.values), complete=self.complete, directory=self.directory)


def scratch_environment() -> Environment:
    """The environment of an empty stage."""
    return Environment(values={"PATH": _PATH})


def unknown_environment() -> Environment:
    """The environment of an image from outside."""
    return Environment(complete=False, directory=None)


@dataclass(frozen=True, kw_only=True)
class UsedPath:
    """A path of the build context in an instruction's words, clean and relative, `.` for all of it."""

    command: str
    path: str
    unresolved: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Build arguments as given, and the values that hold before the first FROM."""

    given: Mapping[str, str]
    outside: Mapping[str, str]


def global_arguments(
    dockerfile: Dockerfile,
    given: Mapping[str, str],
    expander: Expander,
    *,
    target: Platform,
    build: Platform,
    stage: str,
) -> Arguments:
    """The values that FROM sees: the automatic platform arguments and the ARGs before the first FROM.

    Raises ConfigError where an ARG cannot be expanded.
    """
    values = {
        "BUILDPLATFORM": str(build), "BUILDOS": build.system, "BUILDOSVERSION": "", "BUILDARCH": build.architecture,
        "BUILDVARIANT": build.variant, "TARGETPLATFORM": str(target), "TARGETOS": target.system, "TARGETOSVERSION": "",
        "TARGETARCH": target.architecture, "TARGETVARIANT": target.variant, "TARGETSTAGE": stage,
    }  # fmt: skip
    values = {name: given.get(name, value) for name, value in values.items()}
    for instruction in dockerfile.global_arguments:
        for name, default in _declared(instruction, dockerfile.file):
            if name in given:
                values[name] = given[name]
            elif default is not None:
                values[name] = expand(default, values, expander, dockerfile.file, instruction.line).text
    return Arguments(given=given, outside=values)


def expand(word: str, values: Mapping[str, str], expander: Expander, file: str, line: int) -> Expanded:
    """A word with its variables replaced. Raises ConfigError with the place where it cannot be."""
    try:
        return expander.expand(word, values)
    except ExpansionError as error:
        raise ConfigError(f"failed to expand '{word[:80]!a}': {error}", file=file, line=line) from error


@dataclass(kw_only=True)
class StageWalk:
    """Goes through the instructions of one stage, keeping its environment up to date."""

    file: str
    arguments: Arguments
    expander: Expander
    environment: Environment

    def enter(self, instruction: Instruction) -> tuple[bool, tuple[UsedPath, ...]]:
        """Take in one instruction: does the engine number it as a step, and which paths of the context it can use.

        Raises ConfigError where its words cannot be expanded.
        """
        command = instruction.command
        if command == "arg":
            self._declare(instruction)
        elif command == "env":
            self._set(instruction)
        elif command == "workdir":
            return self._change_directory(instruction), ()
        elif command in ("copy", "add"):
            return True, tuple(self._copied(instruction))
        elif command == "run":
            return True, tuple(self._mounted(instruction))
        return False, ()

    def _expand(self, word: str, instruction: Instruction) -> Expanded:
        return expand(word, self.environment.values, self.expander, self.file, instruction.line)

    def _unresolved(self, expanded: Expanded) -> tuple[str, ...]:
        return () if self.environment.complete else expanded.unset

    def _put(self, name: str, expanded: Expanded | None, text: str | None = None) -> None:
        values = self.environment.values
        if expanded is not None and self._unresolved(expanded):
            values.pop(name, None)
            return
        values[name] = expanded.text if expanded is not None else text or ""
        if len(values) > MAX_VARIABLES:
            raise ConfigError(f"a stage has more than {MAX_VARIABLES} variables", file=self.file)

    def _declare(self, instruction: Instruction) -> None:
        for name, default in _declared(instruction, self.file):
            if name in self.arguments.given:
                self._put(name, None, self.arguments.given[name])
            elif default is not None:
                self._put(name, self._expand(default, instruction))
            elif name in self.arguments.outside:
                self._put(name, None, self.arguments.outside[name])

    def _set(self, instruction: Instruction) -> None:
        words = instruction.arguments
        pairs = [
            (self._expand(words[at], instruction), self._expand(words[at + 1], instruction))
            for at in range(0, len(words) - 1, 3)
        ]
        for name, value in pairs:
            if not self._unresolved(name):
                self._put(name.text, value)

    def _change_directory(self, instruction: Instruction) -> bool:
        expanded = self._expand(instruction.arguments[0], instruction)
        environment = self.environment
        if self._unresolved(expanded):
            environment.directory = None
            return True
        if environment.directory is None and not expanded.text.startswith("/"):
            return True
        environment.directory = _clean(posixpath.join(environment.directory or "/", expanded.text))
        return environment.directory != "/"

    def _copied(self, instruction: Instruction) -> Iterator[UsedPath]:
        if any(flag.startswith("--from=") and flag != "--from=" for flag in instruction.flags):
            return
        for word in instruction.arguments[:-1]:
            if not instruction.is_json and _HEREDOC.fullmatch(word):
                continue
            expanded = self._expand(word, instruction)
            if instruction.command == "add" and _REMOTE.match(expanded.text):
                continue
            yield self._used(instruction, expanded)

    def _mounted(self, instruction: Instruction) -> Iterator[UsedPath]:
        for mount in read_mounts(instruction, self.file):
            if mount.origin:
                continue
            kind = self._expand(mount.kind, instruction)
            if kind.text.lower() == "bind" or self._unresolved(kind):
                yield self._used(instruction, self._expand(mount.source, instruction))

    def _used(self, instruction: Instruction, expanded: Expanded) -> UsedPath:
        path = _clean("/" + expanded.text).lstrip("/") or "."
        return UsedPath(command=instruction.command, path=path, unresolved=self._unresolved(expanded))


def _declared(instruction: Instruction, file: str) -> Iterator[tuple[str, str | None]]:
    """The names of an ARG with their defaults as written, None where there is none."""
    for word in instruction.arguments:
        name, equals, value = word.partition("=")
        if not name:
            raise ConfigError("ARG names can not be blank", file=file, line=instruction.line)
        yield name, value if equals else None


def _clean(path: str) -> str:
    return "/" + posixpath.normpath(path).lstrip("/")
