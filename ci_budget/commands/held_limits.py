"""Whose limits count in a check: the working tree's, or in a pull request those of its base revision."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ci_budget.commands.check_config import config_places
from ci_budget.commands.check_options import CheckOptions
from ci_budget.core.config.model import Config
from ci_budget.core.config.text import ParsedConfig, parse_config
from ci_budget.core.gate.approvals import APPROVALS_PATH, Approvals
from ci_budget.core.gate.limit_changes import compare_run_limits
from ci_budget.core.gate.limits import DecidedLimits, own_limits, pull_request_limits
from ci_budget.core.gate.renamed_images import BaseRevision, build_places, find_renamed
from ci_budget.core.records.baseline import DEFAULT_PATH, Baseline
from ci_budget.core.records.report import LimitChange
from ci_budget.edges import git
from ci_budget.edges.files.approvals_file import read_approvals, read_approvals_at
from ci_budget.edges.files.baseline_file import baseline_path, read_baseline, read_baseline_at
from ci_budget.edges.files.baseline_inventories import InventoryPlace
from ci_budget.edges.github import GitHubContext
from ci_budget.errors import ConfigError, UnmeasuredError

_YAML = (".yml", ".yaml")


@dataclass(frozen=True, kw_only=True)
class HeldLimits:
    """Where limits come from. `base` None: no pull request, the head's own count; its names are those of the head.

    `renamed`: the images that the base has by another name, here to there. `inventories`: where those of the baselines
    may lie.
    """

    head: Config
    head_baseline: Baseline
    head_approvals: Approvals
    inventories: tuple[InventoryPlace, ...]
    base: BaseRevision | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)

    def of(self, name: str) -> DecidedLimits:
        """What an image of the head is held to."""
        if self.base is None:
            return own_limits(self.head, self.head_baseline, name, self.head_approvals)
        decided = pull_request_limits(
            base_config=self.base.config,
            base_baseline=self.base.baseline,
            head_config=self.head,
            head_baseline=self.head_baseline,
            image=name,
            base_approvals=self.base.approvals,
            head_approvals=self.head_approvals,
        )
        if name not in self.renamed:
            return decided
        note = (
            f"this is '{self.renamed[name]}' of the base revision by another name, so what that is held to counts; "
            "if it is another image, remove the old one in a change of its own first"
        )
        return replace(decided, notes=[*decided.notes, note])

    def changes(self) -> list[LimitChange]:
        """What a pull request changes of the limits on the run as a whole."""
        if self.base is None or (self.base.config is not None and self.base.config.limits_from == "head"):
            return []
        return compare_run_limits(self.base.config, self.head)


def hold_limits(parsed: ParsedConfig, folder: Path, options: CheckOptions, github: GitHubContext) -> HeldLimits:
    """Read baseline and approvals, and in a pull request what the base revision has of them and of the config.

    Raises ConfigError for what is wrong in them, UnmeasuredError when the base revision cannot be read.
    """
    own = HeldLimits(
        head=parsed.config,
        head_baseline=read_baseline(folder, options.baseline),
        head_approvals=read_approvals(folder),
        inventories=(
            InventoryPlace(folder=folder, baseline=os.path.relpath(baseline_path(folder, options.baseline), folder)),
        ),
    )
    if not github.proposes or not parsed.lines:
        return own
    revision = github.base_revision(head=git.resolve(folder, "HEAD"), parents=git.commit_parents(folder))
    if revision is None:
        raise UnmeasuredError(
            "this is a pull request, and its base revision is not known, so its limits cannot be read",
            mend="Check out with `fetch-depth: 2`; the event's payload must be readable.",
        )
    found = find_config_at(Path(parsed.file), folder, revision, searched=options.config is None)
    places = list(dict.fromkeys([*([found.beside(DEFAULT_PATH)] if found is not None else []), DEFAULT_PATH]))
    approved = [place.replace(DEFAULT_PATH, APPROVALS_PATH) for place in places]
    if options.baseline is not None and options.baseline.resolve().is_relative_to(folder):
        places = [str(options.baseline.resolve().relative_to(folder))]
    baselines = (read_baseline_at(folder, revision, place) for place in places)
    base = BaseRevision(
        config=found.config if found is not None else None,
        baseline=next((baseline for baseline in baselines if baseline.images), Baseline()),
        approvals=read_approvals_at(folder, revision, approved),
    )
    renamed = _find_renamed(found, parsed.config, folder, revision) if found is not None else {}
    there = [
        InventoryPlace(folder=folder, baseline=place, revision=revision, names=renamed)
        for place in places
    ]  # fmt: skip
    return replace(
        own,
        base=base.with_names(renamed, parsed.config.images),
        renamed=renamed,
        inventories=(*there, *own.inventories),
    )


@dataclass(frozen=True, kw_only=True)
class ConfigAt:
    """Another revision's config; `place` is relative to the head's folder."""

    config: Config
    place: str

    def beside(self, path: str) -> str:
        """A path that is relative to this config's folder, relative to the head's folder."""
        return os.path.normpath(os.path.join(os.path.dirname(self.place), path))  # noqa: PTH118, PTH120 - may lead up


def find_config_at(file: Path, folder: Path, revision: str, *, searched: bool) -> ConfigAt | None:
    """The config of another revision; None where it verifiably has none.

    Where the config was searched for, so it is there: a proposal that brings a file of the other name, one nearer to
    the working directory, or a link, must not hide the limits that are in force. Nor must one that moves the file.
    """
    for path in config_places(file, searched=searched):
        place = os.path.relpath(path, folder)
        text = git.read_file_at(folder, revision, place)
        if text is not None:
            return ConfigAt(config=parse_config(text, f"{place} at {revision[:12]}").config, place=place)
    top = git.top_folder(folder)
    own = os.path.relpath(folder / file.name, top)
    old = git.moved_paths(folder, revision).get(own)
    changed = [old] if old is not None else git.changed_paths(folder, revision)
    found = [config for path in changed if (config := _read_config_at(top, folder, revision, path)) is not None]
    configs = [config for config in found if old or _read_config_at(folder, folder, "HEAD", config.place) is None]
    if len(configs) > 1:
        named = ", ".join(config.place for config in configs)
        raise UnmeasuredError(
            f"this pull request brings {file.name} and removes {len(configs)} configs ({named}), so whose limits count "
            "cannot be told",
            mend="Add the new config in one pull request, and remove the old ones in the next.",
        )
    return configs[0] if configs else None


def _read_config_at(top: Path, folder: Path, revision: str, path: str) -> ConfigAt | None:
    """The config that a path, relative to `top`, holds at a revision; None where it holds something else."""
    if not path.endswith(_YAML):
        return None
    place = os.path.relpath(top / path, folder)
    try:
        text = git.read_file_at(top, revision, path)
        return ConfigAt(config=parse_config(text or b"", path).config, place=place)
    except ConfigError:
        return None


def _find_renamed(base: ConfigAt, head: Config, folder: Path, revision: str) -> Mapping[str, str]:
    if all(name in base.config.images for name in head.images):
        return {}
    top = git.top_folder(folder)
    places: Sequence[str] = (base.beside("."), ".")
    there, here = (os.path.relpath(os.path.normpath(folder / place), top) for place in places)
    return find_renamed(build_places(base.config, there), build_places(head, here), git.moved_paths(folder, revision))
