"""The shape of the package: imports go inwards only, and each outside thing has one owner."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ci_budget

PACKAGE = Path(ci_budget.__file__).parent

OUTSIDE = {
    "asyncio", "ctypes", "docker", "fcntl", "filelock", "glob", "http", "io", "mmap", "multiprocessing", "os",
    "platform", "pwd", "requests", "resource", "selectors", "shutil", "signal", "socket", "sqlalchemy", "sqlite3",
    "ssl", "subprocess", "tempfile", "threading", "time", "urllib", "urllib3",
}  # fmt: skip
"""Modules through which the core could reach a process, the network, a clock, the environment or a file."""

HARMLESS = {"io.BytesIO", "io.StringIO", "os.path.normpath", "urllib.parse"}
"""What of them only computes."""

FILE_METHODS = {"iterdir", "mkdir", "open", "read_bytes", "read_text", "rglob", "unlink", "write_bytes", "write_text"}
CLOCK_METHODS = {"now", "today", "utcnow"}

OWNERS = {
    "subprocess": ("edges.processes",),
    "sqlalchemy": ("edges.history.database", "edges.history.tables"),
    "sqlite3": ("edges.history.database",),
    "docker": ("edges.engine.docker_engine",),
    "requests": ("edges.web.http",),
}
"""The modules that may import an outside thing; everything else goes through them."""


def test_every_module_keeps_to_its_ring() -> None:
    found = [problem for path in modules() for problem in violations(path.read_text(), name_of(path))]
    assert found == []


def test_the_rings_are_there() -> None:
    rings = {name_of(path).split(".")[0] for path in modules()}
    assert {"core", "edges", "commands"} <= rings


@pytest.mark.parametrize(
    ("module", "source", "problem"),
    [
        ("core.gate", "import subprocess", "core.gate:1: core imports subprocess"),
        ("core.gate", "import os", "core.gate:1: core imports os"),
        ("core.gate", "from os import environ", "core.gate:1: core imports os.environ"),
        ("core.gate", "from time import monotonic", "core.gate:1: core imports time.monotonic"),
        ("core.gate", "import urllib.request", "core.gate:1: core imports urllib.request"),
        ("core.gate", "from pathlib import Path", "core.gate:1: core imports pathlib.Path"),
        ("core.gate", "def f():\n    import socket", "core.gate:2: core imports socket"),
        ("core.gate", "from ci_budget.edges import git", "core.gate:1: core imports ci_budget.edges.git"),
        ("core.gate", "from ..edges import git", "core.gate:1: core imports by a relative path"),
        ("core.gate", "from ci_budget.commands import check", "core.gate:1: core imports ci_budget.commands.check"),
        ("core.gate", "from ci_budget.cli import cli", "core.gate:1: core imports ci_budget.cli.cli"),
        ("core.gate", "x = importlib.import_module('os')", "core.gate:1: core imports what a string names"),
        ("core.gate", "x = __import__('os')", "core.gate:1: core imports what a string names"),
        ("core.gate", "x = open('f')", "core.gate:1: core opens a file"),
        ("core.gate", "x = p.read_text()", "core.gate:1: core calls .read_text()"),
        ("core.gate", "x = datetime.now(UTC)", "core.gate:1: core reads the clock by .now()"),
        ("edges.git", "from ci_budget.commands import check", "edges.git:1: edges imports ci_budget.commands.check"),
        ("edges.git", "import ci_budget.cli", "edges.git:1: edges imports ci_budget.cli"),
        ("edges.git", "from subprocess import run", "edges.git:1: subprocess belongs to edges.processes"),
        ("commands.report", "import sqlite3", "commands.report:1: sqlite3 belongs to edges.history.database"),
        ("commands.check", "import docker", "commands.check:1: docker belongs to edges.engine.docker_engine"),
        ("edges.web.github_api", "import requests", "edges.web.github_api:1: requests belongs to edges.web.http"),
        ("edges.git", "x = environ['GITHUB_SHA']", "edges.git:1: GITHUB_SHA belongs to edges.github"),
        ("commands.check", "x = f'GITHUB_{y}'", "commands.check:1: GITHUB_ belongs to edges.github"),
        ("commands.check", "x = environ.get('RUNNER_TEMP')", "commands.check:1: RUNNER_TEMP belongs to edges.github"),
        ("errors", "from ci_budget.core import units", "errors:1: errors imports ci_budget.core.units"),
    ],
)  # fmt: skip
def test_each_rule_can_fail(module: str, source: str, problem: str) -> None:
    assert violations(source, module) == [problem]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.gate", "from urllib.parse import quote\nfrom io import BytesIO\nimport ci_budget.errors"),
        ("core.gate", '"""Reads GITHUB_SHA."""\n'),
        ("core.gate", "from pathlib import PurePosixPath"),
        ("edges.processes", "import subprocess"),
        ("edges.git", "import os\nfrom ci_budget.core import units"),
        ("edges.github", "x = environ['GITHUB_SHA']"),
        ("commands.check", "raise UnmeasuredError('RUNNER_TEMP is not set')"),
        ("commands.check", "from ci_budget.edges import git"),
        ("__main__", "from ci_budget.cli import run_command"),
    ],
)  # fmt: skip
def test_what_is_allowed(module: str, source: str) -> None:
    assert violations(source, module) == []


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def top_imports(source: str) -> set[str]:
    return {name.split(".")[0] for _, name in imports(ast.parse(source))}


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that is imported, wherever in the module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module if node.level == 0 else "." * node.level
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def violations(source: str, module: str) -> list[str]:
    tree = ast.parse(source)
    ring = module.split(".")[0]
    found: list[tuple[int, str]] = []
    for line, name in imports(tree):
        problem = import_problem(name, module, ring)
        if problem:
            found.append((line, problem))
    if ring == "core":
        found += effects(tree)
    if module != "edges.github":
        found += [(line, f"{text} belongs to edges.github") for line, text in github_names(tree)]
    return [f"{module}:{line}: {problem}" for line, problem in sorted(set(found))]


def import_problem(name: str, module: str, ring: str) -> str | None:
    if name.startswith("."):
        return f"{ring} imports by a relative path"
    owners = OWNERS.get(name.split(".")[0])
    if ring == "core":
        within = name.startswith(("ci_budget.core", "ci_budget.errors", "ci_budget.__version__"))
        if name.startswith("ci_budget") and not within:
            return f"core imports {name}"
        harmless = any(name == one or name.startswith(f"{one}.") for one in HARMLESS)
        if (name.split(".")[0] in OUTSIDE and not harmless) or name == "pathlib.Path":
            return f"core imports {name}"
    elif owners is not None and module not in owners:
        return f"{name.split('.')[0]} belongs to {' or '.join(owners)}"
    elif ring == "edges" and name.startswith(("ci_budget.commands", "ci_budget.cli", "ci_budget.__main__")):
        return f"edges imports {name}"
    elif ring == "errors" and name.startswith("ci_budget"):
        return f"errors imports {name}"
    return None


def effects(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Calls by which the core would reach outside without an import of its own."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        function = node.func.id if isinstance(node.func, ast.Name) else method
        if function in ("__import__", "import_module"):
            yield node.lineno, "core imports what a string names"
        elif function == "open" and not method:
            yield node.lineno, "core opens a file"
        elif method in FILE_METHODS:
            yield node.lineno, f"core calls .{method}()"
        elif method in CLOCK_METHODS:
            yield node.lineno, f"core reads the clock by .{method}()"


def github_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The names of GitHub's environment in strings that are no docstrings."""
    docstrings = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            for word in node.value.replace('"', " ").replace("'", " ").split():
                # A message may tell of RUNNER_TEMP; the bare name is there to be read.
                if word.startswith("GITHUB_") or (word.startswith("RUNNER_") and word == node.value):
                    yield node.lineno, word
