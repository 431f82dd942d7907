"""`check`: the gate. Build, measure, compare, report, exit."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ci_budget.commands.against import OtherTree, find_other, judge_with, notes_on, other_tree
from ci_budget.commands.build_inputs import environment_names, outside_files
from ci_budget.commands.build_views import build_views
from ci_budget.commands.builder_measuring import measure_on_builder
from ci_budget.commands.check_jobs import CheckPlan, Job, plan_check
from ci_budget.commands.check_options import CheckOptions
from ci_budget.commands.check_output import deliver, new_log, new_progress
from ci_budget.commands.growth import explain_growth
from ci_budget.commands.history_recording import record_check
from ci_budget.commands.measuring import Workbench, measure_image
from ci_budget.commands.no_build import compressed_metric, measure_stored
from ci_budget.commands.preflight import check_tools, explain_shortage
from ci_budget.commands.preparation import ImageJob, prepared
from ci_budget.commands.report_place import report_folder
from ci_budget.core.gate.approvals import APPROVAL_LABEL, asked_for
from ci_budget.core.gate.judgement import GateOptions, judge_run
from ci_budget.core.inventory.model import Inventories, Inventory
from ci_budget.core.inventory.storage import render_inventories
from ci_budget.core.measurement.measured_image import ContextFacts, unmeasured_image
from ci_budget.core.records.report import ImageReport, Metric, metric_unit
from ci_budget.core.stages.references import repository_of
from ci_budget.core.text.plain_text import plain_lines
from ci_budget.edges import signals
from ci_budget.edges.engine.docker_engine import START_ENGINE, DockerEngine
from ci_budget.edges.engine.host_engine import open_host_engine
from ci_budget.edges.engine.stage_images import export_archive, load_into_host, push_image
from ci_budget.edges.files.baseline_inventories import InventoryPlace
from ci_budget.edges.files.config_file import repository_root
from ci_budget.edges.files.report_files import ReportFolder
from ci_budget.edges.git import head_commit
from ci_budget.edges.github import read_context
from ci_budget.edges.history.address import VARIABLES, Address, history_address
from ci_budget.edges.progress import Progress
from ci_budget.edges.sandbox.private_sandbox import mend
from ci_budget.edges.sandbox.privileged_container import container_problem, drop_inherited_mounts, rerun_in_container
from ci_budget.edges.sandbox.privileges import give_to_caller, rerun_as_root, sudo_works
from ci_budget.edges.sites.disk_mode import DiskMode, choose_mode, own_platform
from ci_budget.edges.sites.disk_room import NoRoomError
from ci_budget.edges.sites.host_traces import mend_host
from ci_budget.edges.sites.state import state_directory
from ci_budget.edges.web.registry_images import find_images, parse_registry_reference
from ci_budget.errors import BuildFailedError, GateError, UnmeasuredError


def run_check(options: CheckOptions) -> int:
    """Check every image that was asked for; returns the exit code. Raises CiBudgetError when nothing was built."""
    signals.install()
    github = read_context(os.environ)
    started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    plan = plan_check(options, github)
    against = find_other(options, plan)
    notes = [*plan.notes, *notes_on(against, plan, options)]
    target = report_folder(options, github, [job.files.context for job, _ in plan.jobs])
    # A proposal writes no history: it is of what was merged. Nor does an image that was not built here.
    recorded = not github.proposes and options.no_build is None
    history = history_address(plan.jobs[0][1].config.history.url, state_directory()) if recorded else None
    if options.no_build is None:
        _become_root(options, plan, target, history)
    folder = ReportFolder.open(target)
    gate = GateOptions(
        fail_on=options.fail_on,
        require_baseline=options.require_baseline,
        exit_zero=options.exit_zero,
        warm=options.warm,
        without_baselines=str(options.baseline) == "none",
        unbuilt=options.no_build is not None,
    )
    try:
        state = state_directory()
        with new_progress(options) as progress, other_tree(against, options, plan, state, started) as other:
            if options.no_build is None:
                images = _check_images(plan, options, gate, folder, progress, other, in_actions=github.in_actions)
            else:
                images = [_check_stored(plan.jobs[0], options.no_build, gate, folder, progress, plan.inventories)]
        report = judge_run(
            images,
            started=started,
            commit=head_commit(plan.folder),
            options=gate,
            limits_changed=plan.limits_changed,
            notes=notes,
            against=against,
        )
        if APPROVAL_LABEL in github.labels:
            report = report.model_copy(update={"notes": [*report.notes, *asked_for(report)]})
        views = build_views(report, folder.path)
        deliver(report, folder, options, views)
        if history is not None:
            record_check(report, views, history, repository=github.repository or "", say=_tell)
    finally:
        give_to_caller([folder.path, *(path for path in (options.output, options.export) if path is not None)])
    return report.exit_code


def _check_images(
    plan: CheckPlan,
    options: CheckOptions,
    gate: GateOptions,
    folder: ReportFolder,
    progress: Progress,
    other: OtherTree | None,
    *,
    in_actions: bool,
) -> list[ImageReport]:
    state = state_directory()
    host, problem = open_host_engine()
    try:
        mode = _mode(options, plan, host, problem)
        progress.say(f"disk mode {mode.mode}: {mode.reason}")
        detail = progress.say if options.verbose else _unsaid
        detail(check_tools(mode, host))
        drop_inherited_mounts()
        for ident in mend(state):
            progress.say(f"removed what the killed run {ident} left behind")
        if host is not None and mode.mode != "remote" and mend_host(state, host):
            progress.say("removed what a killed run left on the runner's engine")
        images = []
        inventories: dict[str, Inventory] = {}
        before: dict[str, Inventory] = {}
        for job, decided in plan.jobs:
            open_log = partial(new_log, options, folder, in_actions=in_actions)
            bench = partial(
                Workbench,
                state=state,
                mode=mode,
                host=host,
                warm=options.warm,
                progress=progress,
                detail=detail,
            )
            side = None
            if other is not None:
                progress.say(f"{job.name}: first as it is at {other.revision.shown}, then as it is here")
                there = bench(
                    log=open_log(f"{job.name}-against"),
                    hand_out=_keep,
                    keep_inventory=partial(before.__setitem__, job.name),
                )
                side = other.measure(job, partial(_measure, bench=there, config=options.config))
            judge = judge_with(decided, gate, side)
            here = bench(
                log=open_log(job.name),
                hand_out=partial(_hand_out, options, job, host, judge),
                keep_inventory=partial(inventories.__setitem__, job.name),
            )
            judged = judge(_with_push(_measure(job, here, options.config), options))
            images.append(
                explain_growth(
                    judged,
                    inventories.get(job.name),
                    baselines=decided.baselines if side is None else side.baselines,
                    places=plan.inventories,
                    before=before.get(job.name),
                )
            )
        folder.write("inventory.json.zst", render_inventories(Inventories(images=inventories)))
        return images
    finally:
        if host is not None:
            host.close()


def _check_stored(
    planned: Job, reference: str, gate: GateOptions, folder: ReportFolder, progress: Progress,
    places: Sequence[InventoryPlace],
) -> ImageReport:  # fmt: skip
    """The one image, as it lies in a registry."""
    job, decided = planned
    measured, inventory = measure_stored(job, decided, reference, progress.doing)
    judged = judge_with(decided, gate, None)(measured)
    found = {} if inventory is None else {job.name: inventory}
    folder.write("inventory.json.zst", render_inventories(Inventories(images=found)))
    return explain_growth(judged, inventory, baselines=decided.baselines, places=places)


def _tell(text: str) -> None:
    """On standard error, when there is no progress line any more."""
    print(plain_lines(f"ci-budget: {text}"), file=sys.stderr)  # noqa: T201


def _unsaid(_text: str) -> None:
    """What only --verbose tells."""


def _keep(_measured: ImageReport, _engine: DockerEngine) -> None:
    """The other revision's image is handed to nobody."""


