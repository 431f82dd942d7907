"""What `doctor` prints: a table, JSON, and node_exporter's format."""

from __future__ import annotations

import json
from dataclasses import replace

from ci_budget.core.health.facts import DiskFacts
from ci_budget.core.health.finding import Finding, Status
from ci_budget.core.render.health import render_health_json, render_health_metrics, render_health_text
from tests.unit.health_samples import DATA

FINDINGS = (
    Finding(check="engine", status=Status.OK, message="engine 28.5.2"),
    Finding(check="gpu", status=Status.SKIPPED, message="no image asks for one"),
    Finding(check="log-limits", status=Status.WARN, message="logs grow", mend="ci-budget doctor --daemon-json"),
    Finding(check="disk:/", status=Status.CRITICAL, message="/ is 99.0 % full", mend="ci-budget prune"),
)


def test_text() -> None:
    assert render_health_text(FINDINGS, width=80) == (
        "ok        engine      engine 28.5.2\n"
        "skipped   gpu         no image asks for one\n"
        "warn      log-limits  logs grow\n"
        "                      mend: ci-budget doctor --daemon-json\n"
        "critical  disk:/      / is 99.0 % full\n"
        "                      mend: ci-budget prune\n"
        "\n"
        "critical: 1 ok, 1 warn, 1 critical, 1 not looked at\n"
    )


def test_text_of_a_hostile_name() -> None:
    hostile = Finding(check="x", status=Status.OK, message="a\x1b[31m\n::error::b\u202e ##[error]ü")
    text = render_health_text([hostile], width=100, ascii_only=True)
    assert text == "ok  x  a\\x1b[31m\\n::error::b\\u202e # #[error]\\xfc\n\nok: 1 ok, 0 warn, 0 critical\n"


def test_colour_is_asked_for() -> None:
    assert "\x1b[" in render_health_text(FINDINGS, colour=True)
    assert "\x1b[" not in render_health_text(FINDINGS)


def test_json() -> None:
    assert json.loads(render_health_json(FINDINGS[1:3], [DATA])) == {
        "schema_version": 1,
        "status": "warn",
        "exit_code": 1,
        "checks": [
            {"check": "gpu", "status": "skipped", "message": "no image asks for one", "mend": None},
            {
                "check": "log-limits",
                "status": "warn",
                "message": "logs grow",
                "mend": "ci-budget doctor --daemon-json",
            },
        ],
        "disks": [
            {
                "mount_point": "/var/lib/docker",
                "holds": "Docker's data",
                "filesystem": "ext4",
                "total": 100_000_000_000,
                "available": 60_000_000_000,
                "inodes": 1_000_000,
                "free_inodes": 900_000,
            }
        ],
    }


def test_metrics() -> None:
    assert render_health_metrics(FINDINGS, [DATA], now=1_700_000_000) == (
        "# HELP ci_budget_doctor_status A check of ci-budget doctor: 0 ok, 1 warn, 2 critical.\n"
        "# TYPE ci_budget_doctor_status gauge\n"
        'ci_budget_doctor_status{check="engine"} 0\n'
        'ci_budget_doctor_status{check="log-limits"} 1\n'
        'ci_budget_doctor_status{check="disk:/"} 2\n'
        "# HELP ci_budget_doctor_worst The worst of all checks: 0 ok, 1 warn, 2 critical.\n"
        "# TYPE ci_budget_doctor_worst gauge\n"
        "ci_budget_doctor_worst 2\n"
        "# HELP ci_budget_doctor_last_run_seconds When ci-budget doctor last ran, in Unix time.\n"
        "# TYPE ci_budget_doctor_last_run_seconds gauge\n"
        "ci_budget_doctor_last_run_seconds 1700000000\n"
        "# HELP ci_budget_disk_size_bytes Size of a filesystem that builds use.\n"
        "# TYPE ci_budget_disk_size_bytes gauge\n"
        'ci_budget_disk_size_bytes{mountpoint="/var/lib/docker"} 100000000000\n'
        "# HELP ci_budget_disk_available_bytes Bytes of it that users can still take.\n"
        "# TYPE ci_budget_disk_available_bytes gauge\n"
        'ci_budget_disk_available_bytes{mountpoint="/var/lib/docker"} 60000000000\n'
        "# HELP ci_budget_disk_inodes Inodes of it; 0 where there is no fixed number.\n"
        "# TYPE ci_budget_disk_inodes gauge\n"
        'ci_budget_disk_inodes{mountpoint="/var/lib/docker"} 1000000\n'
        "# HELP ci_budget_disk_free_inodes Free inodes of it.\n"
        "# TYPE ci_budget_disk_free_inodes gauge\n"
        'ci_budget_disk_free_inodes{mountpoint="/var/lib/docker"} 900000\n'
    )


def test_a_label_cannot_break_out() -> None:
    odd: DiskFacts = replace(DATA, mount_point='/a"b\\c\nd')
    assert 'ci_budget_disk_inodes{mountpoint="/a\\"b\\\\c\\nd"} 1000000\n' in render_health_metrics([], [odd], now=0)
