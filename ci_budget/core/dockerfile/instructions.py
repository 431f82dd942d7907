"""A Dockerfile as stages and instructions with their line numbers.

Words and lines come from BuildKit's own parser (`go_parser`). What that leaves to others, the forms of FROM, ARG,
COPY and ONBUILD, is done here as in BuildKit's `frontend/dockerfile/instructions/parse.go`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ci_budget.core.dockerfile.directives import Directives, read_directives, split_bom
from ci_budget.core.dockerfile.go_parser import Command, failing_line, parse_commands
from ci_budget.core.dockerfile.stage_names import default_name
from ci_budget.core.text.plain_text import one_line, shorten
from ci_budget.core.text.suggestion import suggest
from ci_budget.errors import ConfigError

MAX_BYTES = 1024 * 1024
MAX_LINES = 20_000  # the parser's time for a heredoc grows with the square of its lines
MAX_STAGES = 500
MAX_INSTRUCTIONS = 10_000
_LONGEST_LINE = 64 * 1024
_COMMANDS = (
    "add", "arg", "cmd", "copy", "entrypoint", "env", "expose", "from", "healthcheck", "label", "maintainer",
    "onbuild", "run", "shell", "stopsignal", "user", "volume", "workdir",
)  # fmt: skip
_LEAST = {"add": 2, "copy": 2, "env": 1, "label": 1, "expose": 1, "volume": 1, "healthcheck": 1, "arg": 1}
_EXACTLY_ONE = frozenset({"workdir", "user", "stopsignal", "maintainer"})
_NEVER_TRIGGER = frozenset({"onbuild", "from", "maintainer"})
_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*")
_ONBUILD = re.compile(r"^\s*ONBUILD\s*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Heredoc:
    """An inline document: the word that ends it and its text, line breaks included."""

    name: str
    content: str


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction. Lines are 1-based and inclusive.

    `command` is in lower case, `arguments` are the words (or the one shell text) without the flags, `original` is
    the text with continued lines joined and heredocs appended. ONBUILD has its instruction in `trigger`.
    """

    command: str
    arguments: tuple[str, ...]
    flags: tuple[str, ...]
    is_json: bool
    heredocs: tuple[Heredoc, ...]
    line: int
    end_line: int
    original: str
    trigger: Instruction | None = None


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One FROM and what follows it.

    `name` is in lower case, `stage-N` where `named` is false. `base` and `platform` are as written. `line` to
    `from_end_line` is the FROM instruction, `end_line` the last line of the last instruction.
    """

    name: str
    named: bool
    index: int
    line: int
    from_end_line: int
    end_line: int
    base: str
    platform: str | None
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, kw_only=True)
class Dockerfile:
    """A parsed Dockerfile. `global_arguments` are the ARG instructions before the first FROM."""

    file: str
    escape: str
    directives: Directives
    global_arguments: tuple[Instruction, ...]
    stages: tuple[Stage, ...]


@dataclass(frozen=True, kw_only=True)
class _Source:
    file: str
    escape: str
    lines: tuple[bytes, ...]


def parse_dockerfile(text: bytes, file: str) -> Dockerfile:
    """Parse a Dockerfile; `file` is its name in messages.

    Raises ConfigError with file and line for what BuildKit's parser refuses, and for a file above 1 MiB,
    20,000 lines, 500 stages or 10,000 instructions.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError(f"the Dockerfile is larger than {MAX_BYTES // 1024} KiB", file=file)
    _, body = split_bom(text)
    directives = read_directives(body, indented=True)
    escape = _escape(directives, file)
    instructions = _instructions(_source(body, directives, escape, file))
    for instruction in instructions:
        _require_form(instruction, file)
    first = next((at for at, instruction in enumerate(instructions) if instruction.command == "from"), None)
    for instruction in instructions[:first]:
        if instruction.command != "arg":
            what = f"{instruction.command.upper()} stands before the first FROM"
            mend = "only ARG may come before FROM"
            raise ConfigError(f"{what}: there is no stage for it", mend=mend, file=file, line=instruction.line)
    if first is None:
        raise ConfigError("the Dockerfile has no FROM, so there is no stage to build", file=file)
    return Dockerfile(
        file=file,
        escape=escape,
        directives=directives,
        global_arguments=instructions[:first],
        stages=_stages(instructions[first:], file),
    )


