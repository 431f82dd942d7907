"""Which circumstances must be equal for two values of a metric to be compared (design: fingerprint).

`context_size` depends on nothing but the files; sizes and layers on the platform; whatever is measured
while the build runs depends on all that is in the fingerprint.
"""

from __future__ import annotations

from ci_budget.core.records.report import Fingerprint

FIELDS = (
    "platform",
    "disk_mode",
    "storage_driver",
    "filesystem",
    "block_size",
    "order",
    "cache",
    "method",
)
_COMPARED: dict[str, tuple[str, ...]] = {
    "context_size": (),
    "image_size": ("platform",),
    "layers": ("platform",),
    "compressed_size": ("platform",),
    "wasted_bytes": ("platform",),
}
_WORDS = {
    "disk_mode": "disk mode",
    "storage_driver": "storage driver",
    "filesystem": "filesystem",
    "block_size": "block size",
    "order": "build order",
    "cache": "cache",
    "method": "version of the method",
}


def compared_fields(metric: str) -> tuple[str, ...]:
    """The fields of the fingerprint that count for `metric`; all of them where it is measured while building."""
    return _COMPARED.get(metric, FIELDS)


def differing_fields(metric: str, now: Fingerprint | None, then: Fingerprint) -> tuple[str, ...]:
    """The fields that forbid a comparison; empty means comparable. An unknown fingerprint differs in all that count."""
    fields = compared_fields(metric)
    if now is None:
        return fields
    return tuple(field for field in fields if getattr(now, field) != getattr(then, field))


def describe_differences(fields: tuple[str, ...], now: Fingerprint | None, then: Fingerprint) -> str:
    """`disk mode is host, the baseline's sandbox; storage driver is …`, for a message."""
    parts = []
    for field in fields:
        current = "unknown" if now is None else getattr(now, field)
        parts.append(f"{_WORDS.get(field, field)} is {current}, the baseline's {getattr(then, field)}")
    return "; ".join(parts)


def describe(fingerprint: Fingerprint) -> str:
    """The whole fingerprint in one line: `linux/amd64, sandbox, overlay2, ext4 (4096), sequential, cold, method 1`."""
    return (
        f"{fingerprint.platform}, {fingerprint.disk_mode}, {fingerprint.storage_driver}, "
        f"{fingerprint.filesystem} ({fingerprint.block_size}), {fingerprint.order}, {fingerprint.cache}, "
        f"method {fingerprint.method}"
    )
