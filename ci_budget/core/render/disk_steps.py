"""What the build's steps did to the disk: which ran at the peak, what each wrote, kept and gave back."""

from __future__ import annotations

from ci_budget.core.records.report import ImageReport, StepReport
from ci_budget.core.text.plain_text import shorten
from ci_budget.core.text.units import format_size

_LONGEST = 60


def peak_step_lines(image: ImageReport) -> list[str]:
    """One line for each step that ran when the peak was reached; none where that was not measured."""
    return [f"At the peak ran {_named(step, image.dockerfile)}: {moved(step)}" for step in image.steps if step.at_peak]


def keeping_line(image: ImageReport, rise: int) -> str | None:
    """Of a peak that rose by so many bytes: the step that may have done it; it keeps half to twice as much."""
    steps = [one for one in image.steps if one.line is not None and rise <= 2 * (one.added or 0) <= 4 * rise]
    step = max(steps, key=lambda one: one.added or 0, default=None)
    return f"{_named(step, image.dockerfile)} keeps {format_size(step.added or 0)}" if step is not None else None


def moved(step: StepReport) -> str:
    """`wrote 4.62 MB, kept 270 kB, gave back 4.35 MB`."""
    return (
        f"wrote {format_size(step.wrote or 0)}, kept {format_size(max(0, step.added or 0))}, "
        f"gave back {format_size(step.gave_back or 0)}"
    )


def step_place(step: StepReport) -> str:
    """`runtime:12`; with a `~` before a line that the step's name led to, and not the engine's provenance."""
    if step.line is None:
        return "-"
    about = "" if step.located_by == "provenance" else "~"
    return f"{step.stage}:{about}{step.line}" if step.stage else f"line {about}{step.line}"


def step_text(step: StepReport) -> str:
    """The instruction, without the engine's numbering."""
    text = step.name.partition("] ")[2] if step.name.startswith("[") else step.name
    return shorten(" ".join((text or step.name).split()), _LONGEST)


def instruction_text(image: ImageReport, stage: str, line: int | None) -> str:
    """The instruction at a place of the Dockerfile, where the build told it, else empty."""
    return next((step_text(one) for one in image.steps if line and (one.stage, one.line) == (stage, line)), "")


def _named(step: StepReport, file: str) -> str:
    if step.line is None:
        return f"`{step_text(step)}`"
    by = "" if step.located_by == "provenance" else " (found by its name)"
    return f"`{step_text(step)}` in {file}:{step.line}{by}"
