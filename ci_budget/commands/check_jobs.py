"""What `check` was asked to do: which images, with which files, held to whose limits. Nothing is built here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci_budget.commands.build_inputs import require_inputs
from ci_budget.commands.check_config import overridden, read_config, require_known
from ci_budget.commands.check_options import CheckOptions
from ci_budget.commands.held_limits import hold_limits
from ci_budget.commands.preparation import ImageJob
from ci_budget.core.config.amounts import read_positive_size
from ci_budget.core.config.model import DiskConfig
from ci_budget.core.gate.limits import DecidedLimits
from ci_budget.core.records.report import LimitChange
from ci_budget.core.stages.references import parse_reference
from ci_budget.edges.files.baseline_inventories import InventoryPlace
from ci_budget.edges.files.config_file import ImageFiles, check_files
from ci_budget.edges.github import GitHubContext
from ci_budget.errors import ConfigError

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


def plan_check(options: CheckOptions, github: GitHubContext) -> CheckPlan:
    """Read config, Dockerfiles, baselines and the base revision's limits.

    Raises ConfigError for whatever is wrong in them, UnmeasuredError when the base revision cannot be read.
    """
    parsed, folder = read_config(options)
    if options.images:
        require_known(options.images, parsed)
    parsed = overridden(parsed, folder, options)
    limits = hold_limits(parsed, folder, options, github)
    names = [name for name in parsed.config.images if not options.images or name in options.images]
    files = {found.name: found for found in check_files(parsed, folder, needed=names)}
    if options.no_build is not None and len(names) != 1:
        raise ConfigError(f"--no-build is about one image, and {len(names)} were asked for; name it with --image")
    if options.no_build is None:
        require_inputs(parsed, names, folder)
    _require_outlets(options, names)
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
    return CheckPlan(
        folder=folder, jobs=tuple(jobs), limits_changed=tuple(limits.changes()), inventories=limits.inventories
    )


def neighbours(files: Mapping[str, ImageFiles], name: str) -> tuple[Path, ...]:
    """The Dockerfiles of the other images that are built from the context of the image `name`."""
    own = files[name]
    found = {other.dockerfile for other in files.values() if other.context == own.context} - {own.dockerfile}
    return tuple(sorted(found))


def _require_outlets(options: CheckOptions, names: Sequence[str]) -> None:
    """What is built can be handed out as asked, as far as that can be told before. Raises ConfigError."""
    one = [word for word, value in (("--push", options.push), ("--export", options.export)) if value is not None]
    if one and len(names) > 1:
        raise ConfigError(f"{one[0]} is about one image, and {len(names)} were asked for; name it with --image")
    if options.push is not None:
        try:
            reference = parse_reference(options.push)
        except ValueError as error:
            raise ConfigError(f"--push {options.push}: {error}") from None
        if reference.digest is not None:
            raise ConfigError(f"--push {options.push}: an image is pushed under a tag, and its digest comes of that")
    if options.export is not None and not options.export.absolute().parent.is_dir():
        raise ConfigError(f"--export {options.export}: there is no folder {options.export.parent}")


def _given_budget(options: CheckOptions) -> int | None:
    try:
        return read_positive_size(options.disk_budget) if options.disk_budget else None
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
