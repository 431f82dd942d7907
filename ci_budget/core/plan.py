"""Which images a change touches: decided from paths alone, and in doubt an image counts as touched.

All paths are relative to the repository's root, with `/` and without `.` and `..`; the root itself is `.`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ci_budget.core.render.escape import code
from ci_budget.core.text.plain_text import one_line

MOST_SHARDS = 256
"""Jobs that GitHub starts of one matrix."""


def _never(_path: str) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What an image is built from.

    `files` maps a file to what it is ("its Dockerfile"), `folders` the context and `whole_folders` named
    contexts likewise. `ignored` says of a path in the repository that it is left out of the context, so
    that a change of it cannot change the image. `settings`: what changed in what the config says of it. `unknown`:
    why what the image is built from cannot be told from the repository; such an image always counts as touched.
    """

    name: str
    folders: Mapping[str, str]
    whole_folders: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    ignored: Callable[[str], bool] = _never
    settings: str | None = None
    unknown: str | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedImage:
    """An image, and why it is built (None: the change does not touch it)."""

    name: str
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every image of the config with the decision; `removed`: images of the base that the config no longer names."""

    base: str | None
    images: tuple[PlannedImage, ...]
    removed: tuple[str, ...] = ()

    @property
    def touched(self) -> tuple[PlannedImage, ...]:
        """The images to build, in the order of the config."""
        return tuple(image for image in self.images if image.reason is not None)

    @property
    def untouched(self) -> tuple[PlannedImage, ...]:
        """The images that need no build."""
        return tuple(image for image in self.images if image.reason is None)


def plan_all(names: Iterable[str], *, base: str | None, reason: str) -> Plan:
    """A plan that builds every image."""
    return Plan(base=base, images=tuple(PlannedImage(name=name, reason=reason) for name in names))


def plan_change(sources: Sequence[Sources], *, base: str, changed: Sequence[str], shared: Mapping[str, str]) -> Plan:
    """The images that a change of the paths `changed` touches.

    `shared` maps files and folders that count for every image (the config, the baselines) to what they are.
    """
    change = _Change(changed)
    common = change.find(shared, _never)
    return Plan(
        base=base,
        images=tuple(
            PlannedImage(name=image.name, reason=common or image.settings or image.unknown or change.reason_for(image))
            for image in sources
        ),
    )


def render_json(plan: Plan, *, shards: int = MOST_SHARDS) -> str:
    """The plan as a JSON document on one line, with `matrix` as a workflow's `strategy.matrix` takes it.

    An entry of the matrix has a number, `shard`, and one or more image names, one a line, `image`.
    """
    return json.dumps(
        {
            "base": plan.base,
            "touched": [image.name for image in plan.touched],
            "untouched": [image.name for image in plan.untouched],
            "matrix": _matrix(plan, shards),
        }
    )


def render_outputs(plan: Plan, *, shards: int = MOST_SHARDS) -> dict[str, str]:
    """The plan as outputs of a step: `touched` (true or false), `images` (one a line), `matrix` (JSON)."""
    return {
        "touched": "true" if plan.touched else "false",
        "images": "\n".join(image.name for image in plan.touched),
        "matrix": json.dumps(_matrix(plan, shards)),
    }


def render_summary(plan: Plan) -> str | None:
    """What a job that builds nothing has to say; None where there is something to build."""
    if plan.touched:
        return None
    text = "### ci-budget: nothing to build\n\nThe change touches no image of the config.\n"
    return text + "".join(f"\n- no longer gated: {code(name)}" for name in plan.removed)


def render_text(plan: Plan) -> str:
    """The plan for a person: one line an image, the images to build first."""
    since = f" since {plan.base[:12]}" if plan.base else ""
    head = f"{len(plan.touched)} of {len(plan.images)} images to build{since}"
    lines = [f"  build  {image.name}: {one_line(image.reason or '')}" for image in plan.touched]
    lines += [f"  skip   {image.name}: untouched" for image in plan.untouched]
    lines += [f"  gone   {name}: the config names it no more, and nothing gates it" for name in plan.removed]
    return "\n".join([head, *lines]) + "\n"


def _matrix(plan: Plan, shards: int) -> dict[str, list[dict[str, str]]]:
    """One image a job where that many jobs are allowed, else as even as it goes."""
    names = [image.name for image in plan.touched]
    groups = [names[start::shards] for start in range(min(shards, len(names)))]
    return {
        "include": [{"shard": str(number), "image": "\n".join(group)} for number, group in enumerate(groups, start=1)]
    }


class _Change:
    """The changed paths, indexed so that a thousand images are looked up quickly."""

    def __init__(self, changed: Sequence[str]) -> None:
        self._below: dict[str, list[str]] = {".": list(changed)}
        self._paths = set(changed)
        for path in changed:
            for folder in _ancestors(path):
                self._below.setdefault(folder, []).append(path)

    def reason_for(self, image: Sources) -> str | None:
        return (
            self.find(image.files, _never)
            or self.find(image.folders, image.ignored)
            or self.find(image.whole_folders, _never)
        )

    def find(self, places: Mapping[str, str], ignored: Callable[[str], bool]) -> str | None:
        """The first change at, below or above one of the places: above, because a folder may have become
        a link, and a changed submodule shows as the path of its folder."""
        for place, role in places.items():
            if place in self._paths:
                return f"{place} changed ({role})"
            above = next((folder for folder in _ancestors(place) if folder in self._paths), None)
            if above is not None:
                return f"{above} changed ({role} lies in it)"
            below = next((path for path in self._below.get(place, ()) if not ignored(path)), None)
            if below is not None:
                return f"{below} changed (in {role})"
        return None


def _ancestors(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))
