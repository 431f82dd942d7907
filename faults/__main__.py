"""`python -m faults [NAME ...]`: all faults and the overshoot, or the named ones and modules; all write the page."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from faults import (
    broken_engines,
    clocks,
    company,
    containers,
    damaged_files,
    damaged_folders,
    document,
    full_disks,
    full_sandboxes,
    kills,
    overshoot,
    power_cuts,
)
from faults.fault import Fault, Row
from faults.ground import open_ground

OVERSHOOT = "overshoot"
ROOT = Path(__file__).resolve().parent.parent
MODULES = {
    "kills": kills,
    "power_cuts": power_cuts,
    "containers": containers,
    "full_sandboxes": full_sandboxes,
    "full_disks": full_disks,
    "broken_engines": broken_engines,
    "damaged_files": damaged_files,
    "damaged_folders": damaged_folders,
    "company": company,
    "clocks": clocks,
}


def main(words: list[str]) -> int:
    """Exit code 0 when every fault fired and all is as it must be, else 1; 2 for a name that is none.

    Without words docs/reliability.md is written, from this run alone; rows that are not as they must be say so.
    """
    measured = not words or OVERSHOOT in words
    chosen = choose([word for word in words if word != OVERSHOOT]) if words != [OVERSHOOT] else []
    if not chosen and words != [OVERSHOOT]:
        names = (*MODULES, OVERSHOOT, *(fault.name for fault in all_faults()))
        print(f"no such fault; there are {', '.join(names)}", file=sys.stderr)
        return 2
    rows, trouble = [], False
    with open_ground(ROOT / ".engine" / "faults") as ground:
        for number, fault in enumerate(chosen, 1):
            started = time.monotonic()
            row = ground.try_out(fault)
            rows.append(row)
            trouble |= bool(row.trouble)
            print(f"[{number}/{len(chosen)}] {_verdict(row, time.monotonic() - started)}", flush=True)
        if measured:
            budgets = [budget for budget in overshoot.BUDGETS for _ in range(overshoot.ROUNDS)]
            host = [overshoot.measure_host(ground, budget) for budget in budgets]
            sandbox = [overshoot.measure_sandbox(ground, budget) for budget in budgets]
            print(document.render_overshoot(host, sandbox))
            trouble |= any(one.bytes for one in sandbox) or any(one.exit_code != 1 for one in (*host, *sandbox))
    if not words:
        (ROOT / "docs" / "reliability.md").write_text(document.render(rows, host, sandbox), encoding="utf-8")
    if trouble:
        bad = [row.fault.name for row in rows if row.trouble]
        print(f"not as it must be: {', '.join(bad) or 'the overshoot'}", file=sys.stderr)
    return 1 if trouble else 0


def all_faults() -> list[Fault]:
    """Every fault, in the table's order."""
    return [fault for module in MODULES.values() for fault in module.FAULTS]


def choose(words: list[str]) -> list[Fault]:
    """The faults with these names or of these modules, all without any; none when a word is neither."""
    known = {name for fault in all_faults() for name in (fault.name,)} | set(MODULES)
    if set(words) - known:
        return []
    named = {fault.name for key in words if key in MODULES for fault in MODULES[key].FAULTS} | set(words)
    return [fault for fault in all_faults() if not words or fault.name in named]


def _verdict(row: Row, seconds: float) -> str:
    head = f"{row.fault.name:<22} {seconds:5.1f} s  "
    if row.trouble:
        return f"{head}FAILED\n    " + "\n    ".join("\n".join(row.trouble).splitlines())
    assert row.evidence is not None
    return f"{head}exit {row.evidence.exit_code}: {row.evidence.outcome}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
