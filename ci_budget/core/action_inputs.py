"""The GitHub action's inputs, turned into the arguments of `ci-budget check`.

The action hands every input over as the environment variable `CI_BUDGET_INPUT_NAME`, never as text
inside a script. An empty input is one that was not given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ci_budget.core.plain_text import one_line, shorten
from ci_budget.core.suggestion import suggest
from ci_budget.errors import ConfigError

PREFIX = "CI_BUDGET_INPUT_"

VALUES: Mapping[str, str] = {
    "config": "--config",
    "context": "--context",
    "file": "--file",
    "target": "--target",
    "disk-mode": "--disk-mode",
    "against": "--against",
    "no-build": "--no-build",
    "baseline": "--baseline",
    "report-dir": "--report",
    "format": "--format",
    "output": "--output",
    "fail-on": "--fail-on",
    "push": "--push",
    "export": "--export",
}
"""Inputs with one value, and the option of `check` that each becomes."""

LISTS: Mapping[str, str] = {"image": "--image", "build-args": "--build-arg"}
"""Inputs with one value a line; the option is repeated."""

SWITCHES: Mapping[str, str] = {
    "warm": "--warm",
    "exit-zero": "--exit-zero",
    "require-baseline": "--require-baseline",
    "load": "--load",
}
"""Inputs that are `true` or `false`."""

OWN_SWITCHES: Mapping[str, bool] = {"summary": True, "annotations": True}
"""Switches of the action itself, with their defaults."""


@dataclass(frozen=True, kw_only=True)
class ActionInputs:
    """What the workflow asked for: arguments of `check`, and what the action does with the result."""

    arguments: tuple[str, ...]
    report_dir: str | None
    summary: bool
    annotations: bool


def variable(name: str) -> str:
    """The environment variable of an input: `build-args` is `CI_BUDGET_INPUT_BUILD_ARGS`."""
    return PREFIX + name.upper().replace("-", "_")


def read_inputs(environ: Mapping[str, str]) -> ActionInputs:
    """The inputs from the environment.

    Each value becomes one argument `--option=value`, so a value that begins with `-` stays a value.
    Raises ConfigError for a switch that is neither true nor false, and for a value with a line break
    where one line is taken.
    """
    arguments: list[str] = []
    for name, option in VALUES.items():
        value = _value(environ, name)
        if value:
            arguments.append(f"{option}={value}")
    for name, option in LISTS.items():
        arguments += [f"{option}={value}" for value in _lines(environ, name)]
    for name, option in SWITCHES.items():
        if _switch(environ, name, default=False):
            arguments.append(option)
    own = {name: _switch(environ, name, default=default) for name, default in OWN_SWITCHES.items()}
    return ActionInputs(
        arguments=tuple(arguments),
        report_dir=_value(environ, "report-dir") or None,
        summary=own["summary"],
        annotations=own["annotations"],
    )


def _value(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(variable(name), "").strip()
    if "\n" in value or "\r" in value:
        raise ConfigError(
            f"the input '{name}' has more than one line: {_shown(value)}", mend=f"Give '{name}' one value on one line."
        )
    return value


def _lines(environ: Mapping[str, str], name: str) -> list[str]:
    lines = environ.get(variable(name), "").split("\n")
    return [line.strip() for line in lines if line.strip()]


def _switch(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = environ.get(variable(name), "").strip()
    if not value:
        return default
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    hint = suggest(value, ("true", "false"), kind="values")
    raise ConfigError(
        f"the input '{name}' is {_shown(value)}; {hint}", mend=f"Write '{name}: true' or '{name}: false'."
    )


def _shown(value: str) -> str:
    return f"'{one_line(shorten(value))}'"
