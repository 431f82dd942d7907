"""What `check` was asked to do: which images, with which files, held to whose limits. Nothing is built here."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ci_budget.commands.check_options import CheckOptions
from ci_budget.commands.preparation import ImageJob
from ci_budget.core.config.model import Config, DiskConfig, ImageConfig
from ci_budget.core.config.text import ParsedConfig, parse_config
from ci_budget.core.gate.limit_changes import compare_run_limits
from ci_budget.core.gate.limits import DecidedLimits, own_limits, pull_request_limits
from ci_budget.core.records.baseline import DEFAULT_PATH, Baseline
from ci_budget.core.records.report import LimitChange
from ci_budget.core.text.suggestion import suggest
from ci_budget.core.text.units import parse_size
from ci_budget.edges import git
from ci_budget.edges.baseline_file import read_baseline, read_baseline_at
from ci_budget.edges.config_file import CONFIG_NAMES, check_files, find_config, load_config, repository_root
from ci_budget.edges.github import GitHubContext
from ci_budget.errors import ConfigError, UnmeasuredError

Job = tuple[ImageJob, DecidedLimits]
Model = TypeVar("Model", bound=BaseModel)
_NO_NAME = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True, kw_only=True)
class CheckPlan:
    """The jobs of a run, in the config's order; `folder` is what the config's paths are relative to."""

    folder: Path
    jobs: tuple[Job, ...]
    limits_changed: Sequence[LimitChange] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class _Limits:
    """Where limits come from: the head's config and baseline, and the base revision's in a pull request."""

    head: Config
    head_baseline: Baseline
    in_pull_request: bool
    base: Config | None
    base_baseline: Baseline

    def of(self, name: str) -> DecidedLimits:
        if not self.in_pull_request:
            return own_limits(self.head, self.head_baseline, name)
        return pull_request_limits(
            base_config=self.base,
            base_baseline=self.base_baseline,
            head_config=self.head,
            head_baseline=self.head_baseline,
            image=name,
        )


def plan_check(options: CheckOptions, github: GitHubContext) -> CheckPlan:
    """Read config, Dockerfiles, baselines and the base revision's limits.

    Raises ConfigError for whatever is wrong in them, UnmeasuredError when the base revision cannot be read.
    """
    parsed, folder = _read_config(options)
    if options.images:
        _require_known(options.images, parsed)
    parsed = _overridden(parsed, options)
    limits = _limits(parsed, folder, options, github)
    files = {found.name: found for found in check_files(parsed, folder)}
    names = [name for name in parsed.config.images if not options.images or name in options.images]
    jobs = []
    for name in names:
        decided = limits.of(name)
        disk = _disk(decided.config.disk, options)
        budget = _given_budget(options) or decided.limits.disk_budget
        if budget is None and disk.mode != "host":
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
                    expected_size=_expected_size(decided),
                ),
                decided,
            )
        )
    changes: Sequence[LimitChange] = ()
    if limits.in_pull_request and (limits.base is None or limits.base.limits_from != "head"):
        changes = compare_run_limits(limits.base, parsed.config)
    return CheckPlan(folder=folder, jobs=tuple(jobs), limits_changed=changes)


def _given_budget(options: CheckOptions) -> int | None:
    try:
        return parse_size(options.disk_budget) if options.disk_budget else None
    except ValueError as error:
        raise ConfigError(f"--disk-budget: {error}") from None


def _read_config(options: CheckOptions) -> tuple[ParsedConfig, Path]:
    """The config; one made of the options where --context or --file is given without --image and --config."""
    alone = (options.context is not None or options.file is not None) and not options.images
    if alone and options.config is None:
        return _config_of_options(options)
    path = find_config(Path.cwd(), options.config)
    shown = Path(os.path.relpath(path))  # as annotations and readers want it
    return load_config(path if str(shown).startswith("..") else shown), path.resolve().parent


def _config_of_options(options: CheckOptions) -> tuple[ParsedConfig, Path]:
    context = (options.context or Path()).resolve()
    folder = repository_root(context)
    file = (options.file or context / "Dockerfile").resolve()
    name = _NO_NAME.sub("-", context.name.lower()).strip("-._") or "image"
    image: Mapping[str, object] = {
        "context": _relative(context, folder, "--context"),
        "dockerfile": _relative(file, context, "--file"),
    }
    config = _read(Config, {"version": 1, "images": {name: image}})
    return ParsedConfig(config=config, file="(command line)", lines={}), folder


def _read(model: type[Model], values: Mapping[str, object]) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"the command line: {found}") from None


def _relative(path: Path, folder: Path, option: str) -> str:
    found = os.path.relpath(path, folder)
    if option == "--context" and found.startswith(".."):
        raise ConfigError(f"{option} {path} lies outside of the repository {folder}")
    return found


def _require_known(names: Sequence[str], parsed: ParsedConfig) -> None:
    for name in names:
        if name not in parsed.config.images:
            hint = suggest(name, parsed.config.images, kind="images")
            raise ConfigError(f"there is no image '{name}' in this config; {hint}", file=parsed.file)


def _overridden(parsed: ParsedConfig, options: CheckOptions) -> ParsedConfig:
    """The config with what the command line says of one image in its place."""
    given: dict[str, object] = {}
    if len(options.images) == 1 or len(parsed.config.images) == 1:
        name = options.images[0] if options.images else next(iter(parsed.config.images))
    else:
        if any((options.target, options.build_args, options.context, options.file)):
            raise ConfigError("--context, --file, --target and --build-arg are about one image; name it with --image")
        return parsed
    image = parsed.config.images[name]
    folder = Path(parsed.file).resolve().parent if parsed.lines else repository_root(Path.cwd())
    context = folder / image.context_path
    if parsed.lines and options.context is not None:
        context = options.context.resolve()
        given["context"] = _relative(context, folder, "--context")
    if parsed.lines and options.file is not None:
        given["dockerfile"] = _relative(options.file.resolve(), context, "--file")
    if options.target is not None:
        given["target"] = options.target
    if options.build_args:
        arguments = dict(part.partition("=")[::2] for part in options.build_args)
        given["build_args"] = {**image.build_args, **arguments}
    if not given:
        return parsed
    merged = _read(ImageConfig, {**image.model_dump(exclude_unset=True), **given})
    config = parsed.config.model_copy(update={"images": {**parsed.config.images, name: merged}})
    return ParsedConfig(config=config, file=parsed.file, lines=parsed.lines)


def _expected_size(decided: DecidedLimits) -> int | None:
    recorded = [entry.metrics["image_size"] for entry in decided.baselines if "image_size" in entry.metrics]
    return max(recorded, default=decided.limits.of("image_size").budget)


def _disk(disk: DiskConfig, options: CheckOptions) -> DiskConfig:
    return disk.model_copy(update={"mode": options.disk_mode}) if options.disk_mode else disk


def _limits(parsed: ParsedConfig, folder: Path, options: CheckOptions, github: GitHubContext) -> _Limits:
    head_baseline = read_baseline(folder, options.baseline)
    if not github.proposes or not parsed.lines:
        return _Limits(
            head=parsed.config, head_baseline=head_baseline, in_pull_request=False, base=None, base_baseline=Baseline()
        )
    revision = github.base_revision(head=git.resolve(folder, "HEAD"), parents=git.commit_parents(folder))
    if revision is None:
        raise UnmeasuredError(
            "this is a pull request, and its base revision is not known, so its limits cannot be read",
            mend="Check out with `fetch-depth: 2`; the event's payload must be readable.",
        )
    base, places = _base_config(Path(parsed.file), folder, revision, searched=options.config is None)
    if options.baseline is not None and options.baseline.resolve().is_relative_to(folder):
        places = [str(options.baseline.resolve().relative_to(folder))]
    baselines = (read_baseline_at(folder, revision, place) for place in places)
    return _Limits(
        head=parsed.config,
        head_baseline=head_baseline,
        in_pull_request=True,
        base=base,
        base_baseline=next((found for found in baselines if found.images), Baseline()),
    )


def _base_config(file: Path, folder: Path, revision: str, *, searched: bool) -> tuple[Config | None, list[str]]:
    """The base revision's config, and where its baseline may lie, relative to the head's `folder`.

    Where the config was searched for, so it is there: a proposal that brings a file of the other name, one nearer to
    the working directory, or a link, must not hide the limits that are in force.
    """
    own = file.parent.resolve() / file.name
    found = [own]
    if searched:
        top = repository_root(own.parent)
        above = [own.parent, *(parent for parent in own.parents if parent.is_relative_to(top))]
        found += [parent / name for parent in above for name in CONFIG_NAMES]
    for path in dict.fromkeys(found):
        place = os.path.relpath(path, folder)
        text = git.read_file_at(folder, revision, place)
        if text is not None:
            beside = os.path.relpath(path.parent / DEFAULT_PATH, folder)
            return parse_config(text, f"{place} at {revision[:12]}").config, [beside, DEFAULT_PATH]
    return None, [DEFAULT_PATH]
