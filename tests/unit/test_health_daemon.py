"""The recommended daemon.json: what is in place stays, what is missing comes."""

from __future__ import annotations

import pytest

from ci_budget.core.daemon_advice import advise_daemon

GB = 10**9


def test_an_empty_file_gets_all_limits() -> None:
    advice = advise_daemon({}, data_root="/var/lib/docker", disk_size=100 * GB, version="28.5.2")
    assert advice.settings == {
        "data-root": "/var/lib/docker",
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "max-file": "3"},
        "builder": {
            "gc": {
                "enabled": True,
                "defaultReservedSpace": "10GB",
                "defaultMaxUsedSpace": "20GB",
                "defaultMinFreeSpace": "10GB",
            }
        },
    }
    assert advice.changes == (
        "data-root: /var/lib/docker (where it is now, written down)",
        "log-opts.max-size: 10m (containers' logs grew without limit)",
        "log-opts.max-file: 3",
        "builder.gc.enabled: true (written down)",
        "builder.gc.defaultReservedSpace: 10GB",
        "builder.gc.defaultMaxUsedSpace: 20GB",
        "builder.gc.defaultMinFreeSpace: 10GB",
    )


def test_what_is_in_place_stays() -> None:
    current = {
        "data-root": "/srv/docker",
        "log-driver": "local",
        "builder": {"gc": {"enabled": True, "policy": [{"keepStorage": "1GB"}]}, "Entitlements": {}},
        "registry-mirrors": ["https://mirror.example"],
    }
    advice = advise_daemon(current, data_root="/elsewhere", disk_size=100 * GB, version="28.5.2")
    assert advice.settings == current
    assert advice.changes == ()


def test_what_switches_a_limit_off_is_changed() -> None:
    current = {
        "log-opts": {"max-size": "-1", "labels": "a"},
        "builder": {"gc": {"enabled": False, "defaultKeepStorage": "5GB"}},
        "features": {"buildkit": False, "cdi": True},
    }
    advice = advise_daemon(current, data_root=None, disk_size=None, version="24.0.7")
    assert advice.settings == {
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "labels": "a", "max-file": "3"},
        "builder": {"gc": {"enabled": True, "defaultKeepStorage": "5GB"}},
        "features": {"buildkit": True, "cdi": True},
    }
    assert current["builder"] == {"gc": {"enabled": False, "defaultKeepStorage": "5GB"}}, "the given file was changed"


@pytest.mark.parametrize(
    ("version", "size", "limits"),
    [
        ("27.5.1", 100 * GB, {"defaultKeepStorage": "20GB"}),
        ("", 100 * GB, {"defaultKeepStorage": "20GB"}),
        ("28.0.0-rc.1", None, {"defaultReservedSpace": "10GB", "defaultMaxUsedSpace": "20GB"}),
        (
            "29.1.0",
            10 * GB,
            {"defaultReservedSpace": "2GB", "defaultMaxUsedSpace": "5GB", "defaultMinFreeSpace": "1GB"},
        ),
        (
            "29.1.0",
            1000 * GB,
            {"defaultReservedSpace": "25GB", "defaultMaxUsedSpace": "50GB", "defaultMinFreeSpace": "100GB"},
        ),
    ],
)
def test_cache_limits_suit_engine_and_disk(version: str, size: int | None, limits: dict[str, str]) -> None:
    advice = advise_daemon({}, data_root=None, disk_size=size, version=version)
    assert advice.settings["builder"] == {"gc": {"enabled": True, **limits}}


def test_another_log_driver_needs_no_limit() -> None:
    advice = advise_daemon({}, data_root=None, disk_size=None, version="28.0", log_driver="journald")
    assert "log-opts" not in advice.settings
    assert "log-driver" not in advice.settings
