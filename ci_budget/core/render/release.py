"""A release decision for a person: on a terminal, and in Markdown for the job's summary."""

from __future__ import annotations

from collections.abc import Iterator

from ci_budget.core.records.report import Metric, Verdict
from ci_budget.core.release.facts import ReleasedImage, ReleaseFacts
from ci_budget.core.render.escape import code, escape_markdown, escape_terminal, silence_commands, silence_json
from ci_budget.core.text.units import format_value

_RELEASED = (Verdict.PASS, Verdict.WARN, Verdict.NO_BASELINE, Verdict.DISABLED)


def render_release_json(facts: ReleaseFacts) -> str:
    """release.json."""
    return silence_json(facts.model_dump_json(indent=2)) + "\n"


def render_release_text(facts: ReleaseFacts) -> str:
    """The decision, what it rests on, and the command to tag by."""
    lines = [f"{_word(facts)}: {facts.candidate}", f"  {facts.digest}"]
    for image in facts.images:
        lines += ["", f"  {_title(image)}", f"    image     {image.image_id}"]
        lines += [f"    measured  {said}" for said in _measured_by(facts, image)]
        lines += [f"    refused   {image.refused}"] if image.refused else []
        lines += [f"    {_line(name, metric)}" for name, metric in _shown(image)]
        lines += [f"    note      {note}" for note in image.notes]
    lines.append("")
    lines += [f"  last release: {said}" for said in _last(facts)]
    lines += [f"  note: {note}" for note in facts.notes]
    if facts.exit_code == 0:
        lines.append(f"  tag it by its digest: {tag_command(facts, 'NAME:TAG')}")
    return silence_commands("\n".join(escape_terminal(line) for line in lines)) + "\n"


def render_release_markdown(facts: ReleaseFacts) -> str:
    """The same for GitHub. Everything that comes from a report or a registry is escaped."""
    parts = [f"### ci-budget release: {_word(facts)}", f"{code(facts.candidate)}, {code(facts.digest)}"]
    for image in facts.images:
        parts.append(f"**{escape_markdown(_title(image))}**")
        said = [
            f"image {code(image.image_id)}",
            *(f"measured {escape_markdown(one)}" for one in _measured_by(facts, image)),
        ]
        said += [f"**refused**: {escape_markdown(image.refused)}"] if image.refused else []
        said += [escape_markdown(note) for note in image.notes]
        parts.append("\n".join(f"- {one}" for one in said))
        rows = [
            f"| {code(name)} | {_value(metric)} | {metric.verdict.value} | {escape_markdown(metric.message)} |"
            for name, metric in _shown(image)
        ]
        if rows:
            parts.append("\n".join(["| metric | value | verdict | |", "|---|--:|---|---|", *rows]))
    parts += [f"Last release: {escape_markdown(said)}" for said in _last(facts)]
    parts += [escape_markdown(note) for note in facts.notes]
    return "\n\n".join(parts) + "\n"


def tag_command(facts: ReleaseFacts, tag: str) -> str:
    """What gives the very manifest that was looked at another tag."""
    return f"docker buildx imagetools create --prefer-index=false --tag {tag} {facts.pinned}"


def _word(facts: ReleaseFacts) -> str:
    return "RELEASE" if facts.exit_code == 0 and facts.verdict in _RELEASED else f"NO RELEASE (exit {facts.exit_code})"


def _title(image: ReleasedImage) -> str:
    return f"{image.name or 'unknown image'}, {image.platform or 'platform not told'}: {image.verdict.value}"


def _measured_by(facts: ReleaseFacts, image: ReleasedImage) -> Iterator[str]:
    if image.report is not None:
        report = facts.reports[image.report]
        commit = f" at commit {report.commit[:12]}" if report.commit else ""
        yield f"{report.started}{commit}, {report.file} (sha256 {report.sha256[:16]}…)"


def _last(facts: ReleaseFacts) -> Iterator[str]:
    if facts.last is not None:
        yield f"{facts.last.reference} ({facts.last.digest or f'report, sha256 {facts.last.report_sha256}'})"


def _shown(image: ReleasedImage) -> list[tuple[str, Metric]]:
    """The metrics that were judged, and those with a value."""
    return [(name, metric) for name, metric in image.metrics.named() if metric.gated or metric.value is not None]


def _line(name: str, metric: Metric) -> str:
    return f"{name:<15} {metric.verdict.value:<12} {metric.message or _value(metric)}"


def _value(metric: Metric) -> str:
    return format_value(metric.value, metric.unit)
