"""Measures one prepared image: a site to build on, the window, what is read afterwards. The judging is the gate's."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ci_budget import __version__
from ci_budget.commands.preparation import PreparedImage
from ci_budget.core.measured_image import assemble_metrics, assemble_stages, find_failure
from ci_budget.core.recording import METHOD, BuiltStage, Recording
from ci_budget.core.report import Base, DiskReport, Failure, Fingerprint, ImageReport, SmokeReport, Verdict, Versions
from ci_budget.core.stage_plan import EdgeKind, PlannedStage
from ci_budget.core.steps import locate_step
from ci_budget.core.targets import compare_targets, parse_targets
from ci_budget.edges.base_images import BaseImage, BasesTooLargeError, ensure_present, find_bases
from ci_budget.edges.build_log import BuildLog
from ci_budget.edges.build_site import BuildSite, build_site
from ci_budget.edges.buildx import BuildRequest, Buildx, Cancel
from ci_budget.edges.disk_mode import DiskMode
from ci_budget.edges.docker_engine import DockerEngine, EngineFacts
from ci_budget.edges.gpu import find_gpu
from ci_budget.edges.loop_filesystem import BLOCK, read_usage
from ci_budget.edges.progress import Progress
from ci_budget.edges.sampler import Sampler, sampling
from ci_budget.edges.smoke_test import require_gpu, run_smoke_test
from ci_budget.edges.stage_builds import Location, StageBuilder
from ci_budget.edges.stage_images import StageImages
from ci_budget.errors import UnmeasuredError

_REPOSITORY = "ci-budget.local/image"


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """What every image of a run shares. `hand_out` is given the measured image's id while its engine still runs."""

    state: Path
    mode: DiskMode
    host: DockerEngine | None
    warm: bool
    progress: Progress
    log: BuildLog
    hand_out: Callable[[str, DockerEngine], str | None]


