"""The text of a config, read into a `Config`; whatever is wrong in it, by line, in one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ci_budget.core.config.limits import ByMetric, PlacedError, Section
from ci_budget.core.config.model import CONFIG_VERSION, Config
from ci_budget.core.config.yaml_tree import Path, Plain, Problem, TreeError, read_tree
from ci_budget.core.records.metrics import METRIC_NAMES
from ci_budget.core.text.plain_text import one_line, shorten
from ci_budget.core.text.suggestion import nearest, suggest
from ci_budget.errors import ConfigError

MAX_PROBLEMS: Final = 20


@dataclass(frozen=True, kw_only=True)
class ParsedConfig:
    """A config with the file it came from and the line of every value in it."""

    config: Config
    file: str
    lines: Mapping[Path, int]

    def line_of(self, *path: str | int) -> int | None:
        """The line of a value, or of the nearest part of the config around it: `line_of("images", "web", "target")`."""
        return line_of(self.lines, path)


class ConfigProblemsError(ConfigError):
    """Everything that is wrong in a config: its text has one line for each problem, with file and line."""

    def __init__(self, problems: Sequence[Problem], *, file: str) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line or 0))
        first, *rest = self.problems
        shown = [first.message]
        for problem in rest[: MAX_PROBLEMS - 1]:
            place = f"{file}:{problem.line}" if problem.line is not None else file
            shown.append(f"{place}: {problem.message}")
        if len(self.problems) > MAX_PROBLEMS:
            shown.append(f"{file}: and {len(self.problems) - MAX_PROBLEMS} more problems")
        super().__init__("\n".join(shown), file=file, line=first.line)


def parse_config(text: bytes | str, file: str) -> ParsedConfig:
    """Read the text of a `ci-budget.yml`; `file` is the name that errors show. Raises ConfigProblemsError."""
    try:
        tree = read_tree(text)
    except TreeError as error:
        raise ConfigProblemsError([error.problem], file=file) from None
    data, lines = tree.plain(), tree.lines()
    if not isinstance(data, dict):
        message = f"a config is a mapping of keys to values, this is {_kind(data)}; start with 'version: 1'"
        raise ConfigProblemsError([Problem(line=tree.root.line, message=message)], file=file)
    _check_version(data.get("version"), lines, file)
    problems = list(tree.problems)
    empty = list(_drop_empty(data, ()))
    for path in empty:
        message = f"{_place(path)}'{_key(path)}' is empty; give it a value or remove the key"
        problems.append(Problem(line=line_of(lines, path), message=message))
    config: Config | None = None
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        known = set(empty) | {path[:-1] for path in empty}
        details = [detail for detail in error.errors() if detail["loc"] not in known]
        known |= {_meant(detail["loc"]) for detail in details if detail["type"] == "extra_forbidden"}
        details = [detail for detail in details if detail["type"] != "missing" or detail["loc"] not in known]
        problems += [_problem(detail, lines) for detail in details]
    if problems or config is None:
        raise ConfigProblemsError(problems, file=file)
    return ParsedConfig(config=config, file=file, lines=lines)


def line_of(lines: Mapping[Path, int], path: Path) -> int | None:
    """The line of a path, else of the nearest path above it."""
    while path not in lines and path:
        path = path[:-1]
    return lines.get(path)


def _check_version(version: Plain, lines: Mapping[Path, int], file: str) -> None:
    """A file of a newer version would only meet misleading errors, so its version is judged first."""
    if isinstance(version, str) and version.isascii() and version.isdigit() and int(version[:9]) > CONFIG_VERSION:
        message = (
            f"version {shorten(version, 12)} is newer than this ci-budget reads ({CONFIG_VERSION}); update ci-budget"
        )
        raise ConfigProblemsError([Problem(line=line_of(lines, ("version",)), message=message)], file=file)


def _drop_empty(value: Plain, path: Path) -> Iterator[Path]:
    """Remove what has no value, and name it: an empty `budgets:` must not silently mean 'no budgets'."""
    if isinstance(value, dict):
        for key in [key for key, child in value.items() if child is None]:
            if len(path) == 3 and path[0] == "images" and path[2] == "build_args":
                continue  # an argument without a value is taken from the environment
            del value[key]
            yield (*path, key)
        for key, child in value.items():
            yield from _drop_empty(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _drop_empty(child, (*path, index))


def _problem(detail: ErrorDetails, lines: Mapping[Path, int]) -> Problem:
    path = tuple(part for part in detail["loc"] if part != "[key]")
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, PlacedError):
        path += cause.path
    return Problem(line=line_of(lines, path), message=one_line(_message(detail, path)))


def _message(detail: ErrorDetails, path: Path) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{_place(path)}{_unknown(path)}"
    if kind == "missing":
        hint = "; write 'version: 1' as the first line" if path == ("version",) else ""
        return f"{_place(path)}'{_key(path)}' is missing{hint}"
    where = f"{_dotted(path)}: " if path else ""
    if kind == "value_error":
        text = str(context["error"])
        return f"{_dotted(path)} {text}" if text.startswith(("is ", "must ")) else f"{where}{text}"
    if kind == "literal_error":
        choices = [choice.strip("'") for choice in context["expected"].replace(" or ", ", ").split(", ")]
        given = _shown(detail["input"])
        near = nearest(str(detail["input"]), choices) if isinstance(detail["input"], str) else None
        return f"{where}{given} is not one of {', '.join(choices)}" + (f"; did you mean '{near}'?" if near else "")
    if kind in ("too_short", "too_long"):
        return f"{_dotted(path)} is empty; at least one entry is needed"
    wanted = _WANTED.get(kind)
    if wanted is not None:
        return f"{where}{_shown(detail['input'])} is not {wanted}"
    if path == ("version",):
        return f"{where}{_shown(detail['input'])} is not a version; write 'version: {CONFIG_VERSION}'"
    return f"{where}{detail['msg']}"


_MAPPING = "a mapping; write keys and values below it"
_WANTED: Final = {
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dict_type": _MAPPING,
    "list_type": "a list; write it as [a, b] or with one '- ' a line",
}


def _unknown(path: Path) -> str:
    key, section = _key(path), _section_at(path[:-1])
    if section is None:
        return f"unknown key '{key}'"
    known = list(section.model_fields)
    word = "metric" if issubclass(section, ByMetric) else "key"
    homes = [name for name, home in _sections_in(section) if key in home.model_fields]
    if homes and (key in METRIC_NAMES or nearest(key, known) is None):
        return f"unknown {word} '{key}'; it belongs under '{homes[0]}'"
    return f"unknown {word} '{key}'; {suggest(key, known, kind=f'{word}s')}"


def _meant(path: Path) -> Path:
    """The key that an unknown one was probably meant to be: that it is missing needs no second line."""
    section = _section_at(path[:-1])
    near = nearest(str(path[-1]), section.model_fields) if section is not None else None
    return (*path[:-1], near) if near is not None else path


def _section_at(path: Path) -> type[Section] | None:
    """The section of the config that stands at a path."""
    section: type[Section] | None = Config
    annotation: Any = Config
    for part in path:
        if section is not None:
            field = section.model_fields.get(str(part))
            annotation = field.annotation if field is not None else None
        else:  # a dict's value or a list's item
            annotation = get_args(annotation)[-1] if get_args(annotation) else None
        section = _section_of(annotation)
    return section


def _section_of(annotation: Any) -> type[Section] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Section):
            direct = candidate is annotation or type(None) in get_args(annotation)
            return candidate if direct else None
    return None


def _sections_in(section: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    for name, field in section.model_fields.items():
        below = _section_of(field.annotation)
        if below is not None:
            yield name, below


def _dotted(path: Path) -> str:
    return shorten(one_line(".".join(str(part) for part in path)), 200)


def _key(path: Path) -> str:
    return shorten(one_line(str(path[-1])))


def _place(path: Path) -> str:
    return f"{_dotted(path[:-1])}: " if path[:-1] else ""


def _shown(value: object) -> str:
    return f"'{shorten(value)}'" if isinstance(value, str) else _kind(value)


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "text" if isinstance(value, str) else "empty"
