"""Two processes run the tests with an engine side by side (`scripts/engine-tests.sh`), each a lane.

What one of them leaves on purpose is no leftover of the other's: it says so before it does (`disown`), and its folders
of temporary files and of state are known. Nothing that was said is taken back: ids and names are used once.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from pathlib import Path

from tests.engine_access import LANE, LANES, STATES

OWNER = re.compile(r"/sandboxes/([0-9a-f]+)/owner$")


def disown(text: str) -> None:
    """Tell the other lane that whatever bears `text` from now on, the id of a sandbox or a name, is none of its own."""
    if LANES is not None:
        folder = _disowned(LANE)
        folder.mkdir(exist_ok=True)
        (folder / text).touch()


def kill_disowned(pid: int) -> None:
    """End a process as the machine's memory killer would, and disown the sandboxes that it leaves."""
    os.kill(pid, signal.SIGSTOP)  # so that it owns no more of them than we see
    for ident in owned_ids(Path("/proc", str(pid))):
        disown(ident)
    os.kill(pid, signal.SIGKILL)


def marks_of_others() -> frozenset[str]:
    """What stands only in lines that are about things of the other lane. Ask after looking, for what came meanwhile."""
    if LANES is None:
        return frozenset()
    found = set[str]()
    for lane in STATES.keys() - {LANE}:
        found |= {f"{STATES[lane]}/", f"{LANES / lane}/"}
        with contextlib.suppress(FileNotFoundError):
            found |= {path.name for path in _disowned(lane).iterdir()}
    return frozenset(found)


def owned_ids(process: Path) -> set[str]:
    """The ids of the sandboxes that a process, by its folder in /proc, owns: it holds `sandboxes/ID/owner` open."""
    try:
        targets = [target_of(handle) for handle in (process / "fd").iterdir()]
    except OSError:  # it ended while we looked
        return set()
    return {match[1] for target in targets if (match := OWNER.search(target))}


def target_of(link: Path) -> str:
    """Where a link of /proc leads; empty when its process ended or closed it while we looked."""
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _disowned(lane: str) -> Path:
    assert LANES is not None
    return LANES / f"{lane}-disowned"
