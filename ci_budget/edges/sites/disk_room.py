"""Room on the host's disk, for several checks at once: their reserves add up.

Each sandbox's file is reserved as a whole before the next check looks at the disk, so only the reserves must be told:
they stand in the file by which a sandbox shows that its owner lives.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ci_budget.core.health.facts import DiskFacts
from ci_budget.core.health.room import BuildNeeds, Share, describe_room, has_room
from ci_budget.edges.host.disk_levels import read_disk
from ci_budget.edges.sites.state import Claim, is_locked, locked, network_folder
from ci_budget.errors import UnmeasuredError

_LONGEST = 100


class NoRoomError(UnmeasuredError):
    """The disk lacks room for a build. `needed`: bytes that must be available on the filesystem `disk`."""

    def __init__(self, disk: DiskFacts, needs: BuildNeeds, mend: str) -> None:
        super().__init__(f"no room to build: {describe_room(disk, needs)}", mend=mend)
        self.disk = disk
        self.needed = needs.bytes


def require_room(folder: Path, needs: BuildNeeds, *, mend: str) -> str:
    """What is there and what is needed, as a sentence, where it suffices; other checks' reserves count.

    Raises NoRoomError, whose advice ends with `mend`, where it does not.
    """
    count, size = promised(folder)
    others = Share(size=size, purpose=f"that {count} other check{'s' if count > 1 else ''} must leave free")
    needs = replace(needs, shares=(*needs.shares, others))
    try:
        disk = read_disk(folder, "the build")
    except OSError as error:
        raise UnmeasuredError(f"the disk of {folder} cannot be looked at: {error.strerror}") from error
    if not has_room(disk, needs):
        raise NoRoomError(disk, needs, mend)
    return describe_room(disk, needs)


@contextlib.contextmanager
def admission() -> Iterator[None]:
    """One check at a time looks at the disk and takes its room; reserves are promised before the next one looks."""
    with locked(network_folder() / "room"):
        yield


def promise(claim: Claim, reserve: int) -> None:
    """Tell the others how many bytes of the filesystem of this sandbox's file must stay free."""
    device = claim.folder.stat().st_dev
    owner = network_folder() / f"{claim.id}.owner"
    with contextlib.suppress(FileNotFoundError):
        handle = os.open(owner, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{device} {reserve}\n")


def promised(folder: Path) -> tuple[int, int]:
    """How many living sandboxes promised to keep space free on the filesystem of `folder`, and bytes in all."""
    sizes = [size for size in _sandboxes(folder).values() if size is not None]
    return len(sizes), sum(sizes)


def living_sandboxes(folder: Path) -> frozenset[str]:
    """The ids of the living sandboxes on the filesystem of `folder`, and of those that this user may not look at."""
    return frozenset(_sandboxes(folder))


def require_undisturbed(folder: Path, before: frozenset[str]) -> None:
    """Raises UnmeasuredError where a sandbox began or ended there since `before`: its whole file would count."""
    if living_sandboxes(folder) != before:
        raise UnmeasuredError(
            f"a sandbox of another check began or ended on the disk of {folder} meanwhile, so its levels are not this "
            "build's",
            mend="Run it again; a check in host mode and one in a sandbox on the same disk go one after the other.",
        )


def _sandboxes(folder: Path) -> dict[str, int | None]:
    """Id and reserve of each; None for the reserve of another user's, whose disk cannot be told either."""
    device = folder.stat().st_dev
    found: dict[str, int | None] = {}
    for owner in network_folder(make=False).glob("*.owner"):
        try:
            where, size = owner.read_text(encoding="ascii")[:_LONGEST].split()
            if int(where) == device and is_locked(owner):
                found[owner.stem] = int(size)
        except PermissionError:
            found[owner.stem] = None
        except (OSError, ValueError):  # gone meanwhile, or it has not taken its room yet
            continue
    return found
