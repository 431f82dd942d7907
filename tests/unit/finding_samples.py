"""Evidence made by hand: a Dockerfile, and what each of its lines wrote, hid or changed."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from ci_budget.core.context.measured import ContextFolder, ContextMeasure
from ci_budget.core.dockerfile.instructions import parse_dockerfile
from ci_budget.core.findings.all_rules import find_all
from ci_budget.core.findings.context_use import ContextUse, read_sweeping
from ci_budget.core.findings.rule import Evidence
from ci_budget.core.layers.model import Entry, HistoryStep, ImageLayers, Kind, Layer, path_key
from ci_budget.core.layers.waste import measure_waste
from ci_budget.core.records.report import Finding, ImageReport, Verdict
from ci_budget.core.stages.planning import plan_stages

MB = 1_000_000
TODAY = date(2026, 3, 1)

Written = int | tuple[int, int] | None
"""Bytes of a file; bytes and its mode; None: it is deleted."""


def layer(number: int, files: Mapping[str, Written]) -> Layer:
    """A layer of these files."""
    entries = [
        Entry(path, Kind.WHITEOUT)
        if given is None
        else Entry(path, Kind.FILE, *(given if isinstance(given, tuple) else (given, 0o644)))
        for path, given in files.items()
    ]
    return Layer(f"sha256:{number:064x}", tuple(sorted(entries, key=lambda entry: path_key(entry.path))))


def evidence(
    dockerfile: str,
    wrote: Mapping[int, Mapping[str, Written]] | None = None,
    *,
    base: Mapping[str, Written] | None = None,
    target: str | None = None,
    report: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Evidence:
    """The evidence of a built Dockerfile. `wrote`: by line of the Dockerfile, what the layer of that line holds."""
    parsed = parse_dockerfile(dockerfile.encode(), "app/Dockerfile")
    plan = plan_stages(parsed, target=target, build_args={}, platform="linux/amd64", build_contexts=())
    stages = {step.line: (stage.name, step.instruction) for stage in plan.stages for step in stage.steps}
    layers = [layer(0, base if base is not None else {"bin/sh": 4 * MB})]
    history = [HistoryStep("base", 0)]
    for line, files in sorted((wrote or {}).items()):
        name, instruction = stages[line]
        history.append(HistoryStep(f"{instruction.original} # buildkit", len(layers), name, line))
        layers.append(layer(len(layers), files))
    image = ImageLayers(image_id=f"sha256:{1:064x}", layers=tuple(layers), history=tuple(history), inherited=1)
    measured = ImageReport(
        name="app", verdict=Verdict.PASS, exit_code=0, dockerfile="app/Dockerfile", target=target, **(report or {})
    )
    given: dict[str, Any] = {"image": image, "waste": measure_waste(image)} if wrote is not None else {}
    return Evidence(report=measured, dockerfile=parsed, plan=plan, **{**given, **changes})


def context(
    dockerfile: str, files: Mapping[str, int], *, texts: Mapping[str, str] | None = None, **changes: Any
) -> ContextUse:
    """A context of these files, used by all stages of the Dockerfile."""
    parsed = parse_dockerfile(dockerfile.encode(), "app/Dockerfile")
    sources = []
    for stage in parsed.stages:
        plan = plan_stages(
            parsed, target=str(stage.index), build_args={}, platform="linux/amd64", build_contexts=()
        )  # fmt: skip
        sources += plan.context_sources
    commands = tuple(
        one.original
        for stage in parsed.stages
        for one in stage.instructions
        if one.command in ("run", "cmd", "entrypoint")
    )
    sweeping = tuple(read_sweeping(parsed, sources))
    given: dict[str, Any] = {"texts": texts or {}, "commands": commands, "sweeping": sweeping} | changes
    return ContextUse(measure=measure(files), sources=tuple(dict.fromkeys(sources)), **given)


def measure(files: Mapping[str, int]) -> ContextMeasure:
    """A measured context of these files and bytes."""
    folders: dict[str, list[tuple[str, int]]] = {}
    directories: set[str] = set()
    for path, size in sorted(files.items()):
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, []).append((name, size))
        while folder:
            directories.add(folder)
            folder = folder.rpartition("/")[0]
    return ContextMeasure(
        size=sum(files.values()),
        files=len(files),
        folders=tuple(
            ContextFolder(
                path=folder, joined="/".join(name for name, _ in held), sizes=array("q", [size for _, size in held])
            )
            for folder, held in sorted(folders.items())
        ),
        directories=frozenset(directories),
    )


def found(given: Evidence, *, but: Sequence[str] = ("base-not-pinned", "mergeable-steps")) -> list[Finding]:
    """What the rules find, without those that nearly every sample sets off."""
    return [finding for finding in find_all(given, today=TODAY).findings if finding.rule not in but]


def told(finding: Finding) -> str:
    """A finding as one text: place, severity, rule, bytes, message, mend."""
    place = f"{finding.file}:{finding.line} [{finding.stage}]" if finding.line else f"{finding.file}"
    return f"{place} {finding.severity} {finding.rule} {finding.bytes}: {finding.message} -> {finding.mend}"
