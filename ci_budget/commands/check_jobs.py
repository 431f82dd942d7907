"""What `check` was asked to do: which images, with which files, held to whose limits. Nothing is built here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci_budget.commands.check_config import config_places, overridden, read_config, require_known
from ci_budget.commands.check_options import CheckOptions
from ci_budget.commands.preparation import ImageJob
from ci_budget.core.config.model import Config, DiskConfig
from ci_budget.core.config.text import ParsedConfig, parse_config
from ci_budget.core.gate.approvals import APPROVALS_PATH, Approvals
from ci_budget.core.gate.limit_changes import compare_run_limits
from ci_budget.core.gate.limits import DecidedLimits, own_limits, pull_request_limits
from ci_budget.core.records.baseline import DEFAULT_PATH, Baseline
from ci_budget.core.records.report import LimitChange
from ci_budget.core.text.units import parse_size
from ci_budget.edges import git
from ci_budget.edges.files.approvals_file import read_approvals, read_approvals_at
from ci_budget.edges.files.baseline_file import baseline_path, read_baseline, read_baseline_at
from ci_budget.edges.files.baseline_inventories import InventoryPlace
from ci_budget.edges.files.config_file import (
    ImageFiles,
    check_files,
)
from ci_budget.edges.github import GitHubContext
from ci_budget.errors import ConfigError, UnmeasuredError

Job = tuple[ImageJob, DecidedLimits]


@dataclass(frozen=True, kw_only=True)
class CheckPlan:
    """The jobs of a run, in the config's order; `folder` is what the config's paths are relative to.

    `inventories`: where those of the baselines may lie.
    """

    folder: Path
    jobs: tuple[Job, ...]
    limits_changed: Sequence[LimitChange] = ()
    notes: Sequence[str] = ()
    inventories: Sequence[InventoryPlace] = ()

    @property
    def on_builders(self) -> bool:
        """Whether every image is built on a buildx builder, so that this machine's disk is not used."""
        return all(job.image.builder is not None for job, _ in self.jobs)


@dataclass(frozen=True, kw_only=True)
class _Limits:
    """Where limits come from: the head's config and baseline, and the base revision's in a pull request."""

    head: Config
    head_baseline: Baseline
    in_pull_request: bool
    base: Config | None
    base_baseline: Baseline
    head_approvals: Approvals
    base_approvals: Approvals
    inventories: tuple[InventoryPlace, ...]

    def of(self, name: str) -> DecidedLimits:
        if not self.in_pull_request:
            return own_limits(self.head, self.head_baseline, name, self.head_approvals)
        return pull_request_limits(
            base_config=self.base,
            base_baseline=self.base_baseline,
            head_config=self.head,
            head_baseline=self.head_baseline,
            image=name,
            base_approvals=self.base_approvals,
            head_approvals=self.head_approvals,
        )


def plan_check(options: CheckOptions, github: GitHubContext) -> CheckPlan:
    """Read config, Dockerfiles, baselines and the base revision's limits.

    Raises ConfigError for whatever is wrong in them, UnmeasuredError when the base revision cannot be read.
    """
    parsed, folder = read_config(options)
    if options.images:
        require_known(options.images, parsed)
    parsed = overridden(parsed, folder, options)
    limits = _limits(parsed, folder, options, github)
    files = {found.name: found for found in check_files(parsed, folder)}
    names = [name for name in parsed.config.images if not options.images or name in options.images]
    if options.no_build is not None and len(names) != 1:
        raise ConfigError(f"--no-build is about one image, and {len(names)} were asked for; name it with --image")
    jobs = []
    for name in names:
        decided = limits.of(name)
        disk = _disk(decided.config.disk, options)
        budget = _given_budget(options) or decided.limits.disk_budget
        builder = parsed.config.images[name].builder
        building = options.no_build is None and builder is None
        if builder is not None and (options.push or options.load or options.export):
            raise ConfigError(
                f"images.{name} is built on the builder '{builder}': --push, --load and --export hand out images of an "
                "engine",
                file=parsed.file,
                line=parsed.line_of("images", name, "builder"),
            )
        if budget is None and disk.mode != "host" and building:
            raise ConfigError(
                f"images.{name} has no disk budget: nothing says how much disk its build may use",
                mend="Set disk.budget (or the image's own), such as `disk: {budget: 25GB}`, or give --disk-budget.",
                file=parsed.file,
                line=parsed.line_of("images", name),
            )
        judged = decided.config.images.get(name)
        jobs.append(
            (
                ImageJob(
                    name=name,
                    image=parsed.config.images[name],
                    files=files[name],
                    folder=folder,
                    disk=disk,
                    disk_budget=budget,
                    smoke=(judged or parsed.config.images[name]).smoke,
                    expected_size=_expected(decided, "image_size")[0],
                    expected_by=_expected(decided, "image_size")[1],
                    expected_inodes=_expected(decided, "peak_inodes")[0] or 0,
                    ignored=tuple(parsed.config.findings.ignore),
                    neighbours=neighbours(files, name),
                ),
                decided,
            )
        )
    changes: Sequence[LimitChange] = ()
    if limits.in_pull_request and (limits.base is None or limits.base.limits_from != "head"):
        changes = compare_run_limits(limits.base, parsed.config)
    return CheckPlan(folder=folder, jobs=tuple(jobs), limits_changed=changes, inventories=limits.inventories)


