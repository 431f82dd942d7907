"""`plan`: which images a change touches, as text, JSON or outputs of a workflow's step."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ci_budget.core.plan import (
    MOST_SHARDS,
    Plan,
    Sources,
    plan_all,
    plan_change,
    render_json,
    render_outputs,
    render_summary,
    render_text,
)
from ci_budget.edges.github import GitHubContext
from ci_budget.errors import CiBudgetError, ConfigError, ExitCode, UnmeasuredError

if TYPE_CHECKING:
    from ci_budget.core.config.model import ImageConfig
    from ci_budget.core.config.text import ParsedConfig
    from ci_budget.edges.files.config_file import ImageFiles

_BASELINES = ".ci-budget"


@click.command(name="plan", short_help="Print the images that a change touches.")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="The config.")
@click.option("--base", metavar="REV", help="The revision before the change.  [default: the pull request's base]")
@click.option("--all", "everything", envvar="CI_BUDGET_PLAN_ALL", is_flag=True, help="Every image, whatever changed.")
@click.option(
    "--shards",
    type=click.IntRange(min=1, max=MOST_SHARDS),
    default=MOST_SHARDS,
    show_default=True,
    help="Jobs of the matrix at most; more images than that share them.",
)
@click.option(
    "--format",
    "form",
    envvar="CI_BUDGET_PLAN_FORMAT",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="github: text, and the outputs touched, images and matrix of a workflow's step.",
)
def command(
    config: Path | None, base: str | None, everything: bool, shards: int, form: Literal["text", "json", "github"]
) -> int:
    """Print which images a change touches, and why.

    An image is touched when its context (what the ignore file leaves of it), its Dockerfile, an ignore file, a named
    context, its part of the config (build arguments, limits), its accepted values or its approvals differ between the
    base and the commit that is checked out.
    """
    from ci_budget.edges.github import read_context

    if base is not None and everything:
        raise click.UsageError("--base and --all exclude each other")
    context = read_context(os.environ)
    plan = make_plan(Path.cwd(), config=config, base=base, everything=everything, context=context)
    text = render_json(plan, shards=shards) + "\n" if form == "json" else render_text(plan)
    click.echo(text, nl=False)
    if form == "github":
        context.write_outputs(render_outputs(plan, shards=shards))
        summary = render_summary(plan)
        if summary is not None:
            context.write_summary(summary)
    return ExitCode.OK


def make_plan(start: Path, *, config: Path | None, base: str | None, everything: bool, context: GitHubContext) -> Plan:
    """The plan for the commit that is checked out at `start`.

    Raises ConfigError for a config that is wrong or no base outside of CI, UnmeasuredError where the
    base of a pull request is not known or not in this clone.
    """
    from ci_budget.edges.files.config_file import check_files, find_config, load_config, repository_root

    path = find_config(start, config)
    parsed = load_config(path)
    names = parsed.config.images
    if everything:
        return plan_all(names, base=None, reason="every image was asked for")
    root = repository_root(path.absolute().parent)
    base = base or _base_of_proposal(root, context)
    if base is None:
        if not context.in_actions:
            raise ConfigError("there is nothing to compare with", mend="Name a revision with --base, or use --all.")
        return plan_all(names, base=None, reason=f"'{context.event_name}' proposes no change to compare with")
    from ci_budget.edges.git import changed_paths, resolve

    base = resolve(root, base)
    folder = path.absolute().parent.resolve()
    changed = changed_paths(root, base)
    shared, settings, removed = _settings(root, folder, folder / path.name, base, changed, parsed)
    sources = [
        _sources(root, folder, parsed.config.images[files.name], files, settings.get(files.name))
        for files in check_files(parsed, folder)
    ]
    return replace(plan_change(sources, base=base, changed=changed, shared=shared), removed=removed)


def _settings(
    root: Path, folder: Path, config: Path, base: str, changed: Sequence[str], parsed: ParsedConfig
) -> tuple[Mapping[str, str], Mapping[str, str], tuple[str, ...]]:
    """The paths that count for every image, what changed in the settings of single ones, and the images that went.

    Where the base's settings cannot be read or compared, every image counts as touched.
    """
    places = {
        **_places(root, config, config.resolve(), "the config"),
        **_places(root, folder / _BASELINES, (folder / _BASELINES).resolve(), "the accepted values"),
    }
    if not any(path in places or path.startswith(tuple(f"{place}/" for place in places)) for path in changed):
        return {}, {}, ()
    from ci_budget.core.config.text import parse_config
    from ci_budget.core.gate.approvals import APPROVALS_PATH
    from ci_budget.core.plan_settings import Settings, compare_settings
    from ci_budget.edges.files.approvals_file import read_approvals, read_approvals_at
    from ci_budget.edges.files.baseline_file import read_baseline, read_baseline_at
    from ci_budget.edges.git import read_file_at

    try:
        text = read_file_at(folder, base, config.name)
        if text is None or config.is_symlink():
            return places, {}, ()
        before = Settings(
            config=parse_config(text, config.name).config,
            baseline=read_baseline_at(folder, base),
            approvals=read_approvals_at(folder, base, [APPROVALS_PATH]),
        )
        now = Settings(config=parsed.config, baseline=read_baseline(folder), approvals=read_approvals(folder))
    except CiBudgetError:
        return places, {}, ()  # the check itself says what is wrong
    change = compare_settings(before, now, config_name=config.name)
    if change.everywhere is not None:
        return {}, dict.fromkeys(parsed.config.images, change.everywhere), change.removed
    return {}, change.images, change.removed


def _base_of_proposal(root: Path, context: GitHubContext) -> str | None:
    if not context.proposes:
        return None
    from ci_budget.edges.git import commit_parents, resolve

    head = resolve(root, "HEAD")
    base = context.base_revision(head=head, parents=commit_parents(root))
    if base is None:
        raise UnmeasuredError(
            f"the base of this {context.event_name} is not known: GitHub's event does not name it",
            mend="Name it with --base, or check out the pull request's merge commit with fetch-depth: 2.",
        )
    return base


def _sources(root: Path, folder: Path, image: ImageConfig, files: ImageFiles, settings: str | None) -> Sources:
    context = _places(root, folder / image.context_path, files.context, "its context")
    dockerfiles = _places(root, folder / image.dockerfile_path, files.dockerfile, "its Dockerfile")
    ignores = [*(f"{name}.dockerignore" for name in dockerfiles), _below(root, files.context / ".dockerignore")]
    return Sources(
        name=files.name,
        folders=context,
        whole_folders=_named_folders(root, folder, image.build_contexts),
        files={**dockerfiles, **dict.fromkeys(ignores, "its ignore file")},
        ignored=_ignored(root, files),
        settings=settings,
        unknown=_unknown(image.build_contexts),
    )


def _ignored(root: Path, files: ImageFiles) -> Callable[[str], bool]:
    """Whether a path of the repository is left out of the context; where the rules are wrong, nothing is."""
    from ci_budget.core.context.ignore import LARGEST_FILE, IgnoreRules
    from ci_budget.edges.files.config_file import read_bounded

    own = files.dockerfile.with_name(f"{files.dockerfile.name}.dockerignore")
    used = own if own.exists() else files.context / ".dockerignore"
    try:
        rules = IgnoreRules.parse(read_bounded(used, LARGEST_FILE)) if used.exists() else IgnoreRules()
    except ConfigError:
        return lambda _path: False  # the check itself says what is wrong with the rules
    prefix = _below(root, files.context)

    def ignored(path: str) -> bool:
        inside = path if prefix == "." else path.removeprefix(f"{prefix}/")
        try:
            return (prefix == "." or inside != path) and rules.ignores(inside)
        except ConfigError:
            return False

    return ignored


def _named_folders(root: Path, folder: Path, contexts: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, source in contexts.items():
        if "://" not in source and not source.startswith("target:"):
            found |= _places(root, folder / source, (folder / source).resolve(), f"its context '{name}'")
    return found


def _unknown(contexts: Mapping[str, str]) -> str | None:
    """Why it cannot be told what the image is built from; images and addresses do not change with the repository."""
    for name, source in contexts.items():
        if source.startswith("oci-layout://"):
            return f"what its context '{name}' holds is not told by the repository"
    return None


def _places(root: Path, written: Path, resolved: Path, role: str) -> dict[str, str]:
    """The path as written, which may be a symlink, and what it leads to."""
    return {_below(root, written): role, _below(root, resolved): role}


def _below(root: Path, path: Path) -> str:
    """The path from the repository's root, with `.` and `..` resolved by name alone."""
    return Path(os.path.normpath(path)).relative_to(root).as_posix()