def _become_root(options: CheckOptions, plan: CheckPlan, target: Path, history: Address | None) -> None:
    """A sandbox needs root: by sudo without a password, else in a privileged container by the Docker socket.

    Does not return where one of them can be had.
    """
    disk = plan.jobs[0][0].disk
    if os.geteuid() == 0 or disk.mode == "host" or options.warm or plan.on_builders:
        return
    with contextlib.suppress(UnmeasuredError):
        state_directory()  # the user's own is made by the user, not by root
    names = [*VARIABLES, *(name for job, _ in plan.jobs for name in environment_names(job.image))]
    if sudo_works():
        rerun_as_root(names)
    host, _ = open_host_engine()
    if host is None or container_problem(host) is not None:
        return
    target.mkdir(parents=True, exist_ok=True)
    written = [path.resolve().parent for path in (options.output, options.export) if path is not None]
    folders = [plan.folder, repository_root(Path.cwd()), target, *written]
    folders += [path.parent for job, _ in plan.jobs for path in outside_files(job.image, job.folder)]
    if history is not None and history.file is not None and plan.jobs[0][1].config.history.url is not None:
        folders.append(history.file.absolute().parent)
    rerun_in_container(
        host,
        sandbox_image=disk.sandbox_image,
        also_kept=names,
        folders=folders,
        say=lambda text: print(text, file=sys.stderr),  # noqa: T201 - before there is a progress line
    )


