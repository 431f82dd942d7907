"""What this host runs on a schedule to give disk back: systemd timers and cron."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from ci_budget.core.health.facts import Schedule

_PRUNES = re.compile(r"(?:^|[\s/;&|(])(?:ci-budget|ci_budget|docker)\s(?:[^#]*\s)?prune\b")
_UNITS = ("etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system")
_TABLES = ("etc/cron.d", "var/spool/cron/crontabs", "var/spool/cron")
_SCRIPTS = ("etc/cron.hourly", "etc/cron.daily", "etc/cron.weekly", "etc/periodic/daily")
_LARGEST = 256 * 1024


def find_schedules(root: Path = Path("/")) -> tuple[Schedule, ...]:
    """Every timer and cron entry below `root` whose command prunes; what this user may not read is left out."""
    return (*_timers(root), *_cron(root))


def _timers(root: Path) -> Iterator[Schedule]:
    seen = set()
    for folder in (root / name for name in _UNITS):
        for timer in _files(folder, "*.timer"):
            if timer.name in seen:
                continue
            seen.add(timer.name)
            named = re.search(r"^Unit\s*=\s*(\S+)", _read(timer), re.MULTILINE)
            service = named[1] if named else f"{timer.stem}.service"
            for command in _service_commands(root, service):
                yield Schedule(where=str(timer), command=command, enabled=_is_enabled(root, timer.name))


def _service_commands(root: Path, service: str) -> Iterator[str]:
    for folder in (root / name for name in _UNITS):
        if (folder / service).is_file():
            for line in re.findall(r"^ExecStart\s*=\s*[-@:+!]*(.+)$", _read(folder / service), re.MULTILINE):
                if _PRUNES.search(line):
                    yield line.strip()
            return


def _is_enabled(root: Path, name: str) -> bool:
    return any(True for unit in _UNITS[:2] for _ in (root / unit).glob(f"*.wants/{name}"))


def _cron(root: Path) -> Iterator[Schedule]:
    tables = [root / "etc/crontab", *(file for name in _TABLES for file in _files(root / name, "*"))]
    for file in tables:
        for line in _commands(file):
            fields = line.split(None, 1 if line.startswith("@") else 5)
            yield Schedule(where=str(file), command=fields[-1])
    for file in (file for name in _SCRIPTS for file in _files(root / name, "*")):
        for line in _commands(file):
            yield Schedule(where=str(file), command=line)


def _commands(file: Path) -> Iterator[str]:
    for raw in _read(file).splitlines():
        line = raw.strip()
        if not line.startswith("#") and _PRUNES.search(line):
            yield line


def _files(folder: Path, pattern: str) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(path for path in folder.glob(pattern) if path.is_file())
    return []


def _read(file: Path) -> str:
    try:
        with file.open("rb") as handle:
            return handle.read(_LARGEST).decode("utf-8", "replace")
    except OSError:
        return ""
