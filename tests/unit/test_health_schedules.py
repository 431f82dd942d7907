"""Timers and cron entries that prune, found in a tree of real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_budget.core.health.facts import Schedule
from ci_budget.edges.host.schedules import find_schedules

UNITS = "etc/systemd/system"


def write(root: Path, name: str, text: str) -> str:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_an_empty_host_has_none(tmp_path: Path) -> None:
    assert find_schedules(tmp_path) == ()


@pytest.mark.parametrize(("enabled", "unit"), [(True, ""), (False, ""), (True, "Unit=ci-budget-prune.service\n")])
def test_a_timer_with_its_service(tmp_path: Path, enabled: bool, unit: str) -> None:
    name = "other.timer" if unit else "ci-budget-prune.timer"
    timer = write(tmp_path, f"{UNITS}/{name}", f"[Timer]\nOnCalendar=daily\n{unit}")
    write(
        tmp_path, "usr/lib/systemd/system/ci-budget-prune.service", "[Service]\nExecStart=-/usr/bin/ci-budget prune\n"
    )
    if enabled:
        link = tmp_path / UNITS / "timers.target.wants" / name
        link.parent.mkdir()
        link.symlink_to(timer)
    assert find_schedules(tmp_path) == (Schedule(where=timer, command="/usr/bin/ci-budget prune", enabled=enabled),)


def test_a_timer_that_does_something_else(tmp_path: Path) -> None:
    write(tmp_path, f"{UNITS}/apt-daily.timer", "[Timer]\n")
    write(tmp_path, f"{UNITS}/apt-daily.service", "[Service]\nExecStart=/usr/lib/apt/apt.systemd.daily update\n")
    write(tmp_path, f"{UNITS}/lonely.timer", "[Timer]\n")
    assert find_schedules(tmp_path) == ()


@pytest.mark.parametrize(
    ("file", "line", "command"),
    [
        ("etc/crontab", "0 4 * * * root docker system prune --force", "root docker system prune --force"),
        ("etc/cron.d/prune", "@daily root ci-budget prune --engine", "root ci-budget prune --engine"),
        ("var/spool/cron/crontabs/ci", "0 4 * * * /usr/local/bin/ci-budget prune", "/usr/local/bin/ci-budget prune"),
        ("etc/cron.daily/prune", "exec docker builder prune -f", "exec docker builder prune -f"),
        ("etc/cron.daily/prune", "python3 -m ci_budget prune", "python3 -m ci_budget prune"),
    ],
)  # fmt: skip
def test_cron(tmp_path: Path, file: str, line: str, command: str) -> None:
    where = write(tmp_path, file, f"# docker system prune\nSHELL=/bin/sh\n{line}\n")
    assert find_schedules(tmp_path) == (Schedule(where=where, command=command),)


@pytest.mark.parametrize(
    "line", ["# docker system prune", "0 4 * * * root git prune", "0 4 * * * root docker ps # prune"]
)
def test_lines_that_prune_nothing(tmp_path: Path, line: str) -> None:
    write(tmp_path, "etc/crontab", f"{line}\n")
    assert find_schedules(tmp_path) == ()


def test_the_shipped_examples_are_recognised(tmp_path: Path) -> None:
    """What docs/prune/ ships satisfies the check that asks for it."""
    shipped = Path(__file__).parents[2] / "docs" / "prune"
    for name in ("ci-budget-prune.timer", "ci-budget-prune.service"):
        write(tmp_path, f"{UNITS}/{name}", (shipped / name).read_text())
    write(tmp_path, "etc/cron.d/ci-budget-prune", (shipped / "ci-budget-prune.cron").read_text())
    link = tmp_path / UNITS / "timers.target.wants" / "ci-budget-prune.timer"
    link.parent.mkdir()
    link.symlink_to(tmp_path / UNITS / "ci-budget-prune.timer")
    assert [(Path(one.where).name, one.enabled) for one in find_schedules(tmp_path)] == [
        ("ci-budget-prune.timer", True),
        ("ci-budget-prune", True),
    ]
