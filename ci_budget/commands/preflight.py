"""Before anything is built: are the tools new enough, is there room, and if not, what would give it back?"""

from __future__ import annotations

import re
import time
from decimal import Decimal
from pathlib import Path

from ci_budget.commands.preparation import ImageJob
from ci_budget.commands.prune import base_references, protected_images
from ci_budget.core.health.room import Share
from ci_budget.core.prune_plan import PruneRules, expected_steps, plan_steps
from ci_budget.core.text.units import format_size
from ci_budget.edges.engine.buildx import Buildx
from ci_budget.edges.engine.docker_engine import OLDEST_ENGINE, DockerEngine
from ci_budget.edges.engine.docker_host import current_docker_host
from ci_budget.edges.engine.host_daemon import dockerd_version
from ci_budget.edges.host.disk_levels import read_disk
from ci_budget.edges.host.pruning import Storeroom
from ci_budget.edges.sites.build_site import DiskNeeds
from ci_budget.edges.sites.disk_mode import DiskMode
from ci_budget.edges.sites.disk_room import NoRoomError
from ci_budget.errors import CiBudgetError, UnmeasuredError


def check_tools(mode: DiskMode, host: DockerEngine | None) -> str:
    """The versions of what will build, as a sentence. Raises UnmeasuredError where one is missing or too old."""
    if mode.mode == "sandbox":
        found = re.search(r"version (\d+)\.(\d+)[^\s,]*", dockerd_version())
        if found is None or (int(found[1]), int(found[2])) < OLDEST_ENGINE:
            version = found[0].removeprefix("version ") if found else "of an unknown version"
            raise UnmeasuredError(
                f"the dockerd of this machine is {version}; a sandbox needs 23.0 or newer", mend="Upgrade the engine."
            )
        engine = found[0].removeprefix("version ")
    else:
        engine = host.facts().version if host is not None else "unknown"
    return f"engine {engine}, buildx {Buildx(current_docker_host()).version()}"


def disk_needs(job: ImageJob) -> DiskNeeds:
    """What the build of an image needs of the host's disk."""
    return DiskNeeds(
        budget=job.disk_budget,
        reserve=job.disk.reserve,
        seeds_limit=job.disk.seeds_limit,
        free_first=free_first_share(job.disk.free_factor, job.expected_size, job.expected_by),
        inodes=job.expected_inodes,
    )


def free_first_share(factor: Decimal, expected: int | None, source: str) -> Share | None:
    """What must be free before an image is built; None where nothing tells how large it will be."""
    if not expected:
        return None
    return Share(
        size=int(factor * expected),
        purpose=f"disk.free_factor {factor.normalize():f} x {format_size(expected)}, the image's size by {source}",
    )


def explain_shortage(
    error: NoRoomError, state: Path, host: DockerEngine | None, config: Path | None
) -> UnmeasuredError:
    """The refusal with the engine that is there, where its data lies, and what `prune` would give back."""
    advice = _advice(error, state, host, config)
    return UnmeasuredError(f"{error.what}; {_engine(host)}", mend=f"{advice} {error.mend}")


def _engine(host: DockerEngine | None) -> str:
    """Versions, and the filesystem of the engine's data, as far as they can be had."""
    try:
        buildx = f"buildx {Buildx(current_docker_host()).version()}"
        if host is None:
            return f"no engine answers, {buildx}"
        facts = host.facts()
    except UnmeasuredError as error:
        return error.what
    text = f"engine {facts.version}, {buildx}, the engine's data in {facts.data_root}"
    try:
        data = read_disk(Path(facts.data_root), "data")
    except OSError:
        return f"{text}, which this user cannot see"
    own = "a partition of its own" if data.mount_point == facts.data_root else "no partition of its own"
    return f"{text} ({data.kind} on {data.mount_point}, {own}, {format_size(data.available)} available)"


def _advice(error: NoRoomError, state: Path, host: DockerEngine | None, config: Path | None) -> str:
    """What `prune` would free on the filesystem that is short, without and with the engine's own."""
    target, disk = error.needed, error.disk.mount_point
    try:
        store = Storeroom.open(state, host)
        stock, levels = store.stock(), {**store.available(), disk: error.disk.available}
        protected = protected_images(base_references(config), host)
    except (CiBudgetError, OSError):
        return "`ci-budget prune --dry-run` shows what it could free."
    texts = []
    for words, rules in (("prune", PruneRules()), ("prune --engine", PruneRules(engine=True, protected=protected))):
        steps = expected_steps(plan_steps(stock, rules, now=time.time()), levels, target)
        gain = sum(step.size for step in steps if step.disk == disk)
        texts.append(f"`ci-budget {words}` would free about {format_size(gain)} there")
        if levels[disk] + gain >= target:
            return f"{texts[-1]}, which is enough."
    return f"{texts[0]}, {texts[1].removesuffix(' there')}: not enough."
