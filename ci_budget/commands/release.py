"""`release`: the release gate. Nothing is built, pushed or tagged here."""

from __future__ import annotations

import hashlib
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import click

from ci_budget.commands.history_recording import record_released
from ci_budget.commands.no_build import registry_fingerprint
from ci_budget.commands.release_options import ReleaseOptions
from ci_budget.core.config.model import Config
from ci_budget.core.gate.approvals import Ruling
from ci_budget.core.gate.other_revision import entry_of
from ci_budget.core.records.baseline import BaselineEntry
from ci_budget.core.records.report import ImageReport, Report
from ci_budget.core.release.facts import LastRelease, ReleaseFacts, UsedReport
from ci_budget.core.release.judgement import Candidate, Earlier, Measured, ReleaseQuestion, decide
from ci_budget.core.render.release import render_release_json, render_release_markdown, render_release_text
from ci_budget.core.stages.references import ImageReference
from ci_budget.core.text.plain_text import plain_lines
from ci_budget.core.text.suggestion import suggest
from ci_budget.core.text.workflow_text import format_annotation
from ci_budget.edges.files.approvals_file import read_approvals
from ci_budget.edges.files.config_file import find_config, load_config, read_bounded
from ci_budget.edges.files.report_files import LARGEST_REPORT, RELEASE_NAME, REPORT_NAME, ReportFolder, read_report
from ci_budget.edges.github import read_context
from ci_budget.edges.sites.state import state_directory
from ci_budget.edges.web.registry_images import (
    SCHEME,
    StoredReference,
    find_images,
    parse_registry_reference,
    read_registry_image,
    require_unmoved,
)
from ci_budget.errors import ConfigError

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_TOLD_BY_REGISTRIES = ("image_size", "layers")


def run_release(options: ReleaseOptions) -> int:
    """Decide on one candidate; returns the exit code.

    Raises ConfigError for a config or a report that cannot be read, UnmeasuredError where a registry does not answer.
    """
    context = read_context(os.environ)
    path = find_config(Path.cwd(), options.config)
    config = load_config(path).config
    files = [_report_file(Path(text)) for text in options.reports]
    _forget(files[0].parent / RELEASE_NAME)
    reports = [(file, read_report(file)) for file in files]
    candidate = find_images(parse_registry_reference(options.candidate))
    question = _question(options, candidate, reports)
    _require_known(question, config, path)
    approvals = read_approvals(path.resolve().parent)
    today = datetime.now(UTC)
    rulings = {name: Ruling(given=approvals.of(name), today=today.date()) for name in config.images}
    facts = decide(question, config, rulings, checked=today.isoformat(timespec="seconds").replace("+00:00", "Z"))
    require_unmoved(candidate)
    ReportFolder(path=files[0].parent).write(RELEASE_NAME, render_release_json(facts))
    _show(facts, options)
    record_released(
        facts,
        url=config.history.url,
        state=state_directory(),
        repository=context.repository or "",
        say=lambda text: click.echo(plain_lines(f"ci-budget: {text}"), err=True),
    )
    if options.format == "github":
        context.write_outputs(_outputs(facts, files[0].parent / RELEASE_NAME))
        context.write_summary(render_release_markdown(facts))
    return facts.exit_code


