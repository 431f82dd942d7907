"""`explain NAME --fix-ignore`: writes the lines that an image's ignore file lacks. Needs no engine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ci_budget.commands.context_use import SharedContext, read_context_use
from ci_budget.core.context.ignore import IgnoreRules
from ci_budget.core.findings.ignore_lines import add_lines, propose_lines, spare_files
from ci_budget.core.render.ignore_fix import render_ignore_fix
from ci_budget.core.text.suggestion import suggest
from ci_budget.edges.files.config_file import ImageFiles, check_files, find_config, load_config
from ci_budget.edges.files.context_files import measure_context, read_ignore_rules
from ci_budget.edges.files.ignore_file import ignore_file_of, read_ignore_file, write_ignore_file
from ci_budget.edges.sites.disk_mode import own_platform
from ci_budget.errors import CiBudgetError, ConfigError, ExitCode


def fix_ignore(config: Path | None, name: str, *, say: Callable[[str], None]) -> int:
    """Write the lines that the ignore file of the image `name` lacks, and say which; a second run finds none.

    Returns the exit code. Raises ConfigError for what is wrong with the config or the Dockerfile, UnmeasuredError
    for a context that cannot be read.
    """
    path = find_config(Path.cwd(), config)
    parsed = load_config(path)
    images = parsed.config.images
    if name not in images:
        raise ConfigError(
            f"there is no image '{name}' in this config; {suggest(name, images, kind='images')}", file=parsed.file
        )
    files = {found.name: found for found in check_files(parsed, path.resolve().parent, needed=[name])}
    own, image = files[name], images[name]
    target = ignore_file_of(own.context, own.dockerfile)
    shown = os.path.relpath(target)
    measure = measure_context(own.context, read_ignore_rules(own.context, own.dockerfile))
    shared = SharedContext(
        context=own.context,
        dockerfile=own.dockerfile,
        parsed=own.parsed,
        build_args={key: str(value) for key, value in image.build_args.items() if value is not None},
        platform=image.platform or own_platform(),
        build_contexts=tuple(image.build_contexts),
        others=_others(files, own),
    )
    use = read_context_use(shared, measure, shown=shown)
    lines = propose_lines(use) if use is not None else ()
    if use is not None and lines:
        text = add_lines(read_ignore_file(target), lines)
        after = measure_context(own.context, IgnoreRules.parse(text, shown))
        lost = {file for file, _ in measure.listing()} - {file for file, _ in after.listing()} - spare_files(use)
        if lost:
            raise CiBudgetError(
                f"the lines would keep out '{sorted(lost)[0]}', which a build needs; nothing was written",
                mend="Please report it with this Dockerfile.",
                file=shown,
            )
        write_ignore_file(target, text)
        say(render_ignore_fix(lines, file=shown, before=measure.size, after=after.size))
        return ExitCode.OK
    say(render_ignore_fix((), file=shown, before=measure.size, after=measure.size))
    return ExitCode.OK


def _others(files: dict[str, ImageFiles], own: ImageFiles) -> tuple[Path, ...]:
    return tuple(
        found.dockerfile
        for found in files.values()
        if found.context == own.context and found.dockerfile != own.dockerfile
    )
