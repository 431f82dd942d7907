"""Sizes, tolerances, durations: read what a person writes, write what a person reads.

Sizes are integers in bytes. Decimal units (`15GB` = 15 * 10**9) and binary units
(`15GiB` = 15 * 2**30) are both read; a bare number is bytes. `1.2GiB` is no whole number of
bytes, so it is rounded down; what is written finer than bytes is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

MAX_SIZE = 2**63 - 1

_DECIMAL = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "pb": 10**15}
_BINARY = {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "pib": 2**50}
_FACTORS = _DECIMAL | _BINARY
_NUMBER = r"([0-9]{1,19}(?:\.[0-9]{1,9})?)"
_SIZE = re.compile(r"^([0-9]{1,19})(?:\.([0-9]{1,60}))?\s*([A-Za-z]{0,3})$", re.ASCII)
_PERCENT = re.compile(rf"^{_NUMBER}\s*%$", re.ASCII)
_DURATION = re.compile(r"^(?:([0-9]{1,6})h)?(?:([0-9]{1,8})m)?(?:([0-9]{1,9})s)?$", re.ASCII)


class NoSizeError(ValueError):
    """The text is no size at all."""


def parse_size(text: str | int | float) -> int:
    """Read a size in bytes.

    Raises ValueError with a message for a person when the text is no size, is negative, names parts
    of a byte, or is too large for a filesystem.
    """
    if isinstance(text, bool):
        raise NoSizeError(f"'{str(text).lower()}' is not a size; write a number with a unit, such as 15GB or 400MiB")
    match = _SIZE.match(str(text).strip())
    factor = _FACTORS.get(match[3].lower()) if match else None
    if match is None or factor is None:
        raise NoSizeError(f"'{_short(text)}' is not a size; write a number with a unit, such as 15GB or 400MiB")
    decimals = (match[2] or "").rstrip("0")
    parts: int = 10 ** len(decimals)
    if parts > factor:
        raise ValueError(f"'{_short(text)}' names parts of a byte; write whole bytes, or fewer decimals")
    value = int(match[1] + decimals) * factor // parts
    if value > MAX_SIZE:
        raise ValueError(f"'{_short(text)}' is larger than any filesystem")
    return value


def parse_percent(text: str) -> Decimal:
    """Read `2%` as Decimal(2). Raises ValueError when it is no percentage."""
    match = _PERCENT.match(text.strip())
    if match is None:
        raise ValueError(f"'{_short(text)}' is not a percentage; write a number with a percent sign, such as 2%")
    return Decimal(match[1])


def parse_duration(text: str | int | float) -> int:
    """Read `90s`, `2m`, `1h30m` or a bare number of seconds; returns whole seconds.

    Raises ValueError when it is no duration.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    match = _DURATION.match(str(text).strip())
    if isinstance(text, bool) or match is None or not any(match.groups()):
        raise ValueError(f"'{_short(text)}' is not a duration; write 90s, 2m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """How far above its baseline a value passes: the larger of a share and an amount."""

    percent: Decimal = Decimal(0)
    amount: int = 0

    def allowance(self, baseline: int) -> int:
        """What may be added to `baseline`, in the baseline's unit, rounded down."""
        return max(int(baseline * self.percent / 100), self.amount)


def parse_tolerance(value: str | int | float | list[str | int | float]) -> Tolerance:
    """Read `2%`, `10MB`, `0`, or a list of both (the larger counts). Raises ValueError."""
    percent, amount = Decimal(0), 0
    items = value if isinstance(value, list) else [value]
    if not items:
        raise ValueError("an empty list is no tolerance; write 2%, 10MB or both in a list")
    for item in items:
        if isinstance(item, str) and item.strip().endswith("%"):
            percent = max(percent, parse_percent(item))
        else:
            amount = max(amount, parse_size(item))
    return Tolerance(percent=percent, amount=amount)


def format_size(size: int) -> str:
    """A size as a person reads it: decimal units, three significant digits, `1.45 GB`."""
    sign, rest = ("-", -size) if size < 0 else ("", size)
    if rest < 1000:
        return f"{sign}{rest} B"
    units = ("kB", "MB", "GB", "TB", "PB", "EB")
    value, unit = Decimal(rest), ""
    for name in units:
        value, unit = value / 1000, name
        digits = next((digits for digits in (2, 1) if round(value, digits) < 10 ** (3 - digits)), 0)
        if round(value, digits) < 1000:
            break
    return f"{sign}{value:.{digits}f} {unit}"


def format_value(value: int | None, unit: str) -> str:
    """A metric's value in its unit (`bytes`, `count`, `seconds`); `-` where there is none."""
    if value is None:
        return "-"
    if unit == "bytes":
        return format_size(value)
    return f"{value} s" if unit == "seconds" else f"{value:,}"


def format_distinct(values: list[int], unit: str) -> list[str]:
    """The values as a person reads them; in exact bytes where rounding makes different values look alike."""
    texts = [format_value(value, unit) for value in values]
    if unit == "bytes" and len(set(texts)) < len(set(values)):
        return [f"{value:,} B" for value in values]
    return texts


def format_delta(delta: int, unit: str) -> str:
    """A difference with its sign: `+1.90 GB`, `-2`, `0`."""
    if delta == 0:
        return "0"
    return f"+{format_value(delta, unit)}" if delta > 0 else format_value(delta, unit)


def format_seconds(seconds: float) -> str:
    """`0.4 s`, `42 s`, `3m 05s`, `2h 10m`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def _short(text: object) -> str:
    shown = str(text)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
