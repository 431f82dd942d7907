"""Who uses a build context: every stage of every Dockerfile that shares its ignore file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ci_budget.core.context.measured import ContextMeasure
from ci_budget.core.dockerfile.instructions import MAX_BYTES, Dockerfile, parse_dockerfile
from ci_budget.core.findings.context_use import ContextUse, read_sweeping
from ci_budget.core.stages.plan import ContextSource
from ci_budget.core.stages.planning import plan_stages
from ci_budget.edges.files.config_file import read_bounded
from ci_budget.edges.files.context_files import find_ignore_file, read_ignore_rules
from ci_budget.edges.files.context_texts import read_program_texts
from ci_budget.edges.files.dockerfile_search import find_dockerfiles
from ci_budget.errors import ConfigError

_COMMANDS = ("run", "cmd", "entrypoint", "healthcheck", "onbuild")


@dataclass(frozen=True, kw_only=True)
class SharedContext:
    """A context folder with one of its Dockerfiles, parsed; `others`: Dockerfiles of other images of the config that
    build from the same folder. `build_args` are those of the image."""

    context: Path
    dockerfile: Path
    parsed: Dockerfile
    build_args: Mapping[str, str]
    platform: str
    build_contexts: Sequence[str] = ()
    others: Sequence[Path] = ()


def read_context_use(shared: SharedContext, measure: ContextMeasure, *, shown: str) -> ContextUse | None:
    """Everything that may use a measured context; `shown` is how a person names its ignore file.

    None where a Dockerfile or a stage cannot be understood: then nothing may be said of what is not used.
    """
    own = find_ignore_file(shared.context, shared.dockerfile)
    alone = own is not None and own.name == f"{shared.dockerfile.name}.dockerignore"
    sources: list[ContextSource] = []
    commands: list[str] = []
    sweeping: list[str] = []
    needed = {shared.dockerfile} | ({own} if own is not None else set())
    try:
        for path, parsed in _dockerfiles(shared, alone=alone):
            needed.add(path)
            here = list(_sources(parsed, shared))
            sources += here
            sweeping += read_sweeping(parsed, here)
            commands += [
                one.original
                for stage in parsed.stages
                for one in stage.instructions
                if one.command in _COMMANDS
            ]  # fmt: skip
    except (ConfigError, OSError):
        return None
    found = tuple(dict.fromkeys(sources))
    use = ContextUse(
        measure=measure,
        sources=found,
        commands=tuple(dict.fromkeys(commands)),
        needed=frozenset(
            path.relative_to(shared.context).as_posix() for path in needed if path.is_relative_to(shared.context)
        ),
        ignore_file=shown,
        sweeping=tuple(dict.fromkeys(sweeping)),
        kept=read_ignore_rules(shared.context, shared.dockerfile),
    )
    return replace(use, texts=read_program_texts(shared.context, measure)) if use.sweeps else use


def _dockerfiles(shared: SharedContext, *, alone: bool) -> Iterator[tuple[Path, Dockerfile]]:
    yield shared.dockerfile, shared.parsed
    if alone:
        return
    inside = [shared.context / found.path for found in find_dockerfiles(shared.context).found]
    for path in dict.fromkeys((*shared.others, *inside)):
        ignore = find_ignore_file(shared.context, path)
        if path != shared.dockerfile and (ignore is None or ignore.name != f"{path.name}.dockerignore"):
            yield path, parse_dockerfile(read_bounded(path, MAX_BYTES), path.name)


def _sources(parsed: Dockerfile, shared: SharedContext) -> Iterator[ContextSource]:
    """What any stage names of the context, whether or not this image's target reaches it."""
    seen: set[int] = set()
    for stage in reversed(parsed.stages):
        if stage.index in seen:
            continue
        plan = plan_stages(
            parsed,
            target=str(stage.index),
            build_args=shared.build_args,
            platform=shared.platform,
            build_contexts=tuple(shared.build_contexts),
        )
        seen |= {reached.index for reached in plan.stages if reached.reached}
        yield from plan.context_sources
