"""What a killed run left in the firewall is taken away at one go, and the rules of living runs and of others stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_budget.edges.sandbox.private_network import remove_orphans

_RULES = {
    "nat": (
        "-P POSTROUTING ACCEPT",
        "-A POSTROUTING -s 10.213.0.0/24 ! -o cib00000001 -m comment --comment ci-budget:00000001 -j MASQUERADE",
        '-A POSTROUTING -s 10.0.0.0/8 -m comment --comment "not ci-budget:00000001" -j MASQUERADE',
    ),
    "filter": ("-A FORWARD -i cib00000001 ! -o cib00000001 -m comment --comment ci-budget:00000001 -j ACCEPT",),
}
_GONE = [(table, rules[index].removeprefix("-A ")) for table, index, rules in (
    ("nat", 1, _RULES["nat"]), ("filter", 0, _RULES["filter"])
)]  # fmt: skip


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file to which stand-ins for the programs write what they are asked to change."""
    calls, bin_folder = tmp_path / "calls", tmp_path / "bin"
    bin_folder.mkdir()
    for table, rules in _RULES.items():
        (tmp_path / table).write_text("\n".join(rules) + "\n")
    for name, text in (
        ("ip", "echo '[]'"),
        ("iptables", f'case "$5" in -S) cat "{tmp_path}/$4" ;; *) echo "$*" >> "{calls}" ;; esac'),
        ("iptables-restore", f'cat >> "{calls}"; test ! -e "{tmp_path}/refuses"'),
    ):
        (bin_folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (bin_folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    monkeypatch.setattr("ci_budget.edges.sites.state.RUN_ROOT", tmp_path / "run")
    return calls


def test_all_rules_at_one_go(calls: Path) -> None:
    remove_orphans()
    lines = [line for table, rule in _GONE for line in (f"*{table}", f"-D {rule}", "COMMIT")]
    assert calls.read_text().splitlines() == lines


def test_one_by_one_where_that_is_refused(calls: Path) -> None:
    (calls.parent / "refuses").touch()
    remove_orphans()
    lines = [f"-w 30 -t {table} -D {rule}" for table, rule in _GONE]
    assert calls.read_text().splitlines()[-len(lines) :] == lines


def test_nothing_is_changed_where_there_is_nothing(calls: Path) -> None:
    for table in _RULES:
        (calls.parent / table).write_text("")
    remove_orphans()
    assert not calls.exists()
