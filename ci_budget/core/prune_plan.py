"""What `prune` takes away, and in which order: own leftovers, seeds, old build cache, dangling images, unused images.

Sizes are estimates in bytes, as the engine gives them; whether a target is reached is decided again after each step
from the filesystem itself. Ages and moments are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase

OWN_PREFIX = "ci-budget.local/"
_BANDS = (8, 4, 2, 1)


class PruneKind(StrEnum):
    """The classes, in the order in which they go."""

    LEFTOVERS = "leftovers"
    SEEDS = "seeds"
    CACHE = "build cache"
    DANGLING = "dangling images"
    UNUSED = "unused images"
    BASES = "base images"


@dataclass(frozen=True, kw_only=True)
class CacheEntry:
    """A record of the build cache. `in_use`: by a build that runs now; `shared`: its bytes belong to an image."""

    id: str
    size: int
    last_used: float
    in_use: bool
    shared: bool


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """An image of the engine. `size`: what goes with it alone; `last_used`: created, pulled or tagged last."""

    id: str
    names: tuple[str, ...]
    size: int
    last_used: float
    in_use: bool


@dataclass(frozen=True, kw_only=True)
class Stock:
    """All that could go. `seeds` are key to bytes, longest unused first; `own_images` may go only where nobody builds.

    `engine_disk` and `state_disk` name the filesystems on which the engine's and our own data lie.
    """

    leftovers: Sequence[tuple[str, int]] = ()
    seeds: Mapping[str, int]
    cache: Sequence[CacheEntry] = ()
    images: Sequence[StoredImage] = ()
    engine_disk: str | None = None
    state_disk: str


@dataclass(frozen=True, kw_only=True)
class PruneRules:
    """What is allowed. `engine`: also what others made on the engine. `protected`: ids of images that may be hard to
    get again: the config's bases, and the one in which sandboxes run.

    `keep`: patterns of image names (`*` and `?`) that stay whatever happens. Ages are seconds.
    """

    engine: bool = False
    cache_older: int = 72 * 3600
    unused_older: int = 168 * 3600
    bases: bool = False
    protected: frozenset[str] = frozenset()
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PruneStep:
    """One thing to take away. `key`: the seed's key, the image's id, or the cache's least age in seconds."""

    kind: PruneKind
    key: str
    label: str
    size: int
    disk: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PruneDone:
    """One step that was tried. `kept`: why it stayed."""

    step: PruneStep
    kept: str | None = None


def plan_steps(stock: Stock, rules: PruneRules, *, now: float) -> tuple[PruneStep, ...]:
    """Everything that may go, in order; a target decides later how far down the list it goes."""
    steps = [
        PruneStep(kind=PruneKind.LEFTOVERS, key=key, label=key, size=size, disk=stock.state_disk)
        for key, size in stock.leftovers
    ]
    # In use or not: what holds it may be a leftover itself, and the engine refuses where it is not.
    steps += [_own_step(image, stock) for image in stock.images if own_names(image)]
    steps += [
        PruneStep(kind=PruneKind.SEEDS, key=key, label=f"seed {key[:12]}", size=size, disk=stock.state_disk)
        for key, size in stock.seeds.items()
    ]
    if not rules.engine:
        return tuple(steps)
    steps += _cache_steps(stock, rules.cache_older, now)
    free = [image for image in stock.images if not is_own(image) and not image.in_use and not _is_kept(image, rules)]
    free.sort(key=lambda image: (image.last_used, image.id))
    others = [image for image in free if image.id not in rules.protected]
    steps += [_image_step(PruneKind.DANGLING, image, stock) for image in others if not image.names]
    old = [image for image in others if image.names and now - image.last_used >= rules.unused_older]
    steps += [_image_step(PruneKind.UNUSED, image, stock) for image in old]
    if rules.bases:
        bases = [image for image in free if image.id in rules.protected]
        steps += [_image_step(PruneKind.BASES, image, stock) for image in bases]
    return tuple(steps)


def expected_steps(
    steps: Sequence[PruneStep], available: Mapping[str, int], target: int | None
) -> tuple[PruneStep, ...]:
    """The steps that would be taken if every estimate were right. `available`: bytes by filesystem."""
    levels = dict(available)
    taken = []
    for step in steps:
        if not is_needed(step, levels, target):
            continue
        taken.append(step)
        levels[step.disk] = levels.get(step.disk, 0) + step.size
    return tuple(taken)


def is_needed(step: PruneStep, available: Mapping[str, int], target: int | None) -> bool:
    """Leftovers always go; the rest only while its filesystem has less than the target available."""
    return step.kind is PruneKind.LEFTOVERS or target is None or available.get(step.disk, 0) < target


def own_names(image: StoredImage) -> tuple[str, ...]:
    """The names that ci-budget gave it."""
    return tuple(name for name in image.names if name.startswith(OWN_PREFIX))


def is_own(image: StoredImage) -> bool:
    """Whether it has no other names than ours."""
    return bool(image.names) and own_names(image) == image.names


def _own_step(image: StoredImage, stock: Stock) -> PruneStep:
    """Take our names away; the image goes with the last one."""
    ours = replace(image, names=own_names(image), size=image.size if is_own(image) else 0)
    return _image_step(PruneKind.LEFTOVERS, ours, stock)


def _image_step(kind: PruneKind, image: StoredImage, stock: Stock) -> PruneStep:
    label = ", ".join(image.names) or image.id.removeprefix("sha256:")[:12]
    disk = stock.engine_disk or stock.state_disk
    return PruneStep(kind=kind, key=image.id, label=label, size=image.size, disk=disk, names=image.names)


def _is_kept(image: StoredImage, rules: PruneRules) -> bool:
    return any(fnmatchcase(name, pattern) for name in image.names for pattern in rules.keep)


def _cache_steps(stock: Stock, older: int, now: float) -> list[PruneStep]:
    """The oldest cache first, in bands of age: records hold each other, so they cannot go one by one."""
    steps = []
    upper = float("inf")
    for factor in _BANDS:
        age = older * factor
        size = sum(
            entry.size
            for entry in stock.cache
            if not entry.in_use and not entry.shared and age <= now - entry.last_used < upper
        )
        count = sum(not entry.in_use and age <= now - entry.last_used < upper for entry in stock.cache)
        if count:
            label = f"{count} record{'' if count == 1 else 's'} unused for {_age(age)} or longer"
            disk = stock.engine_disk or stock.state_disk
            steps.append(PruneStep(kind=PruneKind.CACHE, key=str(age), label=label, size=size, disk=disk))
        upper = age
        if age == 0:
            break
    return steps


def _age(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    return f"{hours}h" if not rest else f"{seconds}s"
