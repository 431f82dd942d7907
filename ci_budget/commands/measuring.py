"""Measures one prepared image: a site to build on, the window, what is read afterwards. The judging is the gate's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ci_budget import __version__
from ci_budget.commands.preparation import PreparedImage
from ci_budget.commands.stage_reading import REPOSITORY, StageReader
from ci_budget.core.measurement.measured_image import assemble_metrics, assemble_stages, find_failure
from ci_budget.core.measurement.recording import METHOD, BuiltStage, Recording
from ci_budget.core.records.report import DiskReport, Failure, Fingerprint, ImageReport, SmokeReport, Verdict, Versions
from ci_budget.core.stages.step_names import locate_step
from ci_budget.core.stages.targets import compare_targets, parse_targets
from ci_budget.edges.base_images import find_bases
from ci_budget.edges.build_log import BuildLog
from ci_budget.edges.build_site import BuildSite, DiskNeeds, build_site
from ci_budget.edges.buildx import BuildRequest, Buildx, Cancel
from ci_budget.edges.disk_mode import DiskMode
from ci_budget.edges.docker_engine import DockerEngine, EngineFacts
from ci_budget.edges.filesystem import block_size, filesystem_type, read_usage
from ci_budget.edges.gpu import Gpu, find_gpu
from ci_budget.edges.progress import Progress
from ci_budget.edges.sampler import Sampler, sampling
from ci_budget.edges.smoke_test import require_gpu, run_smoke_test
from ci_budget.edges.stage_builds import Location, StageBuilder
from ci_budget.edges.stage_images import bases_size
from ci_budget.errors import UnmeasuredError


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """What every image of a run shares.

    `hand_out` is given a measured image while its engine still runs; it returns the digest of a pushed manifest.
    """

    state: Path
    mode: DiskMode
    host: DockerEngine | None
    warm: bool
    progress: Progress
    log: BuildLog
    hand_out: Callable[[ImageReport, DockerEngine], str | None]


def measure_image(prepared: PreparedImage, bench: Workbench) -> ImageReport:
    """Build and measure one image. Raises CiBudgetError where nothing at all could be said of it."""
    job = prepared.job
    gpu = find_gpu(bench.host.facts().runtimes if bench.host else ())
    require_gpu(job.smoke, gpu)
    bases = find_bases(prepared.bases, platform=job.image.platform, host=bench.host)
    cancel = Cancel()
    with contextlib.ExitStack() as stack:
        site = stack.enter_context(
            build_site(
                bench.mode,
                bench.state,
                needs=DiskNeeds(
                    budget=job.disk_budget,
                    reserve=job.disk.reserve,
                    seeds_limit=job.disk.seeds_limit,
                    free_first=int(job.disk.free_factor * job.expected_size) if job.expected_size else None,
                ),
                bases=bases,
                bases_size=lambda engine: bases_size(engine, bases),
                cancel=cancel,
                say=bench.progress.doing,
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

    def run(self, gpu: Gpu | None) -> ImageReport:
        prepared, job = self.prepared, self.prepared.job
        name = f"{REPOSITORY}-{job.name.lower().replace('/', '-')}:measured"
        records = self._cache_ids()
        try:
            self._check_targets()
            recording, succeeded = self._build(name)
            failure = find_failure(recording, timeout=job.image.timeout, enforced=self.site.enforced)
            built: dict[int, BuiltStage] = {}
            smoke: SmokeReport | None = None
            if self.site.ballast is not None:
                self.site.ballast.unlink(missing_ok=True)  # measured: now there may be room
            if succeeded:
                self.bench.progress.doing("reading sizes and layers")
                built = self.reader.read_stages(name, keep=self.site.enforced)
                if failure is None and job.smoke is not None:
                    self.bench.progress.doing("smoke test")
                    smoke = run_smoke_test(self.engine, name, job.smoke, gpu, job.name)
            if failure is None and smoke is not None and not smoke.passed:
                failure = Failure(kind="smoke", message=prepared.redact(smoke.message))
            report = self._report(recording, failure, built, smoke)
            if failure is None:
                report = self._hand_out(report)
        finally:
            if not self.site.enforced:
                self._tidy(name, records)
        return report

    def _hand_out(self, report: ImageReport) -> ImageReport:
        """What was measured stays in the report where the image cannot be handed out."""
        try:
            return report.model_copy(update={"manifest_digest": self.bench.hand_out(report, self.engine)})
        except UnmeasuredError as error:
            failure = Failure(kind="environment", message=self.prepared.redact(error.what), mend=error.mend)
            return report.model_copy(update={"failure": failure})

    def _check_targets(self) -> None:
        """What the stages are, the engine decides; where our reading differs, nothing is measured."""
        frontend = self.prepared.frontend
        try:
            answer = self.buildx.targets(self.request)
        except UnmeasuredError as error:
            if frontend is None:
                raise
            raise UnmeasuredError(
                f"the frontend {frontend.image} that this Dockerfile asks for could not be used: {error.what}",
                file=self.prepared.job.files.parsed.file,
                line=frontend.line,
                mend="Make it available to the engine, or write `frontend: builtin` in the config: the engine's own.",
            ) from error
        differences = compare_targets(self.prepared.job.files.parsed, parse_targets(answer))
        if differences:
            raise UnmeasuredError(
                f"ci-budget and the engine read this Dockerfile differently: {'; '.join(differences[:3])}",
                file=self.prepared.job.files.parsed.file,
                mend="Please report it with this Dockerfile.",
            )

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
        zero = self.site.zero
        return (
            recording.series.used[-1] - zero,
            sampler.highest - zero,
            self.site.ceiling or self.prepared.job.disk_budget,
        )

    def _locator(self) -> Callable[[str, int], Location]:
        plan, onbuild = self.prepared.plan, self.reader.triggers()

        def locate(name: str, built: int) -> Location:
            place = locate_step(plan, name, onbuild, likeliest=built)
            return Location(stage=place.stage, line=place.line) if place else Location(stage=None, line=None)

        return locate

    def _cache_ids(self) -> set[str]:
        return set() if self.site.enforced else {record.id for record in self.engine.cache_records()}

    def _tidy(self, name: str, before: set[str]) -> None:
        """On the host's engine: our name off the image, and the cache records of a cold build, no others."""
        self.engine.remove_image(name)
        if not self.bench.warm:
            made = [record.id for record in self.engine.cache_records() if record.id not in before]
            self.engine.drop_cache_records(made)

    def _report(
        self,
        recording: Recording,
        failure: Failure | None,
        built: dict[int, BuiltStage],
        smoke: SmokeReport | None,
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
                buildkit=self.buildx.buildkit_version(),
                buildx=self.buildx.version(),
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