def _forget(file: Path) -> None:
    """An earlier decision is none about this candidate, however this run ends."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"an earlier decision lies there and cannot be removed: {error.strerror}", file=file
        ) from error


def _report_file(path: Path) -> Path:
    return path / REPORT_NAME if path.is_dir() else path


def _question(
    options: ReleaseOptions, candidate: StoredReference, reports: list[tuple[Path, Report]]
) -> ReleaseQuestion:
    last, earlier = _last_release(options.last, candidate.reference) if options.last is not None else (None, ())
    return ReleaseQuestion(
        candidate=str(candidate.reference),
        digest=candidate.digest,
        images=[
            Candidate(
                platform=image.platform,
                manifest_digest=image.digest,
                image_id=image.config.image_id,
                compressed=image.manifest.compressed_size,
            )
            for image in candidate.images
        ],
        reports=[_used(file, report) for file, report in reports],
        measured=[
            Measured(report=number, image=image)
            for number, (_, report) in enumerate(reports)
            for image in report.images
        ],
        last=last,
        earlier=earlier,
    )


def _used(file: Path, report: Report) -> UsedReport:
    return UsedReport(
        file=str(file),
        sha256=_hash(file),
        started=report.started,
        commit=report.commit,
        verdict=report.verdict,
        exit_code=report.exit_code,
    )


def _hash(file: Path) -> str:
    return hashlib.sha256(read_bounded(file, LARGEST_REPORT)).hexdigest()


def _last_release(text: str, candidate: ImageReference) -> tuple[LastRelease, tuple[Earlier, ...]]:
    """The last release by its tag, its reference, or its report. One that is named and not there is an error."""
    if text.startswith(SCHEME):
        return _stored_release(parse_registry_reference(text))
    path = Path(text)
    if path.exists() or "/" in text or text.endswith(".json"):
        return _reported_release(_report_file(path))
    if not _TAG.fullmatch(text):
        raise ConfigError(f"--last '{text[:200]}' is no tag, no {SCHEME} reference and no report")
    return _stored_release(parse_registry_reference(f"{candidate.name}:{text}"))


def _stored_release(reference: ImageReference) -> tuple[LastRelease, tuple[Earlier, ...]]:
    """From its manifests: image size, layers and compressed size of each platform."""
    found = find_images(reference)
    earlier = []
    for image in found.images:
        contents = read_registry_image(reference, image, lambda _: False)
        entry = BaselineEntry(
            fingerprint=registry_fingerprint(image.platform),
            metrics={
                "image_size": sum(layer.size for layer in contents.layers.layers),
                "layers": len(image.config.diff_ids),
                "compressed_size": image.manifest.compressed_size,
            },
            recorded="",
            image_id=image.config.image_id,
        )
        earlier.append(Earlier(name=None, entry=entry, metrics=_TOLD_BY_REGISTRIES))
    ids = [image.config.image_id for image in found.images]
    return LastRelease(reference=str(reference), digest=found.digest, image_ids=ids), tuple(earlier)


def _reported_release(file: Path) -> tuple[LastRelease, tuple[Earlier, ...]]:
    """From the report of the last release: whatever it measured."""
    report = read_report(file)
    earlier = [Earlier(name=image.name, entry=_entry(image, report, file)) for image in report.images]
    ids = [image.image_id for image in report.images if image.image_id is not None]
    return LastRelease(reference=str(file), report_sha256=_hash(file), image_ids=ids), tuple(earlier)


def _entry(image: ImageReport, report: Report, file: Path) -> BaselineEntry:
    entry = entry_of(image, commit=report.commit or "", recorded=report.started)
    if entry is None:
        raise ConfigError(f"the last release's report did not measure {image.name}, so it was no release", file=file)
    return entry


def _require_known(question: ReleaseQuestion, config: Config, path: Path) -> None:
    ids = {image.image_id for image in question.images}
    for one in question.measured:
        if one.image.image_id in ids and one.image.name not in config.images:
            hint = suggest(one.image.name, config.images, kind="images")
            raise ConfigError(f"there is no image '{one.image.name}' in this config; {hint}", file=path)


def _show(facts: ReleaseFacts, options: ReleaseOptions) -> None:
    if options.format == "json":
        click.echo(render_release_json(facts), nl=False)
        return
    if options.format == "markdown":
        click.echo(render_release_markdown(facts), nl=False)
        return
    click.echo(render_release_text(facts), nl=False)
    if options.format == "github" and facts.exit_code != 0:
        for image in facts.images:
            bad = [metric.message for _, metric in image.metrics.named() if metric.gated and metric.verdict != "pass"]
            for said in [image.refused] if image.refused else bad:
                click.echo(format_annotation("error", plain_lines(said), title="ci-budget release"))


def _outputs(facts: ReleaseFacts, file: Path) -> dict[str, str]:
    return {
        "verdict": facts.verdict.value,
        "exit-code": str(facts.exit_code),
        "digest": facts.digest if facts.exit_code == 0 else "",
        "image": facts.pinned if facts.exit_code == 0 else "",
        "facts": str(file),
    }
