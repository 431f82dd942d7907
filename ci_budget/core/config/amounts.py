"""Amounts in a config: sizes, counts, durations, shares, tolerances, and `off`.

Every reader takes the text that a person writes, or an equal Python value, and raises ValueError
with the accepted form. The JSON Schema of each type accepts what its reader accepts.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from ci_budget.core.config.names import shown
from ci_budget.core.records.metrics import Unit
from ci_budget.core.text.plain_text import shorten
from ci_budget.core.text.units import NoSizeError, Tolerance, parse_duration, parse_percent, parse_size, parse_tolerance

OFF: Final = "off"
Off = Literal["off"]

_COUNT = re.compile(r"[0-9]{1,15}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)
_FACTOR = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})?", re.ASCII)


def is_off(value: object) -> bool:
    """`off`, and `false`, which is what a YAML 1.1 reader makes of it."""
    return value is False or (isinstance(value, str) and value.strip().lower() in ("off", "false"))


def read_size(value: object) -> int:
    """A size in bytes."""
    return parse_size(_scalar(value, "a size such as 15GB or 400MiB"))


def read_positive_size(value: object) -> int:
    """A size in bytes, more than 0."""
    size = read_size(value)
    if size == 0:
        raise ValueError("must be more than 0; write a size such as 15GB or 400MiB")
    return size


def read_count(value: object) -> int:
    """A whole number, 0 or more."""
    text = shown(value)
    if isinstance(value, bool) or not _COUNT.fullmatch(text):
        raise ValueError(f"'{shorten(text)}' is not a count; write a whole number, such as 10")
    return int(text)


def read_seconds(value: object) -> int:
    """A duration in whole seconds."""
    scalar = _scalar(value, "a duration such as 90s, 2m or 1h30m")
    if isinstance(scalar, str) and _SECONDS.fullmatch(scalar.strip()):
        return int(scalar)
    return parse_duration(scalar)


def read_positive_seconds(value: object) -> int:
    """A duration in whole seconds, at least one."""
    seconds = read_seconds(value)
    if seconds == 0:
        raise ValueError("must be more than 0; write 90s, 2m or 1h30m")
    return seconds


def read_limit(value: object, unit: Unit) -> int | Off:
    """A budget in the metric's unit, or `off`."""
    if is_off(value):
        return OFF
    if unit == "count":
        return read_count(value)
    return read_seconds(value) if unit == "seconds" else read_size(value)


def read_tolerance(value: object, unit: Unit) -> Tolerance | Off:
    """A percentage, an amount in the metric's unit, a list of both (the larger counts), or `off`."""
    if isinstance(value, Tolerance):
        return value
    if is_off(value):
        return OFF
    items = list(value) if isinstance(value, list | tuple) else [value]
    if not items:
        raise ValueError("an empty list is no tolerance; write 2%, 10MB or both in a list")
    parts = [_read_tolerance_part(item, unit) for item in items]
    return Tolerance(percent=max(part.percent for part in parts), amount=max(part.amount for part in parts))


def write_tolerance(tolerance: Tolerance | Off) -> str | list[str | int]:
    """The form that `read_tolerance` reads back."""
    return OFF if isinstance(tolerance, str) else [f"{tolerance.percent}%", tolerance.amount]


def read_share(value: object) -> Decimal | Off:
    """A percentage of a limit, more than 0 and at most 100, or `off`."""
    if is_off(value):
        return OFF
    share = value if isinstance(value, Decimal) else parse_percent(shown(value))
    if not 0 < share <= 100:
        raise ValueError(f"'{shorten(shown(value))}' is no share of a limit; write more than 0% and at most 100%")
    return share


def read_factor(value: object) -> Decimal:
    """A factor from 1 to 100."""
    text = shown(value)
    factor = Decimal(text) if _FACTOR.fullmatch(text) else Decimal(0)
    if not 1 <= factor <= 100:
        raise ValueError(f"'{shorten(text)}' is not a factor; write a number from 1 to 100, such as 2 or 1.5")
    return factor


def read_switch(value: object) -> bool:
    """`true` or `false`."""
    text = shown(value).lower()
    if text not in ("true", "false"):
        raise ValueError(f"'{shorten(text)}' is neither true nor false")
    return text == "true"


def _read_tolerance_part(item: object, unit: Unit) -> Tolerance:
    text = shown(item)
    if text.endswith("%"):
        return Tolerance(percent=parse_percent(text))
    if unit == "count":
        return Tolerance(amount=read_count(item))
    if unit == "seconds":
        return Tolerance(amount=read_seconds(item))
    try:
        return parse_tolerance(_scalar(item, "2%, 10MB or both in a list"))
    except NoSizeError:
        raise ValueError(f"'{shorten(text)}' is no tolerance; write 2%, 10MB or both in a list") from None


def _scalar(value: object, form: str) -> str | int | float:
    if isinstance(value, str | int | float):
        return value
    kind = "a list" if isinstance(value, list | tuple) else "a mapping" if isinstance(value, dict) else "empty"
    raise ValueError(f"is {kind}; write {form}")


_SIZE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*(([kKmMgGtTpP][iI]?)?[bB])?\s*$"},
    ]
}
_SECONDS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^\s*([0-9]+|(?=[0-9])([0-9]+h)?([0-9]+m)?([0-9]+s)?)\s*$"},
    ]
}
_COUNT_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\s*[0-9]+\s*$"}]
}
_PERCENT_SCHEMA: dict[str, Any] = {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$"}
_OFF_SCHEMA: dict[str, Any] = {"enum": [OFF, False]}
_UNIT_SCHEMA: dict[Unit, dict[str, Any]] = {"bytes": _SIZE_SCHEMA, "count": _COUNT_SCHEMA, "seconds": _SECONDS_SCHEMA}


def limit_schema(unit: Unit) -> dict[str, Any]:
    """JSON Schema of what `read_limit` accepts."""
    return {"anyOf": [*_UNIT_SCHEMA[unit]["anyOf"], _OFF_SCHEMA]}


def tolerance_schema(unit: Unit) -> dict[str, Any]:
    """JSON Schema of what `read_tolerance` accepts."""
    part = {"anyOf": [_PERCENT_SCHEMA, *_UNIT_SCHEMA[unit]["anyOf"]]}
    return {"anyOf": [*part["anyOf"], _OFF_SCHEMA, {"type": "array", "items": part, "minItems": 1}]}


Size = Annotated[int, PlainValidator(read_size), WithJsonSchema(_SIZE_SCHEMA)]
PositiveSize = Annotated[int, PlainValidator(read_positive_size), WithJsonSchema(_SIZE_SCHEMA)]
PositiveSeconds = Annotated[int, PlainValidator(read_positive_seconds), WithJsonSchema(_SECONDS_SCHEMA)]
Share = Annotated[
    Decimal | Off,
    PlainValidator(read_share),
    PlainSerializer(lambda share: share if share == OFF else f"{share}%"),
    WithJsonSchema({"anyOf": [_PERCENT_SCHEMA, _OFF_SCHEMA]}),
]
Factor = Annotated[
    Decimal,
    PlainValidator(read_factor),
    PlainSerializer(str),
    WithJsonSchema({"type": ["number", "string"], "minimum": 1, "maximum": 100}),
]
Switch = Annotated[bool, PlainValidator(read_switch), WithJsonSchema({"type": "boolean"})]
