"""Images that a pull request only calls by another name: they stay held to the base revision's limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ci_budget.core.config.model import Config
from ci_budget.core.config.names import joined_path
from ci_budget.core.gate.approvals import Approvals
from ci_budget.core.records.baseline import Baseline


@dataclass(frozen=True, kw_only=True)
class BuildPlace:
    """What an image is built from; paths relative to the repository's top folder."""

    context: str
    dockerfile: str
    target: str | None


def build_places(config: Config, folder: str) -> dict[str, BuildPlace]:
    """The place of each image of a config that lies in `folder`, relative to the repository's top folder."""
    return {
        name: BuildPlace(
            context=joined_path(folder, image.context_path),
            dockerfile=joined_path(folder, image.dockerfile_path),
            target=image.target.lower() if image.target is not None else None,
        )
        for name, image in config.images.items()
    }


def find_renamed(
    base: Mapping[str, BuildPlace], head: Mapping[str, BuildPlace], moved: Mapping[str, str]
) -> dict[str, str]:
    """The images of the head that the base has by another name only: the name here, and the one there.

    `moved`: files that the base has elsewhere, new path to old path. An image is one of the base's when it is built
    from the same context, Dockerfile and target, else from the same Dockerfile, else when it alone is new in a context
    that one image alone is gone from: then its Dockerfile moved and changed too much to be known again. An image that
    keeps its name and is built from something else gives what it was built from away, its own limits not.
    """
    search = _Search(base, head, moved)
    search.match(search.is_same)
    search.match(search.is_same_dockerfile)
    search.match_single_in_context()
    return search.found


@dataclass
class _Search:
    base: Mapping[str, BuildPlace]
    head: Mapping[str, BuildPlace]
    moved: Mapping[str, str]
    found: dict[str, str] = field(default_factory=dict)

    @property
    def _new(self) -> list[str]:
        return [name for name in self.head if name not in self.base and name not in self.found]

    @property
    def _free(self) -> list[str]:
        taken = set(self.found.values())
        return [name for name in self.base if name not in taken]

    def match(self, same: Callable[[BuildPlace, BuildPlace], bool]) -> None:
        """Pair what is new with what is gone, or is built from something else now, in the order of the configs."""
        for new in self._new:
            for old in self._free:
                then, still = self.base[old], self.head.get(old)
                if same(then, self.head[new]) and (still is None or not same(then, still)):
                    self.found[new] = old
                    break

    def match_single_in_context(self) -> None:
        """Pair what nothing but the context speaks for, where there is no choice."""
        gone = [name for name in self._free if name not in self.head]
        new = self._new
        for name in new:
            context = self.head[name].context
            there = [old for old in gone if self.base[old].context == context]
            here = [other for other in new if self.head[other].context == context]
            if len(there) == len(here) == 1:
                self.found[name] = there[0]

    def is_same(self, then: BuildPlace, now: BuildPlace) -> bool:
        same = self.is_same_dockerfile(then, now)
        return same and (then.context, then.target) == (now.context, now.target)

    def is_same_dockerfile(self, then: BuildPlace, now: BuildPlace) -> bool:
        origin = self.moved.get(now.dockerfile)
        if origin is None and then.dockerfile not in self.moved.values():
            origin = now.dockerfile
        return origin == then.dockerfile


@dataclass(frozen=True, kw_only=True)
class BaseRevision:
    """What the base revision holds images to: its config (None: it verifiably has none), its accepted values, its
    approvals."""

    config: Config | None = None
    baseline: Baseline = field(default_factory=Baseline)
    approvals: Approvals = field(default_factory=Approvals)

    def with_names(self, renamed: Mapping[str, str], kept: Mapping[str, object]) -> BaseRevision:
        """The same by the names of the head: `renamed` as `find_renamed` gives it, `kept` has the head's images."""
        if self.config is None or not renamed:
            return self
        gone = {old for old in renamed.values() if old not in kept}

        def named(known: Mapping[str, object]) -> dict[str, object]:
            found = {name: value for name, value in known.items() if name not in gone}
            return found | {new: known[old] for new, old in renamed.items() if old in known}

        release = self.config.release.model_copy(update={"budgets": named(self.config.release.budgets)})
        approvals = [given for given in self.approvals.approvals if given.image not in gone]
        approvals += [
            given.model_copy(update={"image": new})
            for new, old in renamed.items()
            for given in self.approvals.of(old)
        ]  # fmt: skip
        return BaseRevision(
            config=self.config.model_copy(update={"images": named(self.config.images), "release": release}),
            baseline=self.baseline.model_copy(update={"images": named(self.baseline.images)}),
            approvals=self.approvals.model_copy(update={"approvals": tuple(approvals)}),
        )
