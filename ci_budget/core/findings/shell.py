"""The commands of a shell text, as far as words can tell: enough to see what a RUN installs, uses and changes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

Command = tuple[str, ...]

_ENDS = ";&|()\n"
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
# words that other commands follow
_BEFORE = frozenset(("if", "then", "elif", "else", "while", "until", "do", "!", "{", "time", "exec", "sudo", "env"))
_INSTALLERS = frozenset(("apt-get", "apt", "apk", "dnf", "yum", "microdnf", "zypper", "pacman", "apt-mark"))
_HARMLESS = frozenset(("set", "export", "rm", "echo", "true", ":", "update-alternatives", "ln", "}", "fi", "done"))
_COMPILERS = (
    r"(?:[a-z0-9_]+-linux-[a-z0-9]+-)?(?:gcc|g\+\+|cc|c\+\+|cpp|clang|clang\+\+|gfortran)(?:-[0-9.]+)?"
    r"|g?make|cmake|ctest|ninja|meson|ld|go|cargo|rustc|rustup|maturin|nvcc|tcc"
)
_COMPILES = re.compile(_COMPILERS)
_CONFIGURES = re.compile(r"(?:^|/)(?:configure|autogen\.sh|bootstrap|setup\.py)$")


def read_commands(text: str) -> Sequence[Command]:
    """The commands, each as its words without quotes; none where the text's quotes do not close."""
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars=_ENDS)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    try:
        words = list(lexer)
    except ValueError:
        return ()
    found: list[list[str]] = [[]]
    for word in words:
        if set(word) <= set(_ENDS):
            found.append([])
        else:
            found[-1].append(word)
    return [command for one in found if (command := _bare(one))]


def only_installs(text: str) -> bool:
    """Whether a shell text does nothing but install packages of the system, and clean up behind that."""
    commands = read_commands(text)
    names = {name_of(command) for command in commands}
    return bool(names & _INSTALLERS) and names <= _INSTALLERS | _HARMLESS


def compiles(text: str) -> bool:
    """Whether a shell text calls a compiler, or what calls one, by its name."""
    return any(
        is_compiler(name_of(command)) or any(_CONFIGURES.search(word) for word in command[:2])
        for command in read_commands(text)
    )


def is_compiler(name: str) -> bool:
    """Whether a program of this name compiles, links, or runs what does."""
    return _COMPILES.fullmatch(name) is not None


def name_of(command: Command) -> str:
    """The name of the program, without its folder."""
    return command[0].rpartition("/")[2]


def started(words: Sequence[str]) -> Iterator[str]:
    """The names of the programs that a CMD or ENTRYPOINT in JSON form starts, those of its shell's text included."""
    command = _bare(list(words))
    if not command:
        return
    yield name_of(command)
    for index, word in enumerate(command[1:-1], 1):
        if word in ("-c", "-lc", "-ec") and name_of(command).endswith("sh"):
            yield from (name_of(one) for one in read_commands(command[index + 1]))
        elif word == "--":
            yield command[index + 1].rpartition("/")[2]


def _bare(words: list[str]) -> Command:
    """Without what stands before the program, and without a comment behind it."""
    words = words[: next((at for at, word in enumerate(words) if word.startswith("#")), len(words))]
    start = next((at for at, word in enumerate(words) if word not in _BEFORE and not _ASSIGNMENT.match(word)), None)
    return tuple(words[start:]) if start is not None else ()
