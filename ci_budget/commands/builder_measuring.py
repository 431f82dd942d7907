"""Measures an image on a buildx builder by its name (`builder:`): size, layers and context; its disk nobody sees."""

from __future__ import annotations

from pathlib import Path
from typing import IO, cast

from ci_budget import __version__
from ci_budget.commands.measuring import Workbench
from ci_budget.commands.preparation import PreparedImage
from ci_budget.commands.report_completion import complete_report
from ci_budget.core.inventory.packages import is_package_record
from ci_budget.core.measurement.measured_image import assemble_metrics, assemble_stages, find_failure
from ci_budget.core.measurement.recording import METHOD, BuiltStage, Recording
from ci_budget.core.records.report import (
    Base,
    DiskReport,
    Failure,
    Fingerprint,
    ImageReport,
    StageReport,
    Verdict,
    Versions,
)
from ci_budget.core.stages.step_places import place_step
from ci_budget.core.stages.targets import compare_targets, parse_targets
from ci_budget.edges.engine.buildx import Buildx, Cancel
from ci_budget.edges.engine.docker_host import current_docker_host
from ci_budget.edges.engine.stage_builds import StageBuilder
from ci_budget.edges.layers.forward_streams import Source
from ci_budget.edges.layers.image_archives import ImageContents, read_archive_stream
from ci_budget.edges.sites.disk_mode import own_platform
from ci_budget.edges.sites.sampler import sampling
from ci_budget.errors import UnmeasuredError


def measure_on_builder(prepared: PreparedImage, bench: Workbench, builder: str) -> ImageReport:
    """Build on the builder `builder`, and measure the archive that it sends while it comes in; nothing is stored here.

    Peaks are not measured: the builder's disk is not this machine's, or not in sight. Raises CiBudgetError where
    nothing at all could be said of the image.
    """
    job = prepared.job
    if job.smoke is not None:
        raise UnmeasuredError(
            f"{job.name} has a smoke test, and its image is on the builder '{builder}', where nothing can be run",
            mend="Take the smoke test out of the config, or build this image on the runner's engine.",
        )
    buildx = Buildx(current_docker_host(), builder)
    versions = (buildx.buildkit_version(), buildx.version())
    differences = compare_targets(job.files.parsed, parse_targets(buildx.targets(prepared.request)))
    if differences:
        raise UnmeasuredError(
            f"ci-budget and the builder read this Dockerfile differently: {'; '.join(differences[:3])}",
            file=job.files.parsed.file,
            mend="Please report it with this Dockerfile.",
        )
    recording, contents = _build(prepared, bench, buildx)
    failure = find_failure(recording, timeout=job.image.timeout, enforced=False)
    report = _report(prepared, bench, builder, recording, failure, contents, versions)
    report, inventory = complete_report(report, prepared, contents)
    if inventory is not None:
        bench.keep_inventory(inventory)
    return report


def _build(prepared: PreparedImage, bench: Workbench, buildx: Buildx) -> tuple[Recording, ImageContents | None]:
    read: list[ImageContents] = []

    def read_archive(stream: IO[bytes]) -> None:
        read.append(read_archive_stream(cast("Source", stream), is_package_record))

    with sampling(Path("/"), watch=None) as sampler:  # for the clock: these levels are not the builder's
        recording = Recording(series=sampler.series, zero=0, zero_inodes=0, total_inodes=0, ceiling=None)
        builder = StageBuilder(
            buildx=buildx,
            request=prepared.request,
            sampler=sampler,
            recording=recording,
            locate=lambda name, built, lines: place_step(prepared.plan, name, {}, likeliest=built, lines=lines),
            log=bench.log,
            progress=bench.progress,
            cancel=Cancel(),
            timeout=prepared.job.image.timeout,
            redact=prepared.redact,
        )
        builder.build(prepared.targets[-1:], image="", fresh=not bench.warm, whole=True, read_archive=read_archive)
    return recording, read[0] if read else None


def _report(
    prepared: PreparedImage,
    bench: Workbench,
    builder: str,
    recording: Recording,
    failure: Failure | None,
    contents: ImageContents | None,
    versions: tuple[str | None, str],
) -> ImageReport:
    job = prepared.job
    no_peak = f"the image is built on the builder '{builder}', whose disk cannot be watched from here"
    built = _built(contents)
    metrics = assemble_metrics(recording, context=prepared.context, image=built, failure=failure, no_peak=no_peak)
    unknown = {"inherited": None, "own": None}  # the bases are the builder's
    stages = {} if built is None else {prepared.plan.target: built}
    return ImageReport(
        name=job.name,
        verdict=Verdict.NOT_MEASURED,
        exit_code=3,
        dockerfile=job.files.parsed.file,
        target=job.image.target,
        image_id=built.image_id if built is not None else None,
        fingerprint=_fingerprint(prepared, bench, contents),
        versions=Versions(ci_budget=__version__, buildkit=versions[0], buildx=versions[1]),
        disk=DiskReport(mode="remote", reason=f"builds on the builder '{builder}'", enforced=False),
        bases=[Base(reference=reference) for reference in prepared.bases],
        metrics=metrics.model_copy(update={"layers": metrics.layers and metrics.layers.model_copy(update=unknown)}),
        stages=[_explained(stage, builder) for stage in assemble_stages(
            prepared.stage_facts(), recording, stages, no_peak=no_peak
        )],
        steps=[step.model_copy(update={"added": None, "peak": None}) for step in recording.report_steps()],
        failure=failure,
        notes=list(prepared.notes),
    )  # fmt: skip


def _built(contents: ImageContents | None) -> BuiltStage | None:
    if contents is None:
        return None
    layers = contents.layers.layers
    return BuiltStage(
        image_id=contents.layers.image_id,
        size=sum(layer.size for layer in layers),
        layers=len(layers),
        inherited=0,
    )


def _explained(stage: StageReport, builder: str) -> StageReport:
    """A stage whose size is missing says why: only the target comes from the builder."""
    why = f"only the target's image is sent by the builder '{builder}'"
    metrics = {
        name: metric.model_copy(update={"message": why})
        if name in ("image_size", "layers") and metric.value is None
        else metric
        for name, metric in stage.metrics.items()
    }
    return stage.model_copy(update={"metrics": metrics})


def _fingerprint(prepared: PreparedImage, bench: Workbench, contents: ImageContents | None) -> Fingerprint:
    told = contents.platform if contents is not None else ""
    return Fingerprint(
        platform=prepared.job.image.platform or told or own_platform(),
        disk_mode="remote",
        storage_driver="unknown",
        filesystem="unknown",
        block_size=0,
        order="parallel",
        cache="warm" if bench.warm else "cold",
        method=METHOD,
    )
