"""`check`: the gate. Build, measure, compare, report, exit."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ci_budget.commands.check_jobs import CheckPlan, plan_check
from ci_budget.commands.check_options import CheckOptions
from ci_budget.commands.check_output import deliver, new_log, new_progress, report_folder
from ci_budget.commands.measuring import Workbench, measure_image
from ci_budget.commands.preparation import ImageJob, environment_names, prepared, secret_files
from ci_budget.core.gate.judgement import GateOptions, judge_image, judge_run
from ci_budget.core.gate.limits import DecidedLimits
from ci_budget.core.measurement.measured_image import ContextFacts, unmeasured_image
from ci_budget.core.records.report import ImageReport
from ci_budget.edges import signals
from ci_budget.edges.build_site import open_host_engine
from ci_budget.edges.config_file import repository_root
from ci_budget.edges.disk_mode import DiskMode, choose_mode, own_platform
from ci_budget.edges.docker_engine import START_ENGINE, DockerEngine
from ci_budget.edges.git import head_commit
from ci_budget.edges.github import read_context
from ci_budget.edges.privileged_container import container_problem, drop_inherited_mounts, rerun_in_container
from ci_budget.edges.privileges import give_to_caller, rerun_as_root, sudo_works
from ci_budget.edges.progress import Progress
from ci_budget.edges.report_files import ReportFolder
from ci_budget.edges.sandbox import mend
from ci_budget.edges.stage_images import export_archive, load_into_host, push_image
from ci_budget.edges.state import state_directory
from ci_budget.errors import GateError, UnmeasuredError


def run_check(options: CheckOptions) -> int:
    """Check every image that was asked for; returns the exit code. Raises CiBudgetError when nothing was built."""
    signals.install()
    github = read_context(os.environ)
    started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    plan = plan_check(options, github)
    target = report_folder(options, github, [job.files.context for job, _ in plan.jobs])
    _become_root(options, plan, target)
    folder = ReportFolder.open(target)
    gate = GateOptions(
        fail_on=options.fail_on,
        require_baseline=options.require_baseline,
        exit_zero=options.exit_zero,
        warm=options.warm,
        without_baselines=str(options.baseline) == "none",
    )
    try:
        with new_progress(options) as progress:
            images = _check_images(plan, options, gate, folder, progress, in_actions=github.in_actions)
        report = judge_run(
            images,
            started=started,
            commit=head_commit(plan.folder),
            options=gate,
            limits_changed=plan.limits_changed,
            notes=plan.notes,
        )
        deliver(report, folder, options)
    finally:
        give_to_caller([folder.path, *(path for path in (options.output, options.export) if path is not None)])
    return report.exit_code


def _check_images(
    plan: CheckPlan,
    options: CheckOptions,
    gate: GateOptions,
    folder: ReportFolder,
    progress: Progress,
    *,
    in_actions: bool,
) -> list[ImageReport]:
    state = state_directory()
    host, problem = open_host_engine()
    try:
        mode = _mode(options, plan, host, problem)
        progress.say(f"disk mode {mode.mode}: {mode.reason}")
        drop_inherited_mounts()
        for ident in mend(state):
            progress.say(f"removed what the killed run {ident} left behind")
        images = []
        for job, decided in plan.jobs:
            judge = partial(judge_image, limits=decided.limits, baselines=decided.baselines, options=gate)
            log = new_log(options, folder, job.name, in_actions=in_actions)
            bench = Workbench(
                state=state,
                mode=mode,
                host=host,
                warm=options.warm,
                progress=progress,
                log=log,
                hand_out=partial(_hand_out, options, job, host, judge),
            )
            try:
                measured = _measure(job, decided, bench)
            finally:
                log.close()
            images.append(judge(measured))
        return images
    finally:
        if host is not None:
            host.close()


def _become_root(options: CheckOptions, plan: CheckPlan, target: Path) -> None:
    """A sandbox needs root: by sudo without a password, else in a privileged container by the Docker socket.

    Does not return where one of them can be had.
    """
    disk = plan.jobs[0][0].disk
    if os.geteuid() == 0 or disk.mode == "host" or options.warm:
        return
    names = [name for job, _ in plan.jobs for name in environment_names(job.image)]
    if sudo_works():
        rerun_as_root(names)
    host, _ = open_host_engine()
    if host is None or container_problem(host) is not None:
        return
    target.mkdir(parents=True, exist_ok=True)
    written = [path.resolve().parent for path in (options.output, options.export) if path is not None]
    folders = [plan.folder, repository_root(Path.cwd()), target, *written]
    folders += [path.parent for job, _ in plan.jobs for path in secret_files(job)]
    rerun_in_container(
        host,
        sandbox_image=disk.sandbox_image,
        also_kept=names,
        folders=folders,
        say=lambda text: print(text, file=sys.stderr),  # noqa: T201 - before there is a progress line
    )


def _mode(options: CheckOptions, plan: CheckPlan, host: DockerEngine | None, problem: str) -> DiskMode:
    if options.warm:
        if host is None:
            raise UnmeasuredError(f"--warm needs the runner's engine and its cache: {problem}", mend=START_ENGINE)
        return choose_mode("host", host, problem)
    return choose_mode(plan.jobs[0][0].disk.mode, host, problem)


def _measure(job: ImageJob, decided: DecidedLimits, bench: Workbench) -> ImageReport:
    """The measured image; an environment that failed is a report too, so that the other images are still checked."""
    context: ContextFacts | None = None
    try:
        platform = bench.host.facts().platform if bench.host is not None else own_platform()
        refreshed = bench.mode.mode != "sandbox" and not bench.warm
        with prepared(job, platform=platform, refreshed=refreshed) as image:
            context = image.context
            measured = measure_image(image, bench)
    except (UnmeasuredError, GateError) as error:
        measured = unmeasured_image(job.name, job.files.parsed.file, job.image.target, context, error)
    return measured.model_copy(
        update={
            "limits_changed": list(decided.limits_changed),
            "notes": [*measured.notes, *decided.notes],
        }
    )


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
        load_into_host(image, engine.docker_host, host, f"{job.name.lower()}:ci-budget")
    if options.export is not None:
        export_archive(image, engine.docker_host, options.export)
    if options.push is None or judge(measured).exit_code != 0:
        return None
    return push_image(image, engine, options.push)
