"""What a run of the tool may leave behind on a host: found by the names that it gives to all it makes.

Several runs may share a machine. What belongs to a sandbox whose owner lives is no leftover: the owner is the
process that holds `sandboxes/ID/owner` open, and the id stands in every path, interface, rule and cgroup. Nor is what
tests in another process leave on purpose (`lanes.py`).
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.engine.lanes import marks_of_others, owned_ids, target_of
from tests.engine_access import CLONE, Engine


@dataclass(frozen=True, kw_only=True)
class Marker:
    """An environment variable that all processes started by this test run inherit, also orphaned ones."""

    name: str
    value: str


MARKER = Marker(name="TEST_RUN_MARK", value=secrets.token_hex(8))
_OURS = re.compile(r"ci-budget|ci_budget|\bcib[0-9a-f]{4,}|/cib")
_IDS = re.compile(r"(?:sandboxes/|/run/ci-budget/|\bcib)([0-9a-f]{8})\b")


@dataclass(frozen=True, kw_only=True)
class LeftoverWatch:
    """What was there when the watch began; only what came since counts."""

    engine: Engine
    before: frozenset[str]

    @classmethod
    def start(cls, engine: Engine) -> Self:
        """Look around and remember."""
        return cls(engine=engine, before=frozenset(find_leftovers(engine)))

    def new(self) -> list[str]:
        """One line for each thing that is left, sorted."""
        return sorted(set(find_leftovers(self.engine)) - self.before)

    def assert_none(self, patience: float = 60) -> None:
        """Raise AssertionError that names each thing that is left, and still is after `patience` seconds.

        A run beside this one may just be ending: only what is seen at each of two and more looks is left.
        """
        left = self.new()
        deadline = time.monotonic() + patience
        while left:
            time.sleep(0.2)
            left = sorted(set(left) & set(self.new()))
            if time.monotonic() > deadline:
                break
        assert not left, "left behind:\n" + "\n".join(left)


def find_leftovers(engine: Engine) -> Iterator[str]:
    """Everything on the host that bears the tool's name and has no living owner, one line each."""
    kinds = {
        "mount": _mounts(),
        "loop": _loops(),
        "interface": _interfaces(),
        "rule": _rules(),
        "cgroup": _cgroups(),
        "folder": _folders(),
        "container": _containers(engine),
    }
    named = [(kind, line) for kind, lines in kinds.items() for line in lines]
    processes = list(_processes())
    excused = living_ids() | marks_of_others()  # last: what began, or was killed, meanwhile is in it by now
    for kind, line in named:
        if _is_ours(line) and not _mentions(line, excused):
            yield f"{kind}: {line}"
    for line, is_of_this_run in processes:
        if (is_of_this_run and not _mentions(line, excused)) or set(_IDS.findall(line)) - excused:
            yield f"process: {line}"


def living_ids() -> set[str]:
    """The ids of the sandboxes whose owner, a Python process, lives."""
    found: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        if target_of(process / "exe").rpartition("/")[2].startswith("python"):
            found |= owned_ids(process)
    return found


def _is_ours(line: str) -> bool:
    """The clone and its engine may lie in a folder that bears the name: that alone does not count."""
    return _OURS.search(line.replace(str(CLONE), "CLONE")) is not None


def _mentions(line: str, marks: Collection[str]) -> bool:
    return any(mark in line for mark in marks)


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields = line.split(" ")
        yield f"{fields[4]} from {fields[fields.index('-') + 2]}"


def _loops() -> Iterator[str]:
    for folder in sorted(Path("/sys/block").glob("loop*/loop")):
        try:
            yield f"/dev/{folder.parent.name} on {(folder / 'backing_file').read_text().rstrip()}"
        except OSError:  # detached while we looked
            continue


def _interfaces() -> Iterator[str]:
    for link in Path("/sys/class/net").iterdir():
        yield link.name


def _rules() -> Iterator[str]:
    for tool in ("iptables-save", "ip6tables-save"):
        done = subprocess.run([tool], capture_output=True, text=True, check=True)
        table = ""
        for line in done.stdout.splitlines():
            if line.startswith("*"):
                table = line[1:]
            elif line.startswith(("-A", ":")):
                rule = re.sub(r" *\[[0-9:]+\]", "", line)  # without counters, which change
                yield f"{tool.removesuffix('-save')} {table} {rule}"


def _cgroups() -> Iterator[str]:
    root = Path("/sys/fs/cgroup")
    for folder in (root, *_folders_in(root)):
        yield from (str(path) for path in _folders_in(folder) if path.name.startswith("ci-budget"))


def _folders_in(folder: Path) -> list[Path]:
    """Those that are there; none where `folder` itself went while we looked."""
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []


def _folders() -> Iterator[str]:
    roots = {Path("/run/ci-budget"), Path("/var/lib/ci-budget/sandboxes")}
    if state := os.environ.get("CI_BUDGET_STATE"):
        roots |= {Path(state) / "sandboxes", Path(state) / "ci-budget" / "sandboxes"}
    for root in sorted(roots):
        if root.is_dir():
            # With the clone's path replaced, the name in it cannot be what makes this line ours.
            yield from (f"ci-budget sandbox {path}" for path in root.iterdir() if not path.name.startswith("."))


def _containers(engine: Engine) -> Iterator[str]:
    listed = engine.docker("ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Labels}}").splitlines()
    for line in listed:
        owner = re.search(r"ci-budget\.owner=(\d+)-", line)
        if owner is None or not Path("/proc", owner[1]).exists():
            yield line


def _processes() -> Iterator[tuple[str, bool]]:
    """Command line and whether this test run started it, for each process with the tool's name in its arguments."""
    own = set(_own_ancestry())
    mark = f"{MARKER.name}={MARKER.value}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) in own:
            continue
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            environ = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if _is_ours(line):
            yield f"{process.name} {line}", mark in environ


def _own_ancestry() -> Iterator[int]:
    pid = os.getpid()
    while pid > 1:
        yield pid
        status = Path(f"/proc/{pid}/status").read_text()
        pid = int(re.search(r"^PPid:\s+(\d+)", status, re.MULTILINE)[1])  # type: ignore[index]
