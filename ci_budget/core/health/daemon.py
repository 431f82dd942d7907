"""Checks of the engine's daemon.json: limits on logs and on the build cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ci_budget.core.health.facts import DaemonConfig, EngineHealth
from ci_budget.core.health.finding import Finding, Status

_UNBOUNDED_DRIVER = "json-file"
_CACHE_LIMITS = ("defaultKeepStorage", "defaultReservedSpace", "defaultMaxUsedSpace", "defaultMinFreeSpace")
_RULE_LIMITS = ("keepStorage", "reservedSpace", "maxUsedSpace", "minFreeSpace")


def check_logs(engine: EngineHealth, daemon: DaemonConfig) -> Finding:
    """Container logs are bounded. Only `json-file`, the default, keeps them without end unless `max-size` is set."""
    check = "log-limits"
    unknown = _unknown(check, engine, daemon)
    if unknown is not None:
        return unknown
    driver = str(engine.log_driver or daemon.settings.get("log-driver") or _UNBOUNDED_DRIVER)
    if driver != _UNBOUNDED_DRIVER:
        return Finding(check=check, status=Status.OK, message=f"the log driver {driver} keeps no endless files")
    size = log_options(daemon.settings).get("max-size")
    if size in (None, "", "-1"):
        return Finding(
            check=check,
            status=Status.WARN,
            message="container logs (json-file) grow without limit: log-opts.max-size is not set",
            mend=_apply(daemon),
        )
    files = log_options(daemon.settings).get("max-file", "1")
    return Finding(check=check, status=Status.OK, message=f"container logs are limited to {files} x {size} each")


def check_cache(engine: EngineHealth, daemon: DaemonConfig) -> Finding:
    """The build cache has a limit of its own; the engine's default lets it take most of the disk."""
    check = "cache-limits"
    unknown = _unknown(check, engine, daemon)
    if unknown is not None:
        return unknown
    collection = cache_collection(daemon.settings)
    if collection.get("enabled") is False:
        return Finding(
            check=check,
            status=Status.WARN,
            message="the build cache is never collected: builder.gc.enabled is false",
            mend=_apply(daemon),
        )
    limits = [f"{key} {collection[key]}" for key in _CACHE_LIMITS if collection.get(key)]
    policy = collection.get("policy")
    rules = policy if isinstance(policy, list) else []
    bounded = [rule for rule in rules if isinstance(rule, Mapping) and any(rule.get(key) for key in _RULE_LIMITS)]
    if bounded:
        limits.append("1 policy rule" if len(bounded) == 1 else f"{len(bounded)} policy rules")
    if not limits:
        return Finding(
            check=check,
            status=Status.WARN,
            message="the build cache has no limit of its own: by default it may take most of the disk",
            mend=_apply(daemon),
        )
    return Finding(check=check, status=Status.OK, message=f"the build cache is limited: {', '.join(limits)}")


def log_options(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """`log-opts`; empty where there are none."""
    options = settings.get("log-opts")
    return options if isinstance(options, Mapping) else {}


def cache_collection(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """`builder.gc`; empty where there is none."""
    builder = settings.get("builder")
    collection = builder.get("gc") if isinstance(builder, Mapping) else None
    return collection if isinstance(collection, Mapping) else {}


def _apply(daemon: DaemonConfig) -> str:
    return f"ci-budget doctor --daemon-json > daemon.json; install it as {daemon.path} and restart the engine"


def _unknown(check: str, engine: EngineHealth, daemon: DaemonConfig) -> Finding | None:
    if not engine.is_local:
        return Finding(
            check=check,
            status=Status.SKIPPED,
            message=f"not looked at: the engine at {engine.address} is on another machine",
        )
    if daemon.problem is not None:
        return Finding(
            check=check,
            status=Status.WARN,
            message=f"{daemon.path}: {daemon.problem}",
            mend=f"look at it as root: sudo dockerd --validate --config-file {daemon.path}",
        )
    return None