def _mode(options: CheckOptions, plan: CheckPlan, host: DockerEngine | None, problem: str) -> DiskMode:
    if plan.on_builders:
        return DiskMode(mode="remote", reason="every image is built on a buildx builder")
    if options.warm:
        if host is None:
            raise UnmeasuredError(f"--warm needs the runner's engine and its cache: {problem}", mend=START_ENGINE)
        return choose_mode("host", host, problem)
    return choose_mode(plan.jobs[0][0].disk.mode, host, problem)


def _measure(job: ImageJob, bench: Workbench, config: Path | None) -> ImageReport:
    """The measured image; an environment that failed is a report too, so that the other images are still checked."""
    context: ContextFacts | None = None
    try:
        platform = bench.host.facts().platform if bench.host is not None else own_platform()
        refreshed = (bench.mode.mode != "sandbox" or job.image.builder is not None) and not bench.warm
        with prepared(job, platform=platform, refreshed=refreshed) as image:
            context = image.context
            if job.image.builder is not None:
                return measure_on_builder(image, bench, job.image.builder)
            return measure_image(image, bench)
    except (UnmeasuredError, GateError, BuildFailedError) as error:
        told = explain_shortage(error, bench.state, bench.host, config) if isinstance(error, NoRoomError) else error
        return unmeasured_image(job.name, job.files.parsed.file, job.image.target, context, told)
    finally:
        bench.log.close()


def _with_push(measured: ImageReport, options: CheckOptions) -> ImageReport:
    """The image with what the registry that it was pushed to says of it, or with a note that it was not pushed."""
    if options.push is None or measured.failure is not None:
        return measured
    if measured.manifest_digest is None:
        note = f"not pushed to {options.push}: what does not pass is handed to nobody"
        return measured.model_copy(update={"notes": [*measured.notes, note]})
    reference = replace(parse_registry_reference(options.push), digest=measured.manifest_digest)
    try:
        (image,) = find_images(reference).images
        metric = compressed_metric(image)
    except UnmeasuredError as error:
        metric = Metric(unit=metric_unit("compressed_size"), message=error.what)
    return measured.model_copy(
        update={"metrics": measured.metrics.model_copy(update={"compressed_size": metric})}
    )  # fmt: skip


def _hand_out(
    options: CheckOptions,
    job: ImageJob,
    host: DockerEngine | None,
    judge: Callable[[ImageReport], ImageReport],
    measured: ImageReport,
    engine: DockerEngine,
) -> str | None:
    """Give away the very image that was measured, as asked; returns the manifest's digest of a pushed one.

    What did not pass is not pushed: a registry hands it to others.
    """
    image = measured.image_id or ""
    if options.load:
        if host is None:
            raise UnmeasuredError("--load needs the runner's engine, and none answers")
        load_into_host(image, engine.docker_host, host, f"{repository_of(job.name)}:ci-budget")
    if options.export is not None:
        export_archive(image, engine.docker_host, options.export)
    if options.push is None or judge(measured).exit_code != 0:
        return None
    return push_image(image, engine, options.push)
