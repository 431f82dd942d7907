"""Streams that only go forwards, laid over each other: what nobody wants is passed over at the lowest one, uncopied.

An image of many gigabytes is two tars, one in the other, of which only the headers are of interest.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from typing import Protocol

from ci_budget.errors import UnmeasuredError

CHUNK = 2**20
_WASTE = memoryview(bytearray(CHUNK))
"""Where bytes go that nobody reads; a buffer for each of a hundred thousand files would be cleared as often."""
_AHEAD = 2**14  # a header and what may follow it; more would only be copied from stream to stream


class Source(Protocol):
    """Bytes to read forwards."""

    def read(self, size: int = ..., /) -> bytes:
        """At most `size` bytes, none at the end."""


def tarfile_error(what: str) -> tarfile.ReadError:
    """An error that the tar library itself never swallows."""
    return tarfile.ReadError(what)


def skip(source: Source, size: int) -> int:
    """Pass over `size` bytes; how many there were, which is fewer only at the end."""
    if isinstance(source, (Forward, Peeked, Section)):
        return source.skip(size)
    into: Callable[[memoryview], int | None] | None = getattr(source, "readinto", None)
    left = size
    while left > 0:
        found = into(_WASTE[:left]) if into is not None else len(source.read(min(left, CHUNK)))
        if not found:
            break
        left -= found
    return size - left


class Forward:
    """A file for tarfile that only goes forwards. Its own stream mode copies its whole buffer for each member, and
    goes on skipping for years behind the end of an archive whose header claims exbibytes."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ahead = b""
        self._used = 0
        self._at = 0

    def tell(self) -> int:
        """How many bytes were read or passed over."""
        return self._at

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end."""
        left = len(self._ahead) - self._used
        if left < size:
            parts = [self._ahead[self._used :]]
            while left < size and (found := self._source.read(max(size - left, _AHEAD))):
                parts.append(found)
                left += len(found)
            self._ahead, self._used = b"".join(parts), 0
        found = self._ahead[self._used : self._used + size]
        self._used += len(found)
        self._at += len(found)
        return found

    def skip(self, size: int) -> int:
        """As the function `skip`."""
        held = min(size, len(self._ahead) - self._used)
        self._used += held
        passed = held + (skip(self._source, size - held) if size > held else 0)
        self._at += passed
        return passed

    def seek(self, position: int) -> int:
        """Go on to `position`, or to the end, which the next read finds. Raises tarfile.ReadError for going back."""
        if position < self._at:
            raise tarfile_error("a member lies before the one that was read")
        self.skip(position - self._at)
        return self._at


class Section:
    """The next `size` bytes of a stream. Raises tarfile.ReadError where it ends before them."""

    def __init__(self, stream: Forward, size: int) -> None:
        self._stream = stream
        self._left = size

    def read(self, size: int = -1, /) -> bytes:
        """As of any file."""
        wanted = self._left if size < 0 else min(size, self._left)
        found = self._stream.read(wanted)
        self._take(wanted, len(found))
        return found

    def skip(self, size: int) -> int:
        """As the function `skip`."""
        wanted = min(size, self._left)
        self._take(wanted, self._stream.skip(wanted))
        return wanted

    def _take(self, wanted: int, found: int) -> None:
        if found < wanted:
            raise tarfile_error("unexpected end of data")
        self._left -= found


class Peeked:
    """A stream whose first bytes are known, and that counts what was read."""

    def __init__(self, stream: Source) -> None:
        self.start = stream.read(512)
        self.taken = 0
        self._rest = self.start
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """As of any file."""
        if self._rest:
            found, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
            if size < 0:
                found += self._stream.read()
        else:
            found = self._stream.read(size) if size >= 0 else self._stream.read()
        self.taken += len(found)
        return found

    def skip(self, size: int) -> int:
        """As the function `skip`."""
        held = min(size, len(self._rest))
        self._rest = self._rest[held:]
        passed = held + (skip(self._stream, size - held) if size > held else 0)
        self.taken += passed
        return passed


class Hashed:
    """A blob's bytes, of which `finish` tells whether they are those that its digest names."""

    def __init__(self, stream: Source, digest: str) -> None:
        self._stream, self._digest = stream, digest
        self._hash = hashlib.new(digest.partition(":")[0])

    def read(self, size: int = -1, /) -> bytes:
        """As of any file."""
        found = self._stream.read(size)
        self._hash.update(found)
        return found

    def finish(self) -> None:
        """Read the rest. Raises UnmeasuredError when the whole is not what the digest names."""
        while self.read(CHUNK):
            pass
        if self._hash.hexdigest() != self._digest.partition(":")[2]:
            raise UnmeasuredError(f"the blob {self._digest} has another content than its name says")
