"""The sandbox: a private engine whose whole storage lies on a fixed-size filesystem of its own.

Whatever happens inside the block, everything is gone afterwards: daemons, network, mounts, loop
device, file. What a killed process leaves is found by the next run through the same functions.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci_budget.core.health.room import BuildNeeds, Share
from ci_budget.core.text.units import format_size
from ci_budget.edges.engine.base_images import BaseImage, BasesTooLargeError, bring_in
from ci_budget.edges.engine.docker_engine import DockerEngine
from ci_budget.edges.engine.host_daemon import dockerd_version
from ci_budget.edges.host.filesystem import read_usage
from ci_budget.edges.processes import run
from ci_budget.edges.sandbox import loop_filesystem as loops
from ci_budget.edges.sandbox.private_engine import PrivateEngine, private_engine, start_engine, stop_engine
from ci_budget.edges.sandbox.private_network import PrivateNetwork, create_network, remove_network, remove_orphans
from ci_budget.edges.sandbox.seeds import SeedFacts, SeedStore
from ci_budget.edges.signals import shielded
from ci_budget.edges.sites.disk_room import admission, promise, require_room
from ci_budget.edges.sites.scratch import sweep_scratch
from ci_budget.edges.sites.state import Claim, abandoned, claimed, mending
from ci_budget.errors import CiBudgetError, UnmeasuredError

_PROGRAMS = (
    "dockerd", "containerd", "runc", "mkfs.ext4", "e2image", "e2fsck", "losetup", "mount", "umount", "iptables", "ip",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """A sandbox ready to build. Levels are bytes of its filesystem.

    `zero` is the level that counts as nothing: the empty engine and the ballast. `ceiling` is what a build can
    use above it, `seeded` whether the bases came from a seed.
    """

    docker_host: str
    mount: Path
    ballast: Path
    zero: int
    zero_inodes: int
    ceiling: int
    seeded: bool
    notes: tuple[str, ...]


def check_programs() -> None:
    """Raises UnmeasuredError that names every program a sandbox needs and this machine lacks."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        raise UnmeasuredError(
            f"a sandbox needs {', '.join(missing)}, not installed here",
            mend="Install docker (engine, containerd, runc), e2fsprogs, util-linux, iproute2 and iptables, or use "
            "`--disk-mode host`.",
        )


@contextlib.contextmanager
def sandbox(
    root: Path,
    *,
    budget: int,
    reserve: int,
    bases: Sequence[BaseImage],
    settings: Mapping[str, Any],
    seeds: SeedStore,
    say: Callable[[str], None],
    free_first: Share | None = None,
    detail: Callable[[str], None] = lambda _: None,
) -> Iterator[Sandbox]:
    """A sandbox in which exactly `budget` bytes can be used, with the bases in it.

    `free_first`: what must be free before, whatever it is for. `detail` is told what room there is. Raises NoRoomError
    when the host lacks it, UnmeasuredError when it lacks programs, BasesTooLargeError when the bases alone exceed the
    budget.
    """
    check_programs()
    with claimed(root) as claim:
        try:
            detail(_admit(claim, budget, reserve, free_first))
            yield _open(claim, budget, bases, settings, seeds, say)
        finally:
            with shielded():
                demolish(claim)


def _admit(claim: Claim, budget: int, reserve: int, free_first: Share | None) -> str:
    """Reserve the sandbox's file, beside what other checks keep free. Raises NoRoomError when the disk lacks room."""
    size = loops.file_size_for(budget)
    shares = (
        Share(size=size, purpose=f"for the sandbox (disk.budget {format_size(budget)})"),
        Share(size=reserve, purpose="that must stay free (disk.reserve)"),
    )
    with admission():
        room = require_room(
            claim.folder.parent.parent,
            BuildNeeds(shares=shares, free_first=free_first),
            mend="Lower disk.budget, or set CI_BUDGET_STATE to a folder on a larger disk.",
        )
        loops.reserve_file(claim.disk, size)
        promise(claim, reserve)
    return room


def demolish(claim: Claim) -> None:
    """Remove everything of one sandbox, however far it came. The first failure is raised at the end.

    The network goes beside the disk: the kernel takes its time for both.
    """
    failures = [_failure(stop_engine, claim)]
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="network") as beside:
        network = beside.submit(_failure, remove_network, claim)
        failures.append(_failure(_remove_disk, claim))
        failures.append(network.result())
    if not loops.mounts_below(claim.folder):  # never delete through a mount that would not go away
        shutil.rmtree(claim.folder, ignore_errors=True)
    for failure in failures:
        if failure is not None:
            raise failure


def _failure(step: Callable[[Claim], None], claim: Claim) -> CiBudgetError | None:
    try:
        step(claim)
    except CiBudgetError as error:
        return error
    return None


def _remove_disk(claim: Claim) -> None:
    """Whatever is mounted of it and below it; what is not yet written is not waited for."""
    loops.drop_unwritten(claim.disk, claim.mount)
    loops.detach(claim.disk, claim.folder)