def flag_values(instruction: Instruction, name: str, file: str) -> tuple[str, ...]:
    """The values of a flag such as `--from=x`, in their order. Raises ConfigError where one has no value."""
    values: list[str] = []
    for flag in instruction.flags:
        if flag == "--":
            break
        key, equals, value = flag.partition("=")
        if key != f"--{name}":
            continue
        if not equals:
            raise ConfigError(f"missing a value on flag: --{name}", file=file, line=instruction.line)
        values.append(value)
    return tuple(values)


def single_flag(instruction: Instruction, name: str, file: str) -> str | None:
    """The value of a flag that may be given once. Raises ConfigError where it has none or is there twice."""
    values = flag_values(instruction, name, file)
    if len(values) > 1:
        raise ConfigError(f"duplicate flag specified: --{name}", file=file, line=instruction.line)
    return values[0] if values else None


def parse_trigger(expression: str, line: int, end_line: int, file: str) -> Instruction:
    """One ONBUILD trigger as an instruction that stands on the given lines.

    Like BuildKit, it is read on its own, with the default escape character. Raises ConfigError when it is no
    single instruction, or one that no trigger may be.
    """
    try:
        found = parse_commands(expression.encode("utf-8", "replace"))
    except ValueError as error:
        raise ConfigError(f"ONBUILD: {error}", file=file, line=line) from error
    if len(found) != 1:
        raise ConfigError("an ONBUILD trigger must be a single instruction", file=file, line=line)
    trigger = _instruction(found[0], line, end_line)
    if trigger.command in _NEVER_TRIGGER:
        raise ConfigError(f"{trigger.command.upper()} isn't allowed as an ONBUILD trigger", file=file, line=line)
    _require_form(trigger, file)
    return trigger


def _stages(instructions: tuple[Instruction, ...], file: str) -> tuple[Stage, ...]:
    starts = [at for at, instruction in enumerate(instructions) if instruction.command == "from"]
    if len(starts) > MAX_STAGES:
        raise ConfigError(f"the Dockerfile has more than {MAX_STAGES} stages", file=file)
    stages: list[Stage] = []
    for index, (start, end) in enumerate(zip(starts, [*starts[1:], len(instructions)], strict=True)):
        begin = instructions[start]
        name = _stage_name(begin, file)
        stages.append(
            Stage(
                name=name or default_name(index),
                named=name is not None,
                index=index,
                line=begin.line,
                from_end_line=begin.end_line,
                end_line=instructions[end - 1].end_line,
                base=begin.arguments[0],
                platform=single_flag(begin, "platform", file) or None,
                instructions=instructions[start + 1 : end],
            )
        )
    return tuple(stages)


def _stage_name(begin: Instruction, file: str) -> str | None:
    words = begin.arguments
    if len(words) == 1:
        return None
    if len(words) != 3 or words[1].lower() != "as":
        mend = "write FROM image, or FROM image AS name"
        raise ConfigError("FROM requires either one or three arguments", mend=mend, file=file, line=begin.line)
    name = words[2].lower()
    if not _STAGE_NAME.fullmatch(name):
        what = f"invalid name for build stage: '{_shown(words[2])}'"
        mend = "a name starts with a letter and has letters, digits, '-', '_' and '.' only"
        raise ConfigError(what, mend=mend, file=file, line=begin.line)
    return name


