"""Files that are put in place whole: whoever reads one never sees half of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace_file(path: Path, data: bytes, *, draft: str, mode: int = 0o644, durable: bool = False) -> None:
    """Put `data` into `path`, whole or not at all; a link in its place is replaced, not followed.

    It is written beside it first, to a file called `draft`….tmp. `durable`: only when it
    is on the disk does it take its place. Raises OSError; then the old file stays.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=draft, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            os.fchmod(handle, mode)
            if durable:
                stream.flush()
                os.fsync(handle)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
