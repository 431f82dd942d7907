"""What ONBUILD brings stands at the FROM that brings it, and is no instruction of that line."""

from __future__ import annotations

from dataclasses import replace

from ci_budget.core.findings.rule import Evidence
from ci_budget.core.layers.model import HistoryStep, ImageLayers
from ci_budget.core.layers.waste import measure_waste
from tests.unit.finding_samples import MB, evidence, found, layer

TEXT = "FROM debian AS base\nONBUILD RUN make install\nFROM base\nRUN other\n"


def triggered() -> Evidence:
    """The trigger writes a file that the stage's own step deletes."""
    layers = (layer(0, {"bin/sh": MB}), layer(1, {"opt/made": 90 * MB}), layer(2, {"opt/made": None, "opt/o": MB}))
    history = (
        HistoryStep("base", 0),
        HistoryStep("RUN /bin/sh -c make install # buildkit", 1, "stage-1", 3),
        HistoryStep("RUN /bin/sh -c other # buildkit", 2, "stage-1", 4),
    )
    image = ImageLayers("sha256:0", layers, history, inherited=1)
    return replace(evidence(TEXT), image=image, waste=measure_waste(image))


def test_its_place_says_what_ran() -> None:
    places = [triggered().place(at) for at in range(3)]
    assert [(one.stage, one.line, one.command) for one in places] == [
        (None, None, "base"), ("stage-1", 3, "RUN make install"), ("stage-1", 4, "RUN other"),
    ]  # fmt: skip
    assert [triggered().instruction(one) is None for one in places] == [True, True, False]


def test_a_finding_names_it_as_the_history_does() -> None:
    (finding,) = found(triggered())
    assert (finding.rule, finding.bytes, finding.line) == ("deleted-later", 90 * MB, 4)
    assert finding.message == (
        "`RUN other` deletes 90.0 MB that `RUN make install` in line 3 wrote; the layer below keeps them: /opt/made."
    )
    assert finding.mend == (
        "Write, use and delete them in one RUN: in the base image, where `RUN make install` is an ONBUILD."
    )
