"""Which files a later layer wrote again: for their permissions alone, or with other content."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ci_budget.core.findings.rule import LEAST, Evidence, name_some
from ci_budget.core.layers.model import Entry
from ci_budget.core.layers.waste import WastedPath

# whoever installs anything writes these again
_RECORDS = re.compile(
    r"(?:var/lib/(?:dpkg|rpm|apt|pacman)|var/cache/(?:apt|debconf|ldconfig|fontconfig)|lib/apk/db|usr/lib/sysimage)/"
    r"|etc/(?:ld\.so\.cache|passwd|group|g?shadow)-?$|usr/share/info/dir$|var/log/"
)


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """Files that the layer `hid` wrote again: bytes, the writers' layers, some of the names, and all of them."""

    hid: int
    size: int
    count: int
    wrote: tuple[int, ...]
    names: str
    items: tuple[WastedPath, ...]


def find_rewritten(evidence: Evidence, *, permissions: bool) -> Iterator[Rewritten]:
    """By the layer that wrote again, those of at least `LEAST` bytes in all.

    `permissions`: files of the same size whose mode or owner changed, as chmod and chown leave them; else the others.
    """
    image, waste = evidence.image, evidence.waste
    if image is None or waste is None:
        return
    held: dict[int, list[WastedPath]] = {}
    for item in waste.items:
        if item.cause == "overwritten" and not _RECORDS.match(item.path):
            held.setdefault(item.hid, []).append(item)
    for hid, items in sorted(held.items()):
        below: dict[int, Mapping[str, Entry]] = {}
        above = {entry.path: entry for entry in image.layers[hid].entries}
        wanted: list[WastedPath] = []
        for item in items:
            if item.wrote not in below:
                below[item.wrote] = {entry.path: entry for entry in image.layers[item.wrote].entries}
            if _only_permissions(below[item.wrote].get(item.path), above.get(item.path)) is permissions:
                wanted.append(item)
        size = sum(item.size for item in wanted)
        if size >= LEAST:
            wanted.sort(key=lambda item: (-item.size, item.path))
            yield Rewritten(
                hid=hid,
                size=size,
                count=len(wanted),
                wrote=tuple(sorted({item.wrote for item in wanted})),
                names=name_some([f"/{item.path}" for item in wanted]),
                items=tuple(wanted),
            )


def _only_permissions(before: Entry | None, after: Entry | None) -> bool:
    if before is None or after is None or before.size != after.size:
        return False
    return (before.mode, before.uid, before.gid) != (after.mode, after.uid, after.gid)
