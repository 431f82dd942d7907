"""`RUN --mount=…` as BuildKit reads it (`frontend/dockerfile/instructions/commands_runmount.go`)."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass

from ci_budget.core.dockerfile.instructions import Instruction, flag_values
from ci_budget.core.text.plain_text import one_line, shorten
from ci_budget.core.text.suggestion import suggest
from ci_budget.errors import ConfigError

TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One mount: its type, where it comes from (empty: the context, or nothing), and the path in there.

    `kind` and `source` may still have variables in them; `origin` never has.
    """

    kind: str
    origin: str
    source: str

    def expanded(self, expand: Callable[[str], str]) -> Mount:
        """The same with the variables of `kind` and `source` replaced."""
        return Mount(kind=expand(self.kind).lower(), origin=self.origin, source=expand(self.source))

    @property
    def keeps_origin(self) -> bool:
        """True where the mount shows something of its origin; tmpfs, secrets and SSH only name one."""
        return self.kind not in ("tmpfs", "secret", "ssh")


def read_mounts(instruction: Instruction, file: str) -> tuple[Mount, ...]:
    """The mounts of a RUN. Raises ConfigError for a malformed one, and for a variable in `from=`."""
    return tuple(_mount(text, instruction, file) for text in flag_values(instruction, "mount", file))


def _mount(text: str, instruction: Instruction, file: str) -> Mount:
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise ConfigError(f"malformed --mount: {one_line(str(error))}", file=file, line=instruction.line) from error
    kind, origin, source = "bind", "", ""
    for field in rows[0] if rows else []:
        key, equals, value = field.partition("=")
        key = key.lower()
        if not equals:
            continue
        if key == "from":
            if "$" in value[:-1]:
                mend = "name a stage, or define one with FROM and a global ARG"
                what = "'from' of a --mount doesn't support variable expansion"
                raise ConfigError(what, mend=mend, file=file, line=instruction.line)
            origin = value
        elif key == "type":
            kind = _kind(value, instruction, file)
        elif key in ("source", "src"):
            source = value
    return Mount(kind=kind, origin=origin, source=source)


def _kind(value: str, instruction: Instruction, file: str) -> str:
    if "$" in value or value.lower() in TYPES:
        return value if "$" in value else value.lower()
    mend = suggest(value, TYPES, kind="types")
    raise ConfigError(
        f"unsupported mount type '{shorten(one_line(value))}'", mend=mend, file=file, line=instruction.line
    )
