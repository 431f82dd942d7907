"""What ARG, ENV and WORKDIR mean while a stage is built, and so which paths and steps its instructions come to.

Follows the dispatch functions of BuildKit's `frontend/dockerfile/dockerfile2llb/convert.go`. The environment of an
image from outside is unknown here: what depends on it is marked, never guessed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ci_budget.core.dockerfile.expansion import Expanded, Expander, ExpansionError
from ci_budget.core.dockerfile.instructions import Dockerfile, Instruction, flag_values, single_flag
from ci_budget.core.dockerfile.mounts import read_mounts
from ci_budget.core.stages.platforms import Platform
from ci_budget.core.text.plain_text import one_line, shorten
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
    """A path of the build context in an instruction's words; the fields are those of `stage_plan.ContextSource`."""

    command: str
    path: str
    text: str
    excludes: tuple[str, ...]
    parents: bool
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
        raise ConfigError(
            one_line(f"failed to expand '{shorten(word)}': {shorten(str(error), 300)}"), file=file, line=line
        ) from error


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
        pairs = [
            (self._expand(name, instruction), self._expand(value, instruction))
            for name, value in _assigned(instruction.arguments)
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
        if single_flag(instruction, "from", self.file):
            return
        excludes = [self._expand(word, instruction) for word in flag_values(instruction, "exclude", self.file)]
        parents = any(flag.lower() in ("--parents", "--parents=true") for flag in instruction.flags)
        for word in instruction.arguments[:-1]:
            if not instruction.is_json and _HEREDOC.fullmatch(word):
                continue
            expanded = self._expand(word, instruction)
            if instruction.command == "add" and _REMOTE.match(expanded.text):
                continue
            yield self._used(instruction, expanded, excludes, parents=parents)

    def _mounted(self, instruction: Instruction) -> Iterator[UsedPath]:
        for mount in read_mounts(instruction, self.file):
            if mount.origin:
                continue
            kind = self._expand(mount.kind, instruction)
            if kind.text.lower() == "bind" or self._unresolved(kind):
                yield self._used(instruction, self._expand(mount.source, instruction))

    def _used(
        self, instruction: Instruction, expanded: Expanded, excludes: Sequence[Expanded] = (), *, parents: bool = False
    ) -> UsedPath:
        unresolved = [name for word in (expanded, *excludes) for name in self._unresolved(word)]
        return UsedPath(
            command=instruction.command,
            path=_clean("/" + expanded.text).lstrip("/") or ".",
            text=expanded.text,
            excludes=tuple(word.text for word in excludes),
            parents=parents,
            unresolved=tuple(dict.fromkeys(unresolved)),
        )


def _declared(instruction: Instruction, file: str) -> Iterator[tuple[str, str | None]]:
    """The names of an ARG with their defaults as written, None where there is none."""
    for word in instruction.arguments:
        name, equals, value = word.partition("=")
        if not name:
            raise ConfigError("ARG names can not be blank", file=file, line=instruction.line)
        yield name, value if equals else None


def _assigned(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The names and values of an ENV. Parsers of BuildKit >= 0.13 put the sign (`=` or nothing) behind each value."""
    signed = len(words) % 3 == 0 and all(word in ("", "=") for word in words[2::3])
    width = 3 if signed else 2
    return zip(words[::width], words[1::width], strict=False)


def _clean(path: str) -> str:
    return "/" + posixpath.normpath(path).lstrip("/")
