"""Amounts on the command line: sizes, durations, percentages; read as the config reads them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType  # generic since click 8.3 only


class _Amount(_ParamType):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def read(self, text: str) -> Any:
        raise NotImplementedError


class _Size(_Amount):
    name = "size"

    def read(self, text: str) -> int:
        from ci_budget.core.text.units import parse_size

        return parse_size(text)


class _Duration(_Amount):
    name = "duration"

    def read(self, text: str) -> int:
        from ci_budget.core.text.units import parse_duration

        return parse_duration(text)


class _Percent(_Amount):
    name = "percent"

    def read(self, text: str) -> Decimal:
        from ci_budget.core.text.units import parse_percent

        return parse_percent(text if text.strip().endswith("%") else f"{text}%")


SIZE = _Size()
"""`15GB`, `400MiB`, or a number of bytes: an int, in bytes."""
DURATION = _Duration()
"""`90s`, `2m`, `72h`: an int, in seconds."""
PERCENT = _Percent()
"""`80%` or `80`: a Decimal."""
