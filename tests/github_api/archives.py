"""Archives as a run leaves them, and as an attacker would."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Mapping


def archive(files: Mapping[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of these files."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return data.getvalue()


def with_link(target: str) -> bytes:
    """An archive whose report.json is a symbolic link."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        entry = zipfile.ZipInfo("report.json")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(entry, target)
    return data.getvalue()


def encrypted(data: bytes) -> bytes:
    """The archive with the flag of encryption set in both headers of its first file."""
    changed = bytearray(data)
    changed[6] |= 1
    changed[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)
