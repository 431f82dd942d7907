"""Measures one prepared image: a site to build on, the window, what is read afterwards. The judging is the gate's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ci_budget import __version__
from ci_budget.commands.preflight import disk_needs
from ci_budget.commands.preparation import PreparedImage
from ci_budget.commands.report_completion import complete_report
from ci_budget.commands.stage_reading import REPOSITORY, StageReader
from ci_budget.core.inventory.model import Inventory
from ci_budget.core.measurement.measured_image import assemble_metrics, assemble_stages, find_failure
from ci_budget.core.measurement.provenance import Lines
from ci_budget.core.measurement.recording import METHOD, BuiltStage, Recording
from ci_budget.core.records.report import DiskReport, Failure, Fingerprint, ImageReport, SmokeReport, Verdict, Versions
from ci_budget.core.stages.references import repository_of
from ci_budget.core.stages.step_places import StepPlace, place_step
from ci_budget.edges.build_log import BuildLog
from ci_budget.edges.engine.base_images import find_bases
from ci_budget.edges.engine.buildx import BuildRequest, Buildx, Cancel
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.engine.facts import EngineFacts
from ci_budget.edges.engine.gpu import Gpu, find_gpu
from ci_budget.edges.engine.smoke_test import require_gpu, run_smoke_test
from ci_budget.edges.engine.stage_builds import StageBuilder
from ci_budget.edges.engine.stage_images import bases_size
from ci_budget.edges.host.filesystem import block_size, filesystem_type, read_usage
from ci_budget.edges.layers.image_archives import ImageContents
from ci_budget.edges.progress import Progress
from ci_budget.edges.sites.build_site import BuildSite, build_site
from ci_budget.edges.sites.disk_mode import DiskMode
from ci_budget.edges.sites.host_traces import traces_removed
from ci_budget.edges.sites.sampler import Sampler, sampling
from ci_budget.edges.sites.step_traces import StepTraces
from ci_budget.errors import UnmeasuredError


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """What every image of a run shares.

    `hand_out` is given a measured image while its engine still runs; it returns the digest of a pushed manifest.
    `keep_inventory` is given what a built image is made of. `detail` is told what only --verbose shows.
    """

    state: Path
    mode: DiskMode
    host: DockerEngine | None
    warm: bool
    progress: Progress
    log: BuildLog
    hand_out: Callable[[ImageReport, DockerEngine], str | None]
    keep_inventory: Callable[[Inventory], None]
    detail: Callable[[str], None]


def measure_image(prepared: PreparedImage, bench: Workbench) -> ImageReport:
    """Build and measure one image. Raises CiBudgetError where nothing at all could be said of it."""
    job = prepared.job
    gpu = find_gpu(bench.host.facts().runtimes if bench.host else ())
    require_gpu(job.smoke, gpu)
    platforms = prepared.plan.own_platforms()
    bases = find_bases(prepared.bases, platform=job.image.platform, platforms=platforms, host=bench.host)
    cancel = Cancel()
    with contextlib.ExitStack() as stack:
        site = stack.enter_context(
            build_site(
                bench.mode,
                bench.state,
                needs=disk_needs(job),
                bases=bases,
                bases_size=lambda engine: bases_size(engine, bases),
                cancel=cancel,
                say=bench.progress.doing,
                detail=bench.detail,
            )
        )
        engine = DockerEngine(site.docker_host)
        stack.callback(engine.close)
        buildx, request = Buildx(site.docker_host), _request(prepared, site)
        session = _Session(
            prepared=prepared,
            bench=bench,
            site=site,
            engine=engine,
            facts=engine.facts(),
            buildx=buildx,
            reader=StageReader(engine=engine, buildx=buildx, request=request, prepared=prepared, bases=bases),
            cancel=cancel,
            request=request,
        )
        return session.run(gpu)


@dataclass(frozen=True, kw_only=True)
class _Session:
    """One image on its site."""

    prepared: PreparedImage
    bench: Workbench
    site: BuildSite
    engine: DockerEngine
    facts: EngineFacts
    buildx: Buildx
    reader: StageReader
    cancel: Cancel
    request: BuildRequest
    traces: StepTraces = field(default_factory=StepTraces)

    def run(self, gpu: Gpu | None) -> ImageReport:
        prepared, job = self.prepared, self.prepared.job
        name = f"{REPOSITORY}-{repository_of(job.name).replace('/', '-')}:measured"
        with (
            self.buildx.asking_buildkit() as buildkit,
            contextlib.nullcontext() if self.site.enforced else self._traces_removed(name),
        ):
            with self.traces.asking():
                self.reader.check_targets()
            recording, succeeded = self._build(name)
            failure = find_failure(recording, timeout=job.image.timeout, enforced=self.site.enforced)
            self._require_sound(failure)
            built: dict[int, BuiltStage] = {}
            contents: ImageContents | UnmeasuredError | None = None
            smoke: SmokeReport | None = None
            if self.site.ballast is not None:
                self.site.ballast.unlink(missing_ok=True)  # measured: now there may be room
            if succeeded:
                self.bench.progress.doing("reading sizes and layers")
                built, contents = self.reader.read_stages(name, keep=self.site.enforced)
                if failure is None and job.smoke is not None:
                    self.bench.progress.doing("smoke test")
                    smoke = run_smoke_test(self.engine, name, job.smoke, gpu, job.name)
            if failure is None and smoke is not None and not smoke.passed:
                failure = Failure(kind="smoke", message=prepared.redact(smoke.message))
            report = self._report(recording, failure, built, smoke, (buildkit(), self.buildx.version()))
            report, inventory = complete_report(report, prepared, contents, built)
            if inventory is not None:
                self.bench.keep_inventory(inventory)
            if failure is None:
                report = self._hand_out(report)
        return report

    def _traces_removed(self, name: str) -> contextlib.AbstractContextManager[None]:
        bench = self.bench
        root = bench.state if bench.mode.mode == "host" else None
        return traces_removed(self.engine, [name], traces=self.traces, root=root, cold=not bench.warm)

    def _require_sound(self, failure: Failure | None) -> None:
        """Raises UnmeasuredError where not the build failed, but the place that it was built in."""
        if self.bench.warm:
            return  # no level counts
        if failure is not None and (failure.kind == "ceiling") == self.site.enforced:
            return  # the kernel's ceiling is the budget's; in host mode it is the levels that decide
        self.site.require_sound()
        if failure is not None and not self.engine.answers():
            raise UnmeasuredError(
                f"the engine ended, or answers no more, while it built: {self.prepared.redact(failure.message)}",
                mend="The kernel's log (`dmesg`: the memory killer, disk errors) or the engine's own says why.",
            )

    def _hand_out(self, report: ImageReport) -> ImageReport:
        """What was measured stays in the report where the image cannot be handed out."""
        try:
            return report.model_copy(update={"manifest_digest": self.bench.hand_out(report, self.engine)})
        except UnmeasuredError as error:
            failure = Failure(kind="environment", message=self.prepared.redact(error.what), mend=error.mend)
            return report.model_copy(update={"failure": failure})

    def _build(self, name: str) -> tuple[Recording, bool]:
        prepared, site, job = self.prepared, self.site, self.prepared.job
        folder = site.watched or Path("/")
        with sampling(folder, watch=site.watch) as sampler:
            recording = Recording(
                series=sampler.series,
                zero=site.zero,
                zero_inodes=site.zero_inodes,
                total_inodes=read_usage(folder).total_inodes,
                ceiling=site.ceiling,
            )
            self.bench.progress.levels = lambda: self._levels(sampler, recording)
            try:
                builder = StageBuilder(
                    buildx=self.buildx,
                    request=self.request,
                    sampler=sampler,
                    recording=recording,
                    locate=self._locator(),
                    log=self.bench.log,
                    progress=self.bench.progress,
                    cancel=self.cancel,
                    timeout=job.image.timeout,
                    redact=prepared.redact,
                    traces=self.traces,
                )
                parallel = job.disk.order == "parallel" or self.bench.warm
                targets = prepared.targets[-1:] if parallel else prepared.targets
                succeeded = builder.build(
                    targets, image=name, fresh=not site.enforced and not self.bench.warm, whole=parallel
                )
            finally:
                self.bench.progress.levels = None
        records = self.engine.cache_records() if succeeded else []
        recording.cache_mounts = sum(record.size for record in records if record.kind == "exec.cachemount")
        recording.context_copy = sum(record.size for record in records if record.kind == "source.local")
        return recording, succeeded

    def _levels(self, sampler: Sampler, recording: Recording) -> tuple[int, int, int | None]:
        zero, highest = self.site.zero, sampler.highest  # which brings the series up to date
        return recording.series.used[-1] - zero, highest - zero, self.site.ceiling or self.prepared.job.disk_budget

    def _locator(self) -> Callable[[str, int, Sequence[Lines]], StepPlace]:
        plan, onbuild = self.prepared.plan, self.reader.triggers()
        return lambda name, built, lines: place_step(plan, name, onbuild, likeliest=built, lines=lines)

    def _report(
        self,
        recording: Recording,
        failure: Failure | None,
        built: dict[int, BuiltStage],
        smoke: SmokeReport | None,
        versions: tuple[str | None, str],
    ) -> ImageReport:
        prepared, job, site = self.prepared, self.prepared.job, self.site
        no_peak = _no_peak(self.bench)
        image = built.get(prepared.plan.target)
        return ImageReport(
            name=job.name,
            verdict=Verdict.NOT_MEASURED,
            exit_code=3,
            dockerfile=job.files.parsed.file,
            target=job.image.target,
            image_id=image.image_id if image else None,
            fingerprint=self._fingerprint(),
            versions=Versions(
                ci_budget=__version__,
                engine=self.facts.version,
                buildkit=versions[0],
                buildx=versions[1],
                kernel=self.facts.kernel,
            ),
            disk=DiskReport(
                mode=self.bench.mode.mode,
                reason=self.bench.mode.reason,
                enforced=site.enforced,
                budget=job.disk_budget,
                total_inodes=recording.total_inodes,
            ),
            bases=self.reader.describe_bases(),
            metrics=assemble_metrics(
                recording, context=prepared.context, image=image, failure=failure, no_peak=no_peak
            ),
            stages=assemble_stages(prepared.stage_facts(), recording, built, no_peak=no_peak),
            steps=recording.report_steps(),
            timeline=[] if no_peak else recording.timeline(),
            smoke=smoke,
            failure=failure,
            notes=[*site.notes, *prepared.notes, *self._notes()],
        )

    def _fingerprint(self) -> Fingerprint:
        watched = self.site.watched
        return Fingerprint(
            platform=self.prepared.job.image.platform or self.facts.platform,
            disk_mode=self.bench.mode.mode,
            storage_driver=self.facts.storage_driver,
            filesystem="unknown" if watched is None else filesystem_type(watched),
            block_size=0 if watched is None else block_size(watched),
            order=self.prepared.job.disk.order,
            cache="warm" if self.bench.warm else "cold",
            method=METHOD,
        )

    def _notes(self) -> list[str]:
        if self.prepared.plan.parallel_possible and self.prepared.job.disk.order == "sequential":
            return ["stages were built one at a time; an ordinary build may overlap them and peak higher"]
        return []


def _request(prepared: PreparedImage, site: BuildSite) -> BuildRequest:
    request = prepared.request
    return replace(request, build_contexts={**site.overrides, **request.build_contexts})


def _no_peak(bench: Workbench) -> str | None:
    if bench.warm:
        return "a warm build reuses a cache, so its peak says nothing"
    if bench.mode.mode == "remote":
        return "the engine is on another machine, whose disk cannot be watched from here"
    return None
