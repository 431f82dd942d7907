"""The daemon.json that suits a machine: what is in place, with the limits that are missing.

Keys as the engine reads them (moby, daemon/config: `log-opts`, `builder.gc`). Since 28.0 `builder.gc` takes
`defaultReservedSpace`, `defaultMaxUsedSpace` and `defaultMinFreeSpace`; before that `defaultKeepStorage` is the limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ci_budget.core.health.daemon import cache_collection, log_options

GB = 10**9
_LIMITS = ("defaultKeepStorage", "defaultReservedSpace", "defaultMaxUsedSpace", "defaultMinFreeSpace", "policy")
_NEW_LIMITS = (28, 0)


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The whole recommended file, and one line for each thing that it adds or changes."""

    settings: Mapping[str, Any]
    changes: tuple[str, ...]


def advise_daemon(
    current: Mapping[str, Any], *, data_root: str | None, disk_size: int | None, version: str, log_driver: str = ""
) -> Advice:
    """Merge the recommended limits into `current`; what it says already is kept, unless it switches a limit off.

    `disk_size`: bytes of the data-root's filesystem, which the cache limits are a share of (20 % for the cache, at
    least 5 GB and at most 50 GB; 10 % stay free); None: 20 GB. `log_driver`: the one the engine runs with.
    """
    settings = dict(current)
    changes: list[str] = []
    if data_root and "data-root" not in settings:
        settings["data-root"] = data_root
        changes.append(f"data-root: {data_root} (where it is now, written down)")
    _limit_logs(settings, changes, log_driver)
    _limit_cache(settings, changes, disk_size, _numbers(version))
    features = settings.get("features")
    if isinstance(features, Mapping) and features.get("buildkit") is False:
        settings["features"] = {**features, "buildkit": True}
        changes.append("features.buildkit: true (it was off)")
    return Advice(settings=settings, changes=tuple(changes))


def _limit_logs(settings: dict[str, Any], changes: list[str], log_driver: str) -> None:
    driver = settings.get("log-driver") or log_driver or "json-file"
    if driver != "json-file":
        return
    settings.setdefault("log-driver", "json-file")
    options = dict(log_options(settings))
    if options.get("max-size") in (None, "", "-1"):
        options["max-size"] = "10m"
        changes.append("log-opts.max-size: 10m (containers' logs grew without limit)")
    if "max-file" not in options:
        options["max-file"] = "3"
        changes.append("log-opts.max-file: 3")
    settings["log-opts"] = options


def _limit_cache(settings: dict[str, Any], changes: list[str], disk_size: int | None, version: tuple[int, ...]) -> None:
    collection = dict(cache_collection(settings))
    if collection.get("enabled") is not True:
        said = "it was off" if collection.get("enabled") is False else "written down"
        collection["enabled"] = True
        changes.append(f"builder.gc.enabled: true ({said})")
    if not any(collection.get(key) for key in _LIMITS):
        most = 20 * GB if disk_size is None else min(max(disk_size // 5, 5 * GB), 50 * GB)
        if version >= _NEW_LIMITS:
            limits = {"defaultReservedSpace": most // 2, "defaultMaxUsedSpace": most}
            if disk_size is not None:
                limits["defaultMinFreeSpace"] = disk_size // 10
        else:
            limits = {"defaultKeepStorage": most}
        for key, size in limits.items():
            collection[key] = f"{max(1, size // GB)}GB"
            changes.append(f"builder.gc.{key}: {collection[key]}")
    builder = settings.get("builder")
    settings["builder"] = {**(builder if isinstance(builder, Mapping) else {}), "gc": collection}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("+")[0].split("-")[0].split(".")[:2])