def _require_form(instruction: Instruction, file: str) -> None:
    command, count = instruction.command, len(instruction.arguments)
    if command not in _COMMANDS:
        what = f"unknown instruction '{_shown(command.upper())}'"
        mend = suggest(command.upper(), [known.upper() for known in _COMMANDS], kind="instructions")
        raise ConfigError(what, mend=mend, file=file, line=instruction.line)
    if command in _EXACTLY_ONE and count != 1:
        raise ConfigError(f"{command.upper()} requires exactly one argument", file=file, line=instruction.line)
    least = _LEAST.get(command, 0)
    if count < least:
        need = "a source and a destination" if least == 2 else "at least one argument"
        raise ConfigError(f"{command.upper()} requires {need}", file=file, line=instruction.line)
    if command == "onbuild" and instruction.trigger is None:
        raise ConfigError("ONBUILD requires at least one argument", file=file, line=instruction.line)


def _escape(directives: Directives, file: str) -> str:
    if directives.repeated is not None:
        what = f"only one {directives.repeated.name} parser directive can be used"
        raise ConfigError(what, file=file, line=directives.repeated.line)
    for directive in directives.found:
        if directive.name == "escape" and directive.value not in ("\\", "`"):
            what = f"invalid escape token '{_shown(directive.value)}': it must be ` or \\"
            raise ConfigError(what, file=file, line=directive.line)
    return directives.value("escape") or "\\"


def _source(body: bytes, directives: Directives, escape: str, file: str) -> _Source:
    """The lines as the Go parser gets them. It knows fewer directives than today's engines: only `escape` stays."""
    lines = body.split(b"\n")
    if len(lines) > MAX_LINES + 1:
        raise ConfigError(f"the Dockerfile has more than {MAX_LINES} lines", file=file)
    for number, line in enumerate(lines, start=1):
        if len(line) > _LONGEST_LINE:
            raise ConfigError("the line is longer than 64 KiB, which BuildKit refuses", file=file, line=number)
    for directive in directives.found:
        lines[directive.line - 1] = b"#"
    if escape != "\\":
        lines[0] = b"# escape=" + escape.encode()
    return _Source(file=file, escape=escape, lines=tuple(lines))


def _instructions(source: _Source) -> tuple[Instruction, ...]:
    try:
        found = parse_commands(b"\n".join(source.lines))
    except ValueError as error:
        what = f"the Dockerfile cannot be parsed: {shorten(one_line(str(error)), 300)}"
        raise ConfigError(what, file=source.file, line=failing_line(source.lines, source.escape)) from error
    if len(found) > MAX_INSTRUCTIONS:
        raise ConfigError(f"the Dockerfile has more than {MAX_INSTRUCTIONS} instructions", file=source.file)
    instructions = []
    for command in found:
        trigger = None
        if command.name == "onbuild" and command.inner:
            expression = _trigger_text(command, source)
            trigger = parse_trigger(expression, command.line, command.end_line, source.file)
        instructions.append(_instruction(command, command.line, command.end_line, trigger))
    return tuple(instructions)


def _trigger_text(command: Command, source: _Source) -> str:
    """What follows ONBUILD. The Go package drops heredocs there, so these are taken from the file's own lines."""
    if "<<" not in command.original:
        return _ONBUILD.sub("", command.original)
    lines = [line.decode("utf-8", "replace") for line in source.lines[command.line - 1 : command.end_line]]
    head = "# escape=`\n" if source.escape == "`" else ""
    return head + _ONBUILD.sub("", lines[0]) + "\n" + "\n".join(lines[1:])


def _instruction(command: Command, line: int, end_line: int, trigger: Instruction | None = None) -> Instruction:
    return Instruction(
        command=command.name,
        arguments=command.arguments,
        flags=command.flags,
        is_json=command.is_json,
        heredocs=tuple(Heredoc(name=name, content=content) for name, content in command.heredocs),
        line=line,
        end_line=end_line,
        original=command.original,
        trigger=trigger,
    )


def _shown(text: str) -> str:
    return shorten(one_line(text))