def mend(root: Path) -> list[str]:
    """Remove what killed runs left behind; returns the ids. Sandboxes of living runs are not touched."""
    with mending(root), shielded():
        found = abandoned(root)
        for claim in found:
            demolish(claim)
        if os.geteuid() == 0 and shutil.which("iptables") and shutil.which("ip"):  # no other user makes sandboxes
            remove_orphans()
        SeedStore(root, limit=0, reserve=0).sweep()
        sweep_scratch()
    return [claim.id for claim in found]


def _open(
    claim: Claim,
    budget: int,
    bases: Sequence[BaseImage],
    settings: Mapping[str, Any],
    seeds: SeedStore,
    say: Callable[[str], None],
) -> Sandbox:
    file_size = loops.file_size_for(budget)
    key = seeds.key(
        bases={base.reference: base.image_id or f"pulled for {base.platform}" for base in bases},
        file_size=file_size,
        inodes=loops.inodes_for(budget),
        engine=dockerd_version(),
    )
    notes: list[str] = []
    network = create_network(claim)
    opened = _open_seed(claim, network, settings, seeds, key, notes)
    seeded = opened is not None
    if opened is None:
        facts = _plant(claim, network, budget, bases, settings, say)
        complaint = seeds.keep(key, claim.disk, facts)
        if complaint:
            notes.append(f"no seed was kept: {complaint}")
        opened = facts, _start(claim, network, settings, facts)
    facts, engine = opened
    run(["sync", "--file-system", claim.mount])
    usage = read_usage(claim.mount)
    ceiling = budget // loops.BLOCK * loops.BLOCK
    left = ceiling - (usage.used - facts.empty_used)
    if left < 0:
        raise BasesTooLargeError(size=usage.used - facts.empty_used, budget=budget)
    ballast = loops.lay_ballast(claim.mount, left)
    return Sandbox(
        docker_host=engine.docker_host,
        mount=claim.mount,
        ballast=claim.mount / "ballast",
        zero=facts.empty_used + ballast,
        zero_inodes=facts.empty_inodes,
        ceiling=ceiling,
        seeded=seeded,
        notes=tuple(notes),
    )


def _start(claim: Claim, network: PrivateNetwork, settings: Mapping[str, Any], facts: SeedFacts) -> PrivateEngine:
    """Mount the filesystem and start the engine on it, with its bases. Raises UnmeasuredError when one is missing."""
    loops.attach(claim.disk, claim.mount)
    engine = start_engine(claim, network, settings)
    missing = _missing_bases(engine, facts)
    if missing:
        raise UnmeasuredError(f"the sandbox lacks the base image {missing[0]}, though it was brought in")
    return engine


def _open_seed(
    claim: Claim,
    network: PrivateNetwork,
    settings: Mapping[str, Any],
    seeds: SeedStore,
    key: str,
    notes: list[str],
) -> tuple[SeedFacts, PrivateEngine] | None:
    """The engine started on a copy of the seed; None when there is none, or it is of no use and was removed."""
    size = claim.disk.stat().st_size
    try:
        seed = seeds.find(key)
        if seed is None:
            return None
        loops.fill_from(seed.disk, claim.disk)
        run(["e2fsck", "-n", "-f", claim.disk], timeout=600)
        engine = _start(claim, network, settings, seed.facts)
    except (UnmeasuredError, OSError) as error:
        stop_engine(claim)
        _remove_disk(claim)
        seeds.drop(key)
        notes.append(f"a damaged seed was removed ({str(error).splitlines()[0][:200]})")
        with admission():  # nobody takes the room in between
            claim.disk.unlink()
            loops.reserve_file(claim.disk, size)
        return None
    return seed.facts, engine


def _plant(
    claim: Claim,
    network: PrivateNetwork,
    budget: int,
    bases: Sequence[BaseImage],
    settings: Mapping[str, Any],
    say: Callable[[str], None],
) -> SeedFacts:
    """Make the filesystem, measure the empty engine, load the bases; leaves it unmounted and clean."""
    loops.make_filesystem(claim.disk, budget)
    with loops.mounted(claim.disk, claim.mount, kept=True):
        with private_engine(claim, network, settings, kept=True, scratch=claim.folder / "tmp") as engine:
            run(["sync", "--file-system", claim.mount])
            empty = read_usage(claim.mount)
            identities = bring_in(bases, engine.docker_host, claim.mount, budget, say)
        run(["sync", "--file-system", claim.mount])
        full = read_usage(claim.mount)
    shutil.rmtree(claim.folder / "tmp", ignore_errors=True)
    return SeedFacts(
        empty_used=empty.used,
        empty_inodes=empty.total_inodes - empty.free_inodes,
        bases=identities,
        bases_used=full.used - empty.used,
        file_size=claim.disk.stat().st_size,
    )


def _missing_bases(engine: PrivateEngine, facts: SeedFacts) -> list[str]:
    connection = DockerEngine(engine.docker_host)
    try:
        return [name for name, ident in facts.bases.items() if getattr(connection.image(name), "id", None) != ident]
    finally:
        connection.close()