def measure_image(prepared: PreparedImage, bench: Workbench) -> ImageReport:
    """Build and measure one image. Raises CiBudgetError where nothing at all could be said of it."""
    job = prepared.job
    gpu = find_gpu(bench.host.facts().runtimes if bench.host else ())
    require_gpu(job.smoke, gpu)
    bases = find_bases(prepared.bases, platform=job.image.platform, host=bench.host)
    cancel = Cancel()
    with contextlib.ExitStack() as stack:
        try:
            site = stack.enter_context(
                build_site(
                    bench.mode,
                    bench.state,
                    budget=job.disk_budget,
                    reserve=job.disk.reserve,
                    seeds_limit=job.disk.seeds_limit,
                    bases=bases,
                    bases_size=lambda engine: _bases_size(engine, bases),
                    cancel=cancel,
                    say=bench.progress.doing,
                )
            )
        except BasesTooLargeError as error:
            return _bases_too_large(prepared, bench, bases, error)
        engine = DockerEngine(site.docker_host)
        stack.callback(engine.close)
        session = _Session(
            prepared=prepared,
            bench=bench,
            site=site,
            engine=engine,
            facts=engine.facts(),
            buildx=Buildx(site.docker_host),
            bases=bases,
            cancel=cancel,
            request=_request(prepared, site),
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
    bases: list[BaseImage]
    cancel: Cancel
    request: BuildRequest

    def run(self, gpu: object) -> ImageReport:
        prepared, job = self.prepared, self.prepared.job
        self._check_targets()
        name = f"{_REPOSITORY}-{job.name.lower().replace('/', '-')}:measured"
        records = self._cache_ids()
        try:
            recording, succeeded = self._build(name)
            failure = find_failure(recording, timeout=job.image.timeout, enforced=self.site.enforced)
            built: dict[int, BuiltStage] = {}
            smoke: SmokeReport | None = None
            manifest = None
            if self.site.ballast is not None:
                self.site.ballast.unlink(missing_ok=True)  # measured: now there may be room
            if succeeded:
                built = self._read_stages(name)
                if failure is None and job.smoke is not None:
                    self.bench.progress.doing("smoke test")
                    smoke = run_smoke_test(self.engine, name, job.smoke, gpu, job.name)  # type: ignore[arg-type]
                if failure is None and (smoke is None or smoke.passed):
                    manifest = self.bench.hand_out(built[prepared.plan.target].image_id, self.engine)
        finally:
            if not self.site.enforced:
                self._tidy(name, records)
        if failure is None and smoke is not None and not smoke.passed:
            failure = Failure(kind="smoke", message=prepared.redact(smoke.message))
        return self._report(recording, failure, built, smoke, manifest)

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

    def _locator(self) -> Callable[[str], Location]:
        plan = self.prepared.plan
        onbuild = {
            stage.index: facts.onbuild
            for stage in plan.stages
            if (facts := self._external_base(stage)) is not None and facts.onbuild
        }

        def locate(name: str) -> Location:
            place = locate_step(plan, name, onbuild)
            return Location(stage=place.stage, line=place.line) if place else Location(stage=None, line=None)

        return locate

    def _external_base(self, stage: PlannedStage):  # type: ignore[no-untyped-def]
        for external in self.prepared.plan.externals:
            if external.kind is EdgeKind.FROM and external.stage_index == stage.index and external.used:
                return self.engine.image(self._local_name(external.reference))
        return None

    def _local_name(self, reference: str) -> str:
        return next((base.local_name for base in self.bases if base.reference == reference), reference)

    def _base_layers(self, stage: PlannedStage) -> tuple[str, ...]:
        """The diff ids of the external image at the bottom of a stage."""
        facts = self._external_base(stage)
        if facts is not None:
            return tuple(facts.diff_ids)
        for edge in stage.edges:
            if edge.kind is EdgeKind.FROM:
                return self._base_layers(self.prepared.plan.stages[edge.source])
        return ()

    def _read_stages(self, name: str) -> dict[int, BuiltStage]:
        """Sizes and layers of the target, then of the other stages, exported now, outside the window."""
        plan, images = self.prepared.plan, StageImages(self.engine)
        target = plan.stages[plan.target]
        built = {target.index: images.read(name, self._base_layers(target))}
        self.bench.progress.doing("reading sizes and layers")
        for stage, wanted in zip(plan.order, self.prepared.targets, strict=True):
            if stage.index == plan.target:
                continue
            label = f"{_REPOSITORY}-stage:{stage.index}"
            try:
                end = self.buildx.build(
                    BuildRequest(**{**vars(self.request), "dockerfile": wanted.dockerfile}),
                    target=wanted.target,
                    output=("--load", "--tag", label),
                    on_event=lambda *_: None,
                    cancel=Cancel(),
                )
                if end.succeeded:
                    built[stage.index] = images.read(label, self._base_layers(stage))
            finally:
                if not self.site.enforced:
                    self.engine.remove_image(label)
        return built

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
        manifest: str | None,
    ) -> ImageReport:
        prepared, job, site = self.prepared, self.prepared.job, self.site
        no_peak = _no_peak(self.bench)
        image = built.get(prepared.plan.target)
        images = StageImages(self.engine)
        bases = []
        for base in self.bases:
            facts = self.engine.image(base.local_name)
            size = images.size(facts) if facts else None
            bases.append(Base(reference=base.reference, image_id=facts.id if facts else None, size=size))
        return ImageReport(
            name=job.name,
            verdict=Verdict.NOT_MEASURED,
            exit_code=3,
            dockerfile=job.files.parsed.file,
            target=job.image.target,
            image_id=image.image_id if image else None,
            manifest_digest=manifest,
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
            bases=bases,
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
            filesystem="ext4" if self.site.enforced else _filesystem_of(watched),
            block_size=BLOCK if self.site.enforced else read_usage_block(watched),
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
    return BuildRequest(**{**vars(request), "build_contexts": {**site.overrides, **request.build_contexts}})


def _no_peak(bench: Workbench) -> str | None:
    if bench.warm:
        return "a warm build reuses a cache, so its peak says nothing"
    if bench.mode.mode == "remote":
        return "the engine is on another machine, whose disk cannot be watched from here"
    return None


def _bases_size(engine: DockerEngine, bases: list[BaseImage]) -> int:
    """Payload of the bases on the host's engine; those that it lacks are pulled now, before the window."""
    images = StageImages(engine)
    found = {}
    for base in bases:
        facts = ensure_present(base, engine)
        found[facts.id] = images.size(facts)
    return sum(found.values())


def _bases_too_large(
    prepared: PreparedImage, bench: Workbench, bases: list[BaseImage], error: BasesTooLargeError
) -> ImageReport:
    job = prepared.job
    failure = Failure(kind="ceiling", message=error.what, line=bases[0].line if bases else None, mend=error.mend)
    metrics = assemble_metrics(None, context=prepared.context, image=None, failure=failure, no_peak=None)
    return ImageReport(
        name=job.name,
        verdict=Verdict.FAIL,
        exit_code=1,
        dockerfile=job.files.parsed.file,
        target=job.image.target,
        disk=DiskReport(mode=bench.mode.mode, reason=bench.mode.reason, enforced=True, budget=job.disk_budget),
        metrics=metrics,
        stages=assemble_stages(prepared.stage_facts(), None, {}, no_peak=None),
        failure=failure,
    )


def _filesystem_of(folder: Path | None) -> str:
    """The type of the filesystem that holds `folder`; `unknown` for an engine far away."""
    if folder is None:
        return "unknown"
    best, kind = "", "unknown"
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
        _, point, name, *_ = line.split(" ")
        if (str(folder) == point or str(folder).startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, name
    return kind


def read_usage_block(folder: Path | None) -> int:
    """The block size of the filesystem that holds `folder`; 0 for an engine far away."""
    import os

    return 0 if folder is None else os.statvfs(folder).f_frsize


_started = time.monotonic