def neighbours(files: Mapping[str, ImageFiles], name: str) -> tuple[Path, ...]:
    """The Dockerfiles of the other images that are built from the context of the image `name`."""
    own = files[name]
    found = {other.dockerfile for other in files.values() if other.context == own.context} - {own.dockerfile}
    return tuple(sorted(found))


def _given_budget(options: CheckOptions) -> int | None:
    try:
        return parse_size(options.disk_budget) if options.disk_budget else None
    except ValueError as error:
        raise ConfigError(f"--disk-budget: {error}") from None


def _expected(decided: DecidedLimits, metric: str) -> tuple[int | None, str]:
    """What an image will have of a metric, and by what: the largest of its baselines, else its budget."""
    recorded = [entry.metrics[metric] for entry in decided.baselines if metric in entry.metrics]
    if recorded:
        return max(recorded), "its baseline"
    return decided.limits.of(metric).budget, f"budgets.{metric}"


def _disk(disk: DiskConfig, options: CheckOptions) -> DiskConfig:
    return disk.model_copy(update={"mode": options.disk_mode}) if options.disk_mode else disk


def _limits(parsed: ParsedConfig, folder: Path, options: CheckOptions, github: GitHubContext) -> _Limits:
    head_baseline = read_baseline(folder, options.baseline)
    head_approvals = read_approvals(folder)
    here = InventoryPlace(folder=folder, baseline=os.path.relpath(baseline_path(folder, options.baseline), folder))
    if not github.proposes or not parsed.lines:
        return _Limits(
            head=parsed.config,
            head_baseline=head_baseline,
            in_pull_request=False,
            base=None,
            base_baseline=Baseline(),
            head_approvals=head_approvals,
            base_approvals=Approvals(),
            inventories=(here,),
        )
    revision = github.base_revision(head=git.resolve(folder, "HEAD"), parents=git.commit_parents(folder))
    if revision is None:
        raise UnmeasuredError(
            "this is a pull request, and its base revision is not known, so its limits cannot be read",
            mend="Check out with `fetch-depth: 2`; the event's payload must be readable.",
        )
    base, places = _base_config(Path(parsed.file), folder, revision, searched=options.config is None)
    approved = [place.replace(DEFAULT_PATH, APPROVALS_PATH) for place in places]
    if options.baseline is not None and options.baseline.resolve().is_relative_to(folder):
        places = [str(options.baseline.resolve().relative_to(folder))]
    baselines = (read_baseline_at(folder, revision, place) for place in places)
    return _Limits(
        head=parsed.config,
        head_baseline=head_baseline,
        in_pull_request=True,
        base=base,
        base_baseline=next((found for found in baselines if found.images), Baseline()),
        head_approvals=head_approvals,
        base_approvals=read_approvals_at(folder, revision, approved),
        inventories=(
            *(InventoryPlace(folder=folder, baseline=place, revision=revision) for place in dict.fromkeys(places)),
            here,
        ),
    )


def _base_config(file: Path, folder: Path, revision: str, *, searched: bool) -> tuple[Config | None, list[str]]:
    """The base revision's config, and where its baseline may lie, relative to the head's `folder`.

    Where the config was searched for, so it is there: a proposal that brings a file of the other name, one nearer to
    the working directory, or a link, must not hide the limits that are in force.
    """
    for path in config_places(file, searched=searched):
        place = os.path.relpath(path, folder)
        text = git.read_file_at(folder, revision, place)
        if text is not None:
            beside = os.path.relpath(path.parent / DEFAULT_PATH, folder)
            return parse_config(text, f"{place} at {revision[:12]}").config, [beside, DEFAULT_PATH]
    return None, [DEFAULT_PATH]
