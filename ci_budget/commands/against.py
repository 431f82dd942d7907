"""`check --against REF`: the same images at another revision, built in this run and put in the place of baselines.

The other revision's own config says what its images are; disk, budgets and secrets are those of this run, so that
only what the revisions say differs.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ci_budget.commands.build_inputs import found_agents, found_secrets, require_inputs
from ci_budget.commands.check_config import config_places, goes_without_config, overridden, read_config
from ci_budget.commands.check_jobs import CheckPlan
from ci_budget.commands.check_options import CheckOptions
from ci_budget.commands.held_limits import find_config_at
from ci_budget.commands.preparation import ImageJob
from ci_budget.core.config.model import ImageConfig
from ci_budget.core.config.text import ParsedConfig
from ci_budget.core.gate.approvals import Ruling
from ci_budget.core.gate.judgement import GateOptions, judge_image
from ci_budget.core.gate.limits import DecidedLimits
from ci_budget.core.gate.other_revision import entry_of
from ci_budget.core.records.baseline import BaselineEntry
from ci_budget.core.records.report import ImageReport, OtherRevision
from ci_budget.edges import git
from ci_budget.edges.files.config_file import ImageFiles, check_files, find_config
from ci_budget.edges.files.context_files import read_ignore_rules
from ci_budget.edges.work_tree import copy_git_folder, work_tree
from ci_budget.errors import ConfigError, UnmeasuredError

_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class OtherSide:
    """What the other revision says of one image.

    `entry` None: nothing to compare with, either because the image is not there (`new`), or because it could not be
    measured: then nothing has passed. `shown`: the revision, for messages.
    """

    shown: str
    entry: BaselineEntry | None = None
    measured: ImageReport | None = None
    new: bool = False
    notes: tuple[str, ...] = ()

    @property
    def baselines(self) -> tuple[BaselineEntry, ...]:
        """What the image is compared with."""
        return () if self.entry is None else (self.entry,)


def find_other(options: CheckOptions, plan: CheckPlan) -> OtherRevision | None:
    """The commit that --against names; None where it was not given. Raises UnmeasuredError when it is not there."""
    if options.against is None:
        return None
    return OtherRevision(revision=options.against, commit=git.resolve(plan.folder, options.against))


def notes_on(against: OtherRevision | None, plan: CheckPlan, options: CheckOptions) -> list[str]:
    """What a reader of the difference must know of both sides."""
    if against is None:
        return []
    notes = []
    if gone := _images_gone(against, plan, options):
        named = ", ".join(f"'{name}'" for name in gone[:_SHOWN]) + (", ..." if len(gone) > _SHOWN else "")
        notes.append(f"images of {against.shown} that the config here has no more, so nothing is said of them: {named}")
    changes = git.count_changes(plan.folder)
    if changes:
        plural = "changes" if changes > 1 else "change"
        notes.append(f"this side is the working tree, with {changes} {plural} that {against.shown} cannot have")
    submodules = git.list_submodules(git.top_folder(plan.folder), against.commit)
    if empty := [part.path for part in submodules if not part.is_here]:
        named = ", ".join(empty[:_SHOWN])
        notes.append(f"submodules that this checkout has no commit of are empty folders at {against.shown}: {named}")
    return notes


def _images_gone(against: OtherRevision, plan: CheckPlan, options: CheckOptions) -> list[str]:
    """The images that only the other revision has; none where some were asked for by name. What is wrong with its
    config is told where its images are to be measured."""
    if options.images or goes_without_config(options):
        return []
    here = {job.name for job, _ in plan.jobs}
    with contextlib.suppress(ConfigError, UnmeasuredError):
        file = find_config(Path.cwd(), options.config)
        there = find_config_at(file, plan.folder, against.commit, searched=options.config is None)
        return [name for name in there.config.images if name not in here] if there is not None else []
    return []


@dataclass(frozen=True, kw_only=True)
class OtherTree:
    """The other revision's files: `tree` is to them what `top` is to the checkout's."""

    revision: OtherRevision
    options: CheckOptions
    top: Path
    tree: Path
    recorded: str

    def measure(self, job: ImageJob, measure: Callable[[ImageJob], ImageReport]) -> OtherSide:
        """Build the image as the other revision has it. Whatever goes wrong there is said and passes nothing."""
        shown = self.revision.shown
        try:
            there = self._job(job)
            if self._sends_git(job) or self._sends_git(there):
                copy_git_folder(self.top, self.tree)
            measured = measure(there)
        except _AbsentImageError as error:
            return OtherSide(shown=shown, new=True, notes=(f"{error}: the image is new here, only its budgets count",))
        except (ConfigError, UnmeasuredError) as error:
            return OtherSide(shown=shown, notes=(f"{shown} cannot be compared with: {self._local(str(error))}",))
        entry = entry_of(measured, commit=self.revision.commit, recorded=self.recorded)
        notes = []
        if measured.failure is not None:
            place = f" (line {measured.failure.line} there)" if measured.failure.line is not None else ""
            said = self._local(measured.failure.message)
            notes.append(f"{shown} cannot be compared with: {measured.failure.kind}{place}: {said}")
        return OtherSide(shown=shown, entry=entry, measured=measured, notes=tuple(notes))

    def _job(self, job: ImageJob) -> ImageJob:
        files, image, folder = self._image(job)
        return ImageJob(
            name=job.name,
            image=image,
            files=files,
            folder=folder,
            disk=job.disk,
            disk_budget=job.disk_budget,
            smoke=None,
            expected_size=job.expected_size,
            expected_by=job.expected_by,
            expected_inodes=job.expected_inodes,
        )

    def _image(self, job: ImageJob) -> tuple[ImageFiles, ImageConfig, Path]:
        options = self._moved_options(job)
        shown = self.revision.shown
        parsed, folder = read_config(options)
        name = job.name
        if goes_without_config(options):
            name = next(iter(parsed.config.images))
        elif name not in parsed.config.images:
            raise _AbsentImageError(f"the config at {shown} has no image '{name}'")
        parsed = overridden(parsed, folder, options)
        image = _with_sources(parsed.config.images[name], job.folder)
        alone = ParsedConfig(
            config=parsed.config.model_copy(update={"images": {name: image}}), file=parsed.file, lines=parsed.lines
        )
        require_inputs(alone, [name], folder)
        (files,) = check_files(alone, folder)
        return files, image, folder

    def _moved_options(self, job: ImageJob) -> CheckOptions:
        """The options with every path led into the other tree."""
        options, shown = self.options, self.revision.shown
        moved = replace(
            options,
            context=None if options.context is None else self._moved(options.context),
            file=None if options.file is None else self._moved(options.file),
        )
        if goes_without_config(options):
            context = moved.context or Path.cwd()
            for path in (moved.context, moved.file or context / "Dockerfile"):
                if path is not None and not path.exists():
                    raise _AbsentImageError(f"there is no {path.relative_to(self.tree)} at {shown}")
            return replace(moved, images=())
        head = find_config(Path.cwd(), options.config)
        places = [self._moved(path) for path in config_places(head, searched=options.config is None)]
        config = next((path for path in places if os.path.lexists(path)), None)
        if config is None:
            raise _AbsentImageError(f"there is no {head.name} at {shown}")
        return replace(moved, config=config, images=(job.name,))

    def _moved(self, path: Path) -> Path:
        resolved = path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()
        if not resolved.is_relative_to(self.top):
            raise ConfigError(
                f"{path} lies outside of the repository {self.top}, so {self.revision.shown} has no other version of it"
            )
        return self.tree / resolved.relative_to(self.top)

    def _sends_git(self, job: ImageJob) -> bool:
        """Whether `.git` is part of the build context; it is then copied, for no revision brings its own."""
        if job.files.context not in (self.top, self.tree):
            return False
        rules = read_ignore_rules(job.files.context, job.files.dockerfile).root()
        return rules.enter(".git") is not None if (self.top / ".git").is_dir() else not rules.ignores(".git")

    def _local(self, text: str) -> str:
        return text.replace(f"{self.tree}/", "")


class _AbsentImageError(Exception):
    """The other revision verifiably has no such image."""


@contextlib.contextmanager
def other_tree(
    revision: OtherRevision | None, options: CheckOptions, plan: CheckPlan, state: Path, recorded: str
) -> Iterator[OtherTree | None]:
    """The other revision's files, as long as the block lasts; None without --against. Raises UnmeasuredError."""
    if revision is None:
        yield None
        return
    top = git.top_folder(plan.folder)
    with work_tree(state, top, revision.commit) as tree:
        yield OtherTree(revision=revision, options=options, top=top, tree=tree.resolve(), recorded=recorded)


def judge_with(
    decided: DecidedLimits, gate: GateOptions, side: OtherSide | None
) -> Callable[[ImageReport], ImageReport]:
    """The gate for one image: with its accepted values, or with the other revision's in their place."""
    notes = [*decided.notes, *(side.notes if side is not None else ())]
    options = gate if side is None or side.new else replace(gate, other_revision=side.shown)
    ruling = Ruling(given=decided.approvals, today=datetime.now(UTC).date())

    def judge(measured: ImageReport) -> ImageReport:
        changes = {
            "limits_changed": list(decided.limits_changed),
            "new": measured.new or (side is not None and side.new),
            "notes": [*measured.notes, *notes],
        }
        return judge_image(
            measured.model_copy(update=changes),
            limits=decided.limits,
            baselines=decided.baselines if side is None else side.baselines,
            options=options,
            ruling=ruling,
        )

    return judge


def _with_sources(image: ImageConfig, folder: Path) -> ImageConfig:
    """The image with secrets and keys of this checkout: they are in no commit."""
    return image.model_copy(
        update={"secrets": list(found_secrets(image, folder)), "ssh": list(found_agents(image, folder))}
    )
