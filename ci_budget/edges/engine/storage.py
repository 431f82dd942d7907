"""Reads the engine's account of its disk: the answer of `GET /system/df` (Docker Engine API 1.42 and newer)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ci_budget.core.prune_plan import CacheEntry, StoredImage


def stored_images(answer: Mapping[str, Any], held: set[str], tagged: Mapping[str, float]) -> list[StoredImage]:
    """The images. `held`: ids that a container uses; `tagged`: when each was last pulled or tagged, in Unix seconds."""
    return [
        StoredImage(
            id=str(item["Id"]),
            names=tuple(name for name in item.get("RepoTags") or () if name != "<none>:<none>"),
            size=max(0, int(item["Size"]) - max(0, int(item.get("SharedSize") or 0))),
            last_used=max(float(item.get("Created") or 0), tagged.get(str(item["Id"]), 0.0)),
            in_use=str(item["Id"]) in held or int(item.get("Containers") or 0) > 0,
        )
        for item in answer.get("Images") or []
    ]


def cache_entries(answer: Mapping[str, Any]) -> list[CacheEntry]:
    """The records of the build cache; one that was never used since counts from its creation."""
    return [
        CacheEntry(
            id=str(item["ID"]),
            size=int(item.get("Size") or 0),
            last_used=read_moment(str(item.get("LastUsedAt") or item.get("CreatedAt") or "")),
            in_use=bool(item.get("InUse")),
            shared=bool(item.get("Shared")),
        )
        for item in answer.get("BuildCache") or []
    ]


def read_moment(text: str) -> float:
    """Unix seconds of an RFC 3339 time; 0 for Go's zero time and for what is no time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    if moment.year <= 1:
        return 0.0
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
