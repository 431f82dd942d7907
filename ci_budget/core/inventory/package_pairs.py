"""Which package of one image is which of another, and where in it the difference lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ci_budget.core.inventory.model import Inventory, Manager, PackageRecord
from ci_budget.core.records.report import Inside

_MOST_INSIDE = 3
_SHARE = 20  # a twentieth of what moved is worth a name


@dataclass(frozen=True)
class Installed:
    """The packages of one name from one manager on both sides: those of one place, or those that share none."""

    old: tuple[PackageRecord, ...]
    new: tuple[PackageRecord, ...]

    @property
    def name(self) -> str:
        """With the versions: `torch 2.13.0 -> 2.14.1`."""
        sides = (", ".join(sorted({one.version for one in side})) for side in (self.old, self.new) if side)
        return f"{(self.new or self.old)[0].name} {' -> '.join(dict.fromkeys(sides))}"

    @property
    def sizes(self) -> tuple[int | None, int | None]:
        """Bytes before and after, None where there is none."""
        old, new = (sum(one.size for one in side) if side else None for side in (self.old, self.new))
        return old, new

    @property
    def layer(self) -> int:
        """Where the largest lies, in the newer image where it is there."""
        return max(self.new or self.old, key=lambda one: (one.size, one.layer)).layer


def pair_packages(before: Inventory, after: Inventory) -> Iterator[Installed]:
    """The packages of both images by manager, name and the folder that they lie in."""
    sides: dict[tuple[str, str], tuple[_Places, _Places]] = {}
    for at, side in enumerate((before, after)):
        for record in side.packages:
            found = sides.setdefault((record.manager, record.name), ({}, {}))[at]
            found.setdefault(_place_of(record), []).append(record)
    for _, (old, new) in sorted(sides.items()):
        common = old.keys() & new.keys()
        yield from (Installed(tuple(old[place]), tuple(new[place])) for place in sorted(common))
        left = [tuple(one for at, found in side.items() if at not in common for one in found) for side in (old, new)]
        if left[0] or left[1]:
            yield Installed(*left)


_Places = dict[str, list[PackageRecord]]


def _place_of(record: PackageRecord) -> str:
    """The folder that a package is installed in: the same for another version."""
    folder = record.path.rpartition("/")[0]
    return folder.rpartition("/")[0] if record.manager is Manager.PIP else folder


class PackagedFiles:
    """The larger files of two images' packages."""

    def __init__(self, before: Inventory, after: Inventory) -> None:
        self._sides = before, after
        self._smallest = max(before.smallest_file, after.smallest_file)
        files = [one for side in self._sides for one in side.files]
        self._known = not any(one.owned and one.package is None for one in files)  # older inventories do not say whose

    def moved(self, old: Sequence[PackageRecord], new: Sequence[PackageRecord]) -> list[Inside]:
        """The files that the packages' sizes differ by, in the direction of the whole, the largest difference first."""
        if not self._known or not old or not new:
            return []
        held = self._held
        then, now = ({path: size for one in side for path, size in found.get(_key(one), ())}
                     for side, found in zip((old, new), held, strict=True))  # fmt: skip
        whole = sum(one.size for one in new) - sum(one.size for one in old)
        deltas = {path: now.get(path, 0) - then.get(path, 0) for path in then.keys() | now.keys()}
        large = [path for path, delta in deltas.items() if delta * whole > 0 and abs(delta) * _SHARE >= abs(whole)]
        large.sort(key=lambda path: (-abs(deltas[path]), path))
        return [Inside(name=f"/{path}", delta=deltas[path]) for path in large[:_MOST_INSIDE]]

    @cached_property
    def _held(self) -> tuple[_Held, _Held]:
        before, after = self._sides
        return self._hold(before), self._hold(after)

    def _hold(self, side: Inventory) -> _Held:
        held: _Held = {}
        for one in side.files:
            if one.package is not None and one.package < len(side.packages) and one.size >= self._smallest:
                held.setdefault(_key(side.packages[one.package]), []).append((one.path, one.size))
        return held


_Key = tuple[str, str, str, str]
_Held = dict[_Key, list[tuple[str, int]]]


def _key(record: PackageRecord) -> _Key:
    return record.manager, record.name, record.version, record.path
