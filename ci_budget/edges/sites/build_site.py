"""The place where an image is built: the sandbox, or the runner's own engine under a watchdog."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ci_budget.core.health.room import BuildNeeds, Share
from ci_budget.edges.engine.base_images import BaseImage, context_overrides
from ci_budget.edges.engine.buildx import Cancel
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.engine.host_daemon import inherited_settings
from ci_budget.edges.host.filesystem import Usage, read_usage
from ci_budget.edges.sandbox.loop_filesystem import require_sound
from ci_budget.edges.sandbox.private_sandbox import sandbox
from ci_budget.edges.sandbox.seeds import SeedStore
from ci_budget.edges.sites.disk_mode import DiskMode
from ci_budget.edges.sites.disk_room import living_sandboxes, promised, require_room, require_undisturbed
from ci_budget.edges.sites.host_turns import host_turn
from ci_budget.edges.sites.scratch import sweep_scratch
from ci_budget.edges.sites.watchdog import Watchdog
from ci_budget.errors import UnmeasuredError


@dataclass(frozen=True, kw_only=True)
class BuildSite:
    """Where to build and what to watch. Levels are bytes of the watched filesystem; `zero` counts as nothing.

    `require_sound` raises UnmeasuredError where the filesystem broke meanwhile, or others' doings falsified its levels.
    """

    docker_host: str
    watched: Path | None
    enforced: bool
    zero: int
    zero_inodes: int
    ceiling: int | None
    overrides: Mapping[str, str] = field(default_factory=dict)
    ballast: Path | None = None
    watch: Callable[[float, Usage], None] | None = None
    require_sound: Callable[[], None] = lambda: None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DiskNeeds:
    """What a build needs of the host's disk, in bytes: `budget` for itself, `reserve` left beside it, and
    `free_first` free before it starts (None where no size is expected). `inodes`: how many it is expected to take."""

    budget: int | None
    reserve: int
    seeds_limit: int
    free_first: Share | None
    inodes: int = 0


@contextlib.contextmanager
def build_site(
    mode: DiskMode,
    root: Path,
    *,
    needs: DiskNeeds,
    bases: Sequence[BaseImage],
    bases_size: Callable[[DockerEngine], int],
    cancel: Cancel,
    say: Callable[[str], None],
    detail: Callable[[str], None],
) -> Iterator[BuildSite]:
    """The site for one image; `detail` is told what room there is. Raises NoRoomError where it does not suffice,
    UnmeasuredError when the site cannot be had."""
    if mode.mode == "sandbox":
        if needs.budget is None:
            raise UnmeasuredError("a sandbox needs a size", mend="Set disk.budget in the config.")
        say("making the sandbox")
        with sandbox(
            root,
            budget=needs.budget,
            reserve=needs.reserve,
            bases=bases,
            settings=inherited_settings(),
            seeds=SeedStore(root, limit=needs.seeds_limit, reserve=needs.reserve),
            say=say,
            free_first=needs.free_first,
            detail=detail,
        ) as box:
            yield BuildSite(
                docker_host=box.docker_host,
                watched=box.mount,
                enforced=True,
                zero=box.zero,
                zero_inodes=box.zero_inodes,
                ceiling=box.ceiling,
                overrides=context_overrides(bases),
                ballast=box.ballast,
                require_sound=partial(require_sound, box.mount),
                notes=box.notes,
            )
        return
    with _host_site(mode, needs, bases_size, cancel, say, detail) as site:
        yield site


@contextlib.contextmanager
def _host_site(
    mode: DiskMode,
    needs: DiskNeeds,
    bases_size: Callable[[DockerEngine], int],
    cancel: Cancel,
    say: Callable[[str], None],
    detail: Callable[[str], None],
) -> Iterator[BuildSite]:
    from ci_budget.edges.engine.docker_host import current_docker_host

    address = current_docker_host()
    if mode.mode == "remote":
        yield BuildSite(docker_host=address, watched=None, enforced=False, zero=0, zero_inodes=0, ceiling=None)
        return
    with contextlib.ExitStack() as stack:
        engine = DockerEngine(address)
        try:
            stack.enter_context(host_turn(engine, say))
            sweep_scratch()  # of whoever had the turn before and was killed
            folder = Path(engine.facts().data_root)
            base_level = bases_size(engine)
        finally:
            engine.close()
        if not _is_visible(folder):
            raise UnmeasuredError(
                f"the engine keeps its data in {folder}, which this user cannot see",
                mend="Run as root for a sandbox, or give this user search permission on that path.",
            )
        reserve = Share(size=needs.reserve, purpose="that must stay free (disk.reserve)")
        room = require_room(
            folder,
            BuildNeeds(shares=(reserve,), free_first=needs.free_first, inodes=needs.inodes),
            mend="Lower disk.reserve, or move the engine's data to a larger disk (`ci-budget volume`).",
        )
        detail(room)
        sandboxes, usage = living_sandboxes(folder), read_usage(folder)
        zero = usage.used - base_level
        watchdog = Watchdog(zero=zero, budget=needs.budget, reserve=needs.reserve + promised(folder)[1], cancel=cancel)
        yield BuildSite(
            docker_host=address,
            watched=folder,
            enforced=False,
            zero=zero,
            zero_inodes=usage.total_inodes - usage.free_inodes,
            ceiling=None,
            watch=watchdog,
            require_sound=partial(require_undisturbed, folder, sandboxes),
            notes=(
                "the disk budget was watched, not enforced, and other processes' writes to the same disk count as "
                "the build's",
            ),
        )


def _is_visible(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError:
        return False
