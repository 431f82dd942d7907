"""`check --no-build`: an image as it lies in a registry, measured from its manifest and its layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ci_budget import __version__
from ci_budget.commands.image_evidence import read_evidence
from ci_budget.commands.preparation import ImageJob
from ci_budget.commands.stored_findings import add_stored_findings
from ci_budget.core.gate.image_limits import MetricLimits
from ci_budget.core.gate.limits import DecidedLimits
from ci_budget.core.inventory.model import Inventory
from ci_budget.core.inventory.packages import is_package_record
from ci_budget.core.measurement.measured_image import unmeasured_image
from ci_budget.core.measurement.recording import METHOD
from ci_budget.core.records.report import (
    STAGE_METRIC_NAMES,
    ContextMetric,
    Fingerprint,
    ImageReport,
    LayersMetric,
    Metric,
    Metrics,
    PeakMetric,
    StageReport,
    Verdict,
    Versions,
    metric_unit,
)
from ci_budget.core.stages.platforms import fits
from ci_budget.edges.sites.disk_mode import own_platform
from ci_budget.edges.web.registry_images import (
    StoredImage,
    find_images,
    parse_registry_reference,
    read_registry_image,
    require_unmoved,
)
from ci_budget.errors import UnmeasuredError

_UNBUILT = "nothing was built (--no-build)"
_CHOOSE = (
    "a budget on it is for runs that build: give this one a config whose budgets are image_size, layers, "
    "compressed_size and wasted_bytes alone"
)


def measure_stored(
    job: ImageJob, decided: DecidedLimits, text: str, say: Callable[[str], None]
) -> tuple[ImageReport, Inventory | None]:
    """The image that `text` names, not yet judged, and its inventory. Raises ConfigError for what is no reference.

    What cannot be read is a report that says so, and no pass.
    """
    reference = parse_registry_reference(text)
    wanted = job.image.platform
    try:
        say(f"asking {reference.name.partition('/')[0]}")
        found = find_images(reference, wanted or own_platform())
        (image,) = found.images
        if wanted is not None and not fits(image.platform, wanted):
            raise UnmeasuredError(f"{reference} is an image for {image.platform or 'no platform'}, not for {wanted}")
        contents = read_registry_image(reference, image, is_package_record, say=say)
        evidence = read_evidence(contents)
        require_unmoved(found)
    except UnmeasuredError as error:
        return unmeasured_image(job.name, job.files.parsed.file, job.image.target, None, error), None
    size = sum(layer.size for layer in contents.layers.layers)
    report = ImageReport(
        name=job.name,
        verdict=Verdict.NOT_MEASURED,
        exit_code=3,
        dockerfile=job.files.parsed.file,
        target=job.image.target,
        image_id=image.config.image_id,
        manifest_digest=image.digest,
        fingerprint=registry_fingerprint(image.platform or wanted or own_platform()),
        versions=Versions(ci_budget=__version__),
        metrics=_metrics(image, size, evidence.waste.total, decided.limits.metrics),
        stages=_stages(job, decided),
        notes=[f"nothing was built: this is {reference.name}@{image.digest} as it lies in the registry"],
    )
    return add_stored_findings(report, evidence, job.ignored), evidence.inventory


def _metrics(image: StoredImage, size: int, wasted: int, limits: Mapping[str, MetricLimits]) -> Metrics:
    peak, context = (_missing(limits.get(name)) for name in ("peak_disk", "context_size"))
    return Metrics(
        peak_disk=PeakMetric(unit="bytes", message=peak),
        image_size=Metric(value=size, unit="bytes"),
        layers=LayersMetric(value=len(image.config.diff_ids), unit="count"),
        context_size=ContextMetric(unit="bytes", message=context),
        compressed_size=compressed_metric(image),
        peak_inodes=_budgeted("peak_inodes", limits),
        build_seconds=_budgeted("build_seconds", limits),
        wasted_bytes=Metric(value=wasted, unit="bytes"),
    )


def _budgeted(name: str, limits: Mapping[str, MetricLimits]) -> Metric | None:
    """A metric that exists only where somebody waits for it."""
    held = limits.get(name)
    return None if held is None or held.budget is None else Metric(unit=metric_unit(name), message=_missing(held))


def _missing(limits: MetricLimits | None) -> str:
    """Why there is no value, and where that makes the run fail, what to do."""
    return f"{_UNBUILT}; {_CHOOSE}" if limits is not None and limits.budget is not None else _UNBUILT


def compressed_metric(image: StoredImage) -> Metric:
    """`compressed_size` of an image in a registry."""
    return Metric(value=image.manifest.compressed_size, unit=metric_unit("compressed_size"))


def _stages(job: ImageJob, decided: DecidedLimits) -> list[StageReport]:
    """The stages that limits are on: their values are missing, not passed."""
    held = {name.lower() for name in decided.limits.stages}
    found = []
    for stage in job.files.parsed.stages:
        if held & {stage.name.lower(), str(stage.index), f"stage-{stage.index}"}:
            limits = decided.limits.of_stage(stage.name, stage.index)
            metrics = {
                name: Metric(unit=metric_unit(name), message=_missing(limits.get(name)))
                for name in STAGE_METRIC_NAMES
                if name in limits and limits[name].budget is not None
            }
            found.append(
                StageReport(
                    name=stage.name, index=stage.index, base=stage.base, line=stage.line, reached=True, metrics=metrics
                )
            )
    return found


def registry_fingerprint(platform: str) -> Fingerprint:
    """Only the platform counts for what a registry tells; the rest says that nothing was built."""
    return Fingerprint(
        platform=platform,
        disk_mode="remote",
        storage_driver="none",
        filesystem="none",
        block_size=0,
        order="sequential",
        cache="cold",
        method=METHOD,
    )
