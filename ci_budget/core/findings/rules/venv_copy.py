"""A virtual environment copied from one stage into another: at the peak it lies on the disk twice."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import chain

from ci_budget.core.dockerfile.instructions import Instruction
from ci_budget.core.findings.rule import LEAST, Evidence, Place, Rule, make_finding
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size

_PACKAGES = re.compile(r"(?:^|/)(?:site-packages|dist-packages)/")


def _find(evidence: Evidence) -> Iterator[Finding]:
    image = evidence.image
    for layer in range(image.inherited, len(image.layers)) if image is not None else ():
        place, size = evidence.place(layer), evidence.layer_size(layer)
        instruction = evidence.instruction(place)
        origin = _origin(instruction) if instruction is not None else None
        if origin is None or instruction is None or size < LEAST or not _counts_at_peak(evidence, place):
            continue
        installed = chain(evidence.within(_PACKAGES.search), evidence.ending_in("/pyvenv.cfg"))
        found = [file.path for file in installed if file.layer == layer]
        if not found:
            continue
        peak = evidence.report.metrics.peak_disk
        yield make_finding(
            evidence,
            RULE.name,
            place,
            size=size,
            of=peak.observed if peak is not None and peak.observed else None,
            message=f"{place.step} holds {format_size(size)} of installed packages twice at the peak: in the stage "
            f"{origin} and here.",
            mend=f"Let {origin} only make wheels (pip wheel -w /wheels PACKAGES), and install them here: RUN "
            f"--mount=type=bind,from={origin},source=/wheels,target=/wheels {_installer(found)} --no-cache-dir "
            "--no-index --find-links /wheels PACKAGES",
        )


def _installer(files: Sequence[str]) -> str:
    """What installs packages where these files lie: a virtual environment, a user's folder, or the system's."""
    top = next((path.removesuffix("pyvenv.cfg") for path in files if path.endswith("pyvenv.cfg")), None)
    if top is not None:
        folder = shlex.quote(f"/{top.rstrip('/')}")
        return f"python3 -m venv {folder} && {folder}/bin/pip install"
    return "python3 -m pip install --user" if all("/.local/" in path for path in files) else "python3 -m pip install"


def _origin(instruction: Instruction) -> str | None:
    """The stage that a COPY takes from."""
    if instruction.command != "copy":
        return None
    return next((flag.partition("=")[2] for flag in instruction.flags if flag.startswith("--from=")), None)


def _counts_at_peak(evidence: Evidence, place: Place) -> bool:
    """False where the peak was measured and over before the copy began: then it costs nothing there."""
    step, timeline = evidence.step_report(place), evidence.report.timeline
    if step is None or not timeline:
        return True
    return max(timeline, key=lambda point: point.used).t_ms >= step.start_ms


RULE = Rule(name="venv-copy", find=_find)
