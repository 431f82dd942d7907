"""The clock jumps in the middle of a build. The machine's clock stays: only the tool's own process sees the jump.

A `sitecustomize` module first in its path answers for the wall time, and says when it was asked; the monotonic clock
goes on, as it does when somebody sets the clock. The engine keeps the true time, so both disagree about every event
that follows.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from faults.fault import Evidence, Fault, NotFiredError
from faults.ground import BASE, Ground
from faults.holds import wait_for_process
from faults.outcomes import reason
from tests.engine.projects import MIB

FAMILY = "Clock"
_DAY = 86_400


def jump(seconds: int, full: bool, ground: Ground) -> Evidence:
    """A jump by so many seconds while a step sleeps, before it writes 42 MB, or (`full`) more than the budget."""
    size = 400 if full else 40
    writer = f"RUN sleep 3 && dd if=/dev/zero of=/x bs=1M count={size}"
    dockerfile = f"FROM {BASE}\nRUN echo 1 > /first\n{writer}\nRUN echo 2 > /last\n"
    clock = _Clock(folder=ground.fresh("clock"))
    with ground.running(ground.project(dockerfile), env=clock.env) as check:
        wait_for_process(check, "sleep", "3")
        clock.jump(seconds)
        done = check.finish()
    if not clock.asked:
        raise NotFiredError("the tool never asked for the time after the jump")
    steps = {step["name"].partition("] ")[2]: step for step in done.image["steps"]} if done.report else {}
    problems = []
    if full:
        failure = done.image["failure"] or {}
        if failure.get("kind") != "ceiling" or failure.get("line") != 3:
            problems.append(f"blamed: {failure}")
    else:
        (written,) = (step for name, step in steps.items() if "dd if" in name)
        total = done.metric("build_seconds")["value"]
        if not 0 <= written["start_ms"] <= written["end_ms"] <= (total + 2) * 1000:
            problems.append(f"the step is said to have run from {written['start_ms']} to {written['end_ms']} ms")
        if written["added"] < 40 * MIB:
            problems.append(f"the step is said to have added {written['added']:,} bytes")
    return Evidence(
        fired=f"the tool's wall clock moved by {seconds:+,} s while the step slept; it asked "
        f"for the time {clock.asked} times after that",
        outcome=f"fails as without it: {reason(done)}" if full else "passes; the step's time and its 42 MB are right",
        exit_code=done.exit_code,
        expected=(1,) if full else (0,),
        problems=tuple(problems),
    )


_STAND_IN = """\
import time

_true = time.time


def _moved() -> float:
    with open({jump!r}) as file:
        seconds = float(file.read())
    if seconds:
        with open({asked!r}, "a") as file:
            file.write("asked\\n")
    return _true() + seconds


time.time = _moved
"""


@dataclass(frozen=True, kw_only=True)
class _Clock:
    """The wall clock of one process, with its files in `folder`."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        (self.folder / "jump").write_text("0")
        text = _STAND_IN.format(jump=str(self.folder / "jump"), asked=str(self.folder / "asked"))
        (self.folder / "sitecustomize.py").write_text(text)

    @property
    def env(self) -> dict[str, str]:
        """What puts it into a Python process."""
        return {"PYTHONPATH": ":".join(filter(None, (str(self.folder), os.environ.get("PYTHONPATH"))))}

    def jump(self, seconds: int) -> None:
        """From now on it is off by so much; at once, as no reader may find an empty file."""
        draft = self.folder / "draft"
        draft.write_text(str(seconds))
        draft.replace(self.folder / "jump")

    @property
    def asked(self) -> int:
        """How often the process asked for the time since the jump."""
        file = self.folder / "asked"
        return len(file.read_text().splitlines()) if file.exists() else 0


FAULTS = [
    Fault(family=FAMILY, name=name, text=text, inject=partial(jump, seconds, full))
    for name, text, seconds, full in (
        ("clock-forward", "the clock jumps a day ahead while a stage is built", _DAY, False),
        ("clock-back", "the clock jumps a day back while a stage is built", -_DAY, False),
        ("clock-forward-full", "the clock jumps a day ahead before a step fills the sandbox", _DAY, True),
        ("clock-back-full", "the clock jumps a day back before a step fills the sandbox", -_DAY, True),
    )
]
