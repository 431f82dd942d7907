"""docs/reliability.md: the table of faults and the overshoot, as they were produced."""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Sequence
from itertools import groupby

from ci_budget.core.text.units import format_size
from faults.fault import Row, plain, shell_code
from faults.overshoot import Overshoot

_HEAD = """\
# Reliability

What ci-budget does when things break under it. `make faults` wrote this page: it injects each fault below into a
real run, proves that it took place, and looks at everything afterwards. A row whose fault did not fire fails the
command, and so does a wrong exit code, anything left behind, anything lost. `python -m faults NAME` (a row's name, or
a module of `faults/`) runs some of them and writes nothing.

- **Proof**: how it is known that the fault took place when it should. A program in which the tool waits is held there;
  nothing relies on having slept for long enough.
- **Exit**: as a shell shows it (137: ended by SIGKILL, after which nothing can be cleaned up).
- **Left**: mounts, loop devices, interfaces, firewall rules, cgroups, daemons and other processes, containers, files.
  After SIGKILL and power cuts they are looked for when the next run has ended, which must pass; otherwise at once.
- **Lost**: the project's files, and foreign ones beside the report; an image, a container, a volume, a network and the
  base image of the runner's engine; its bridge; every firewall rule; each kept seed (untouched since it was kept, and
  clean by `e2fsck`).

"""
_MEASURED = """\
## Overshoot at the machine's full write rate

`python -m faults overshoot`: a step writes zeros as fast as it can (`dd bs=16M`), without an end. In host mode the
engine is alone on a filesystem of 6 GB, looked at every millisecond. The sandbox's file lies alone on a filesystem of
its own, whose growth while the build runs is what got out.

| mode | budget | write rate | beyond the budget | exit |
|---|---|---|---|---|
"""
_LIMIT = """\

This is the limit of host mode: a watchdog sees a writer only after it has begun, and the engine needs time to end it.
It looks ahead by the rate of the last 0.2 s x (0.4 s + the widest gap between its looks), for bytes as for inodes: a
cancelled build stopped within 10 to 35 ms on an idle machine of 2 processors, its COPY within 0.4 s, and within 0.5 s
beside six busy loops; what it still wrote was never more than it had written in the 0.22 s before.
Here {worst}; keep `disk.reserve` larger than what your disk takes in a second or two.
In the sandbox the kernel refuses the first block beyond the budget.
"""


def render(rows: Sequence[Row], host: Sequence[Overshoot], sandbox: Sequence[Overshoot]) -> str:
    """The whole page; a row that is not as it must be says so in bold."""
    ended = [row.evidence.seconds for row in rows if row.fault.signal == signal.SIGTERM and row.evidence]
    slowest = max((one for one in ended if one is not None), default=0.0)
    bad = sum(1 for row in rows if row.trouble)
    summary = f"**{bad} of {len(rows)} faults are not as they must be.**"
    if not bad:
        summary = f"{len(rows)} faults, all of them fired; nothing left, nothing lost."
    parts = [
        f"{_HEAD}{summary} The slowest clean-up after SIGTERM took {slowest:.1f} s\n"
        f"of the 5 s that it may. Kernel {platform.release()}, {os.cpu_count()} processors.\n"
    ]
    for family, found in groupby(rows, key=lambda row: row.fault.family):
        parts.append(f"## {family}\n\n{_table(list(found))}")
    parts.append(render_overshoot(host, sandbox))
    return "\n".join(parts)


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "| name | fault | proof that it fired | outcome | exit | left | lost |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        evidence = row.evidence
        outcome = f"**FAILED**: {row.trouble[0]}" if row.trouble else evidence.outcome if evidence else ""
        texts = (row.fault.text, evidence.fired if evidence else "", outcome)
        cells = [
            f"`{row.fault.name}`",
            *(plain(text).replace("|", "\\|").replace("<", "&lt;") for text in texts),
            str(shell_code(evidence.exit_code)) if evidence else "",
            str(len(row.left) or "none"),
            str(len(row.lost) or "none"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def render_overshoot(host: Sequence[Overshoot], sandbox: Sequence[Overshoot]) -> str:
    """The section of the overshoot, which is the last one."""
    lines = []
    for mode, runs in (("host", host), ("sandbox", sandbox)):
        for one in runs:
            beyond = f"{one.bytes} bytes" if one.bytes < 1_000_000 else format_size(one.bytes)
            lines.append(
                f"| {mode} | {format_size(one.budget)} | {one.rate / 1e6:,.0f} MB/s | {beyond} | {one.exit_code} |\n"
            )
    most = max((one.bytes for one in host), default=0)
    worst = f"the worst was {format_size(most)} beyond the budget" if most else "it came in time in every run"
    return f"{_MEASURED}{''.join(lines)}{_LIMIT.format(worst=worst)}"
