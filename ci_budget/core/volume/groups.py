"""What LVM says of its groups and volumes (`--reportformat json --units b --nosuffix`, lvmreport(7))."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

GROUP_FIELDS = "vg_name,vg_free"
VOLUME_FIELDS = "vg_name,lv_name,pool_lv,lv_size,vg_free"


@dataclass(frozen=True, kw_only=True)
class VolumeGroup:
    """A volume group and its free bytes."""

    name: str
    free: int


@dataclass(frozen=True, kw_only=True)
class LogicalVolume:
    """A logical volume. `pool`: the thin pool it takes its blocks from, else empty; `free`: what its group has left."""

    group: str
    name: str
    pool: str
    size: int
    free: int

    @property
    def path(self) -> str:
        """As LVM's commands take it."""
        return f"{self.group}/{self.name}"


def read_groups(text: str) -> tuple[VolumeGroup, ...]:
    """The groups in the answer of `vgs`. Raises ValueError for what is no such answer."""
    rows = _rows(text, "vg")
    return tuple(VolumeGroup(name=str(row["vg_name"]), free=int(row["vg_free"])) for row in rows)


def read_volumes(text: str) -> tuple[LogicalVolume, ...]:
    """The volumes in the answer of `lvs`. Raises ValueError for what is no such answer."""
    return tuple(
        LogicalVolume(
            group=str(row["vg_name"]),
            name=str(row["lv_name"]),
            pool=str(row["pool_lv"]),
            size=int(row["lv_size"]),
            free=int(row["vg_free"]),
        )
        for row in _rows(text, "lv")
    )


def _rows(text: str, kind: str) -> list[dict[str, Any]]:
    try:
        return [row for report in json.loads(text)["report"] for row in report[kind]]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"this is no answer of LVM: {error}") from error
