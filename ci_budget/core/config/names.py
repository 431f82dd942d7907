"""Names, paths and references in a config, read from the text that a person writes.

The config's scalars stay text (`3.10` is no float, `off` no boolean). Every reader raises
ValueError with the accepted form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from ci_budget.core.text.plain_text import shorten

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}", re.ASCII)
_STAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_PLATFORM = re.compile(r"[a-z0-9]{1,20}/[a-z0-9_]{1,20}(/[a-z0-9.]{1,20})?", re.ASCII)
_LONGEST_PATH = 1024


def shown(value: object) -> str:
    """A scalar as it was written. Raises ValueError for a list, a mapping or nothing."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float | Decimal):
        return str(value).strip()
    kind = "a list" if isinstance(value, list | tuple) else "a mapping" if isinstance(value, dict) else "empty"
    raise ValueError(f"is {kind}; write one value")


def read_text(value: object) -> str:
    """Any text that is not empty; a number is taken as it was written."""
    text = shown(value) if not isinstance(value, str) else value
    if not text.strip():
        raise ValueError("is empty; write some text")
    return text


def read_word(value: object) -> str:
    """A name that stands in a command: letters, digits, `_`, `.`, `-`."""
    return _match(_WORD, value, "a name; letters, digits, '_', '.' and '-' may stand in it")


def read_image_name(value: object) -> str:
    """The name of an image: at most 128 letters, digits, `.`, `_`, `-`, and `/` between parts."""
    text = _match(_NAME, value, "an image name; at most 128 letters, digits, '.', '_', '-' and '/' may stand in it")
    if any(part in ("", ".", "..") for part in text.split("/")):
        raise ValueError(f"'{shorten(text)}' is not an image name; each part between '/' must be a name of its own")
    return text


def read_stage_name(value: object) -> str:
    """The name of a stage, `stage-N` or a stage's number."""
    return _match(_STAGE, value, "a stage name; letters, digits, '.', '_' and '-' may stand in it")


def read_argument_name(value: object) -> str:
    """The name of a build argument."""
    return _match(_ARGUMENT, value, "a build argument; letters, digits and '_' may stand in it")


def read_argument_value(value: object) -> str | None:
    """A build argument's value as it was written; None (nothing written): taken from the environment."""
    return None if value is None else value if isinstance(value, str) else shown(value)


def read_platform(value: object) -> str:
    """A platform as the engine writes it."""
    return _match(_PLATFORM, value, "a platform; write one such as linux/amd64 or linux/arm64/v8")


def read_path(value: object) -> str:
    """A relative path; whether it stays below its root is decided where it is joined (`joined_path`)."""
    text = read_text(value)
    if "://" in text or text.startswith("git@"):
        raise ValueError(f"'{shorten(text)}' is remote; check the repository out and name a folder of it")
    if text.startswith(("/", "~")):
        raise ValueError(f"'{shorten(text)}' is absolute; write a path relative to the config's folder")
    if len(text) > _LONGEST_PATH or not text.isprintable():
        raise ValueError(f"'{shorten(text)}' is no path of a file that can be checked in")
    return text


def joined_path(*parts: str) -> str:
    """The parts as one path below the root, without `.` and `..`. Raises ValueError when it leaves the root."""
    kept: list[str] = []
    for word in "/".join(parts).split("/"):
        if word == ".." and not kept:
            raise ValueError(f"'{shorten(parts[-1])}' leaves the folder of the config; name a path inside it")
        if word == "..":
            kept.pop()
        elif word not in ("", "."):
            kept.append(word)
    return "/".join(kept) or "."


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A build secret, from an environment variable or a file, as `docker buildx build --secret` takes it."""

    id: str
    env: str | None = None
    src: str | None = None

    @property
    def flag(self) -> str:
        """The value for `--secret`."""
        source = f",env={self.env}" if self.env else f",src={self.src}" if self.src else ""
        return f"id={self.id}{source}"


def read_secret(value: object) -> Secret:
    """`id=NAME`, `id=NAME,env=VARIABLE` or `id=NAME,src=FILE`."""
    if isinstance(value, Secret):
        return value
    form = "write id=NAME,env=VARIABLE or id=NAME,src=FILE"
    pairs = dict(part.partition("=")[::2] for part in shown(value).split(","))
    source = pairs.get("src") or pairs.get("source")
    known = {"id", "env", "src", "source", "type"}
    if not _WORD.fullmatch(pairs.get("id", "")) or set(pairs) - known or (pairs.get("env") and source):
        raise ValueError(f"'{shorten(shown(value))}' is not a secret; {form}")
    return Secret(id=pairs["id"], env=pairs.get("env") or None, src=source or None)


def read_date(value: object) -> date:
    """A day, written 2026-12-31."""
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(shown(value))
    except ValueError:
        raise ValueError(f"'{shorten(shown(value))}' is not a day; write one such as 2026-12-31") from None


def _match(pattern: re.Pattern[str], value: object, what: str) -> str:
    text = shown(value)
    if not pattern.fullmatch(text):
        raise ValueError(f"'{shorten(text)}' is not {what}")
    return text


_NAMED_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_NUMBER_OR_TEXT: dict[str, Any] = {"type": ["string", "number", "boolean"]}

Text = Annotated[str, PlainValidator(read_text), WithJsonSchema(_NUMBER_OR_TEXT)]
Word = Annotated[str, PlainValidator(read_word), WithJsonSchema(_NAMED_TEXT)]
ImageName = Annotated[str, PlainValidator(read_image_name), WithJsonSchema(_NAMED_TEXT)]
StageName = Annotated[
    str, PlainValidator(read_stage_name), WithJsonSchema({"type": ["string", "integer"], "minLength": 1})
]
ArgumentName = Annotated[str, PlainValidator(read_argument_name), WithJsonSchema(_NAMED_TEXT)]
ArgumentValue = Annotated[
    str | None,
    PlainValidator(read_argument_value),
    WithJsonSchema({"type": ["string", "number", "boolean", "null"]}),
]
Platform = Annotated[str, PlainValidator(read_platform), WithJsonSchema(_NAMED_TEXT)]
RelativePath = Annotated[str, PlainValidator(read_path), WithJsonSchema(_NAMED_TEXT)]
SecretValue = Annotated[
    Secret, PlainValidator(read_secret), PlainSerializer(lambda secret: secret.flag), WithJsonSchema(_NAMED_TEXT)
]
Day = Annotated[
    date,
    PlainValidator(read_date),
    PlainSerializer(date.isoformat),
    WithJsonSchema({"type": "string", "format": "date"}),
]
