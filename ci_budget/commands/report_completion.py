"""What a built image's layers say, put into its report while its engine still lives."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from ci_budget.commands.image_evidence import ImageEvidence, read_evidence
from ci_budget.commands.image_findings import add_findings
from ci_budget.commands.preparation import PreparedImage
from ci_budget.core.inventory.building import BuildFacts, describe_instructions
from ci_budget.core.inventory.context_record import record_context
from ci_budget.core.inventory.inputs import Inputs, key_instructions
from ci_budget.core.inventory.kept_bytes import record_kept
from ci_budget.core.inventory.model import BaseRecord, Inventory
from ci_budget.core.layers.places import place_steps
from ci_budget.core.measurement.recording import BuiltStage
from ci_budget.core.records.report import Base, ImageReport, Metric, finding_bytes, metric_unit
from ci_budget.edges.files.context_files import find_own_files, read_ignore_rules
from ci_budget.edges.files.context_hash import hash_contents, hash_context
from ci_budget.edges.layers.image_archives import ImageContents
from ci_budget.errors import UnmeasuredError


def complete_report(
    report: ImageReport,
    prepared: PreparedImage,
    contents: ImageContents | UnmeasuredError | None,
    built: Mapping[int, BuiltStage] | None = None,
) -> tuple[ImageReport, Inventory | None]:
    """The report with what the image's layers say, and the inventory to keep.

    `contents` None: there is no image; an error: it could not be read. What cannot be read is a note and a metric
    without a value; the gate's other values stand. `built`: the stages that were read, by their index.
    """
    if contents is None:
        return add_findings(_with_waste(report, None, "the build did not finish"), prepared), None
    try:
        if isinstance(contents, UnmeasuredError):
            raise contents
        evidence = _read_built(contents, prepared, report.bases, built or {})
    except UnmeasuredError as error:
        said = f"the image's content could not be read: {error.what}"
        report = report.model_copy(update={"notes": [*report.notes, prepared.redact(said)]})
        return add_findings(_with_waste(report, None, error.what), prepared), None
    report = _with_waste(report, evidence.waste.total, "")
    report = report.model_copy(update={"notes": [*report.notes, *evidence.notes]})
    report = add_findings(
        report, prepared, image=evidence.image, waste=evidence.waste, inventory=evidence.inventory
    )  # fmt: skip
    return report, evidence.inventory.model_copy(update={"finding_bytes": finding_bytes(report.findings)})


def _read_built(
    contents: ImageContents, prepared: PreparedImage, bases: list[Base], built: Mapping[int, BuiltStage]
) -> ImageEvidence:
    """The evidence, each step of it at its place in the Dockerfile."""
    image = place_steps(contents.layers, prepared.plan, prepared.plan.target)
    image = replace(
        image,
        history=tuple(replace(step, created_by=prepared.redact(step.created_by)) for step in image.history),
    )
    return read_evidence(replace(contents, layers=image), _build_facts(contents.platform, prepared, bases, built))


def _build_facts(
    platform: str, prepared: PreparedImage, bases: list[Base], built: Mapping[int, BuiltStage]
) -> BuildFacts:
    files = prepared.job.files
    records = record_kept(describe_instructions(files.parsed), prepared.plan, built)
    contents = hash_contents(files.context, prepared.measure)
    if contents is not None:
        inputs = Inputs(
            measure=prepared.measure,
            contents=contents,
            arguments=prepared.request.build_args,
            own_files=find_own_files(files.context, files.dockerfile),
        )
        records = key_instructions(records, files.parsed, prepared.plan, inputs)
    return BuildFacts(
        platform=platform or None,
        bases=tuple(
            BaseRecord(
                reference=base.reference, image_id=base.image_id, digest=base.reference.partition("@")[2] or None
            )
            for base in bases
        ),
        dockerfile_sha256=hashlib.sha256(files.dockerfile.read_bytes()).hexdigest(),
        instructions=tuple(records),
        context_sha256=hash_context(prepared.measure, contents) if contents is not None else None,
        context=record_context(prepared.measure, read_ignore_rules(files.context, files.dockerfile)),
    )


def _with_waste(report: ImageReport, value: int | None, message: str) -> ImageReport:
    metric = Metric(value=value, unit=metric_unit("wasted_bytes"), message=message)
    return report.model_copy(update={"metrics": report.metrics.model_copy(update={"wasted_bytes": metric})})
