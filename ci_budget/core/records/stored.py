"""Reading stored JSON (baselines, reports) so strictly that a damaged file can never pass for an empty one."""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ci_budget.errors import ConfigError

_LOCATABLE = 1_000_000
_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7})(?: |$)", re.MULTILINE)
_SHOWN_ERRORS = 5

StoredModel = TypeVar("StoredModel", bound=BaseModel)


def parse_stored(
    data: bytes, *, file: str, model: type[StoredModel], kind: str, version: int, mend: str, largest: int
) -> StoredModel:
    """Read `data` as the stored format `kind` ("baseline", "report") of `version`.

    `mend` says how to get a good file; `largest` is the most bytes that are read. Raises ConfigError
    with the file, the line where one is known, what is wrong and what to do: for files that are too
    large, empty, cut off, no JSON, full of merge conflict markers, of another version, or of other shape.
    """
    text = _decode(data, file=file, kind=kind, mend=mend, largest=largest)
    document = _parse(text, file=file, kind=kind, mend=mend)
    _check_version(document, text, file=file, kind=kind, version=version, mend=mend)
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        place = problems[0]["loc"]
        said = "; ".join(f"{_pointer(found['loc'])}: {found['msg']}" for found in problems[:_SHOWN_ERRORS])
        more = len(problems) - _SHOWN_ERRORS
        raise ConfigError(
            f"this {kind} has values that ci-budget never writes: {said}" + (f"; and {more} more" if more > 0 else ""),
            mend=mend,
            file=file,
            line=line_of(text, place),
        ) from error


def line_of(text: str, place: tuple[int | str, ...]) -> int | None:
    """The line (1-based) of the value at `place` in a JSON text, as far as the path exists; None when unknown."""
    if len(text) > _LOCATABLE:
        return None
    import yaml  # JSON is read as YAML here, which keeps line numbers; only after an error

    try:
        node: Any = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    line: int | None = None
    for part in place:
        line = node.start_mark.line + 1
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next((value for key, value in node.value if getattr(key, "value", None) == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part]
        if found is None:
            return line
        node = found
    return int(node.start_mark.line) + 1


def _decode(data: bytes, *, file: str, kind: str, mend: str, largest: int) -> str:
    if len(data) > largest:
        raise ConfigError(f"this {kind} is larger than {largest:,} bytes and is not read", mend=mend, file=file)
    if not data.strip():
        raise ConfigError(f"this {kind} is empty: it was cut off, or never written", mend=mend, file=file)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"this {kind} is no text in UTF-8", mend=mend, file=file, line=line) from error


def _parse(text: str, *, file: str, kind: str, mend: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        if conflict := _CONFLICT.search(text):
            line = text.count("\n", 0, conflict.start()) + 1
            raise ConfigError(f"this {kind} has merge conflict markers", mend=mend, file=file, line=line) from error
        if _is_cut_off(text, error):
            raise ConfigError(
                f"this {kind} is cut off in the middle: it ends inside the JSON",
                mend=mend,
                file=file,
                line=error.lineno,
            ) from error
        raise ConfigError(f"this {kind} is no JSON: {error.msg}", mend=mend, file=file, line=error.lineno) from error
    except (ValueError, RecursionError) as error:
        what = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
        raise ConfigError(f"this {kind} cannot be read: {what}", mend=mend, file=file) from error


def _is_cut_off(text: str, error: json.JSONDecodeError) -> bool:
    rest = text[error.pos :].strip()
    half_a_word = any(word.startswith(rest) for word in ("null", "true", "false", "-"))
    half_an_escape = error.msg.startswith("Invalid \\") and len(rest) <= len("\\u123")
    return half_a_word or half_an_escape or error.msg.startswith("Unterminated string")


def _check_version(document: object, text: str, *, file: str, kind: str, version: int, mend: str) -> None:
    if not isinstance(document, dict) or "schema_version" not in document:
        raise ConfigError(f"this is no {kind} of ci-budget: it has no schema_version", mend=mend, file=file, line=1)
    found = document["schema_version"]
    if found == version and type(found) is int:
        return  # before the line is looked for, which takes long
    line = line_of(text, ("schema_version",))
    if not isinstance(found, int) or isinstance(found, bool):
        raise ConfigError(f"this {kind}'s schema_version is no whole number", mend=mend, file=file, line=line)
    if found > version:
        raise ConfigError(
            f"this {kind} was written by a newer ci-budget: its format is version {found}, "
            f"and this one reads version {version}",
            mend=f"Upgrade ci-budget to the release that wrote it. Or: {mend}",
            file=file,
            line=line,
        )
    if found < version:
        raise ConfigError(
            f"this {kind} was written by an older ci-budget: its format is version {found}, "
            f"and this one reads version {version} only",
            mend=mend,
            file=file,
            line=line,
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key '{key[:60]}' stands twice in one object")
        found[key] = value
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _pointer(place: tuple[int | str, ...]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the whole file"
