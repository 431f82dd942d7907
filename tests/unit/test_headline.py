"""The line under a verdict: what most of the change comes from."""

from __future__ import annotations

from typing import Any

import pytest

from ci_budget.core.records.report import (
    Cause,
    Contributor,
    Failure,
    Finding,
    ImageReport,
    Inside,
    Metric,
    Metrics,
    PeakMetric,
    StepReport,
    Verdict,
)
from ci_budget.core.render.headline import headline
from ci_budget.core.render.markdown import render_markdown
from ci_budget.core.render.remarks import gate_remarks
from ci_budget.core.render.text import render_text
from tests.planted.pairs import read_pairs
from tests.unit.golden_reports import HOSTILE, mixed_report

MB = 1_000_000


def metric(delta: int | None, verdict: Verdict = Verdict.FAIL, value: int = 100 * MB) -> dict[str, Any]:
    baseline = None if delta is None else value - delta
    return {"value": value, "unit": "bytes", "delta": delta, "verdict": verdict, "baseline": baseline, "tolerance": MB}


def finding(rule: str = "apt-leftovers", size: int | None = 20 * MB, line: int | None = 3, **more: Any) -> Finding:
    given = {"severity": "warning", "stage": "app", "file": "Dockerfile", "message": f"{rule} says.", "mend": "m"}
    return Finding.model_validate({"rule": rule, "bytes": size, "line": line, **given, **more})


def contributor(name: str = "/opt/x", delta: int = 20 * MB, line: int | None = 3) -> Contributor:
    return Contributor(
        kind="this-change", name=name, before=None if delta > 0 else -delta, after=delta if delta > 0 else None,
        delta=delta, stage="app", line=line,
    )  # fmt: skip


def image(
    *, findings: list[Finding] | None = None, contributors: list[Contributor] | None = None,
    verdict: Verdict = Verdict.FAIL, failure: Failure | None = None, **metrics: dict[str, Any],
) -> ImageReport:  # fmt: skip
    units = {"layers": "count"}
    held = {
        name: PeakMetric(**given) if name == "peak_disk" else {**given, "unit": units.get(name, "bytes")}
        for name, given in metrics.items()
    }
    return ImageReport(
        name="app", verdict=verdict, exit_code=1, dockerfile="Dockerfile", metrics=Metrics.model_validate(held),
        findings=findings or [], contributors=contributors or [], failure=failure,
    )  # fmt: skip


CASES: dict[str, tuple[ImageReport, str | None]] = {
    "the finding about the contributor's step": (
        image(
            image_size=metric(20 * MB), findings=[finding(), finding("build-tools", 30 * MB, 9)],
            contributors=[contributor()],
        ),
        "image_size +20.0 MB: apt-leftovers, 20.0 MB (Dockerfile:3): apt-leftovers says.",
    ),
    "the finding that names the contributor's path": (
        image(
            image_size=metric(20 * MB), findings=[finding("deleted-later", line=4, message="Deletes /opt/x.")],
            contributors=[contributor()],
        ),
        "image_size +20.0 MB: deleted-later, 20.0 MB (Dockerfile:4): Deletes /opt/x.",
    ),
    "a finding elsewhere is no reason": (
        image(image_size=metric(20 * MB), findings=[finding(line=9)], contributors=[contributor()]),
        "image_size +20.0 MB: +20.0 MB /opt/x (new, this change, line 3)",
    ),
    "a finding that was there before is no reason": (
        image(image_size=metric(20 * MB), findings=[finding(size=900 * MB)], contributors=[contributor()]),
        "image_size +20.0 MB: +20.0 MB /opt/x (new, this change, line 3)",
    ),
    "nor is one that holds as much as then": (
        image(image_size=metric(20 * MB), findings=[finding(delta=9 * MB)], contributors=[contributor()]),
        "image_size +20.0 MB: +20.0 MB /opt/x (new, this change, line 3)",
    ),
    "one that holds more": (
        image(image_size=metric(20 * MB), findings=[finding(delta=10 * MB)], contributors=[contributor()]),
        "image_size +20.0 MB: +20.0 MB /opt/x (new, this change, line 3); "
        "apt-leftovers, 20.0 MB (Dockerfile:3): apt-leftovers says.",
    ),
    "growth before a finding of fewer bytes": (
        image(
            image_size=metric(20 * MB), contributors=[contributor(delta=13 * MB), contributor("/lists", 7 * MB, 9)],
            findings=[finding(size=7 * MB, message="apt leaves 7.00 MB behind `fill /opt/x 8`.")],
        ),
        "image_size +20.0 MB: +13.0 MB /opt/x (new, this change, line 3); "
        "apt-leftovers, 7.00 MB (Dockerfile:3): apt leaves 7.00 MB behind `fill /opt/x 8`.",
    ),
    "two of the same size": (
        image(image_size=metric(20 * MB), contributors=[contributor("/a", 10 * MB), contributor("/b", 10 * MB, 4)]),
        "image_size +20.0 MB: +10.0 MB /a (new, this change, line 3), +10.0 MB /b (new, this change, line 4)",
    ),
    "two of the same size by one line": (
        image(image_size=metric(20 * MB), contributors=[contributor("/a", 10 * MB), contributor("/b", 10 * MB)]),
        "image_size +20.0 MB: +20.0 MB in 2 parts by line 3, the largest +10.0 MB /a (new, this change, line 3)",
    ),
    "the peak, by the context's copy": (
        image(
            peak_disk={**metric(20 * MB), "composition": {
                "bases": 0, "kept_layers": 0, "cache_mounts": 0, "context_copy": 30 * MB, "temporary": 70 * MB,
            }},
            context_size={**metric(19 * MB), "message": "much; what changed: +19.0 MB raw (new)"},
            findings=[finding("temporary-peak", 25 * MB)],
        ),
        "peak_disk +20.0 MB: the build context, whose copy counts in it, is 19.0 MB larger: +19.0 MB raw (new)",
    ),
    "the peak, by a step and the context's copy of what it copied": (
        image(
            peak_disk={**metric(20 * MB), "composition": {
                "bases": 0, "kept_layers": 60 * MB, "cache_mounts": 0, "context_copy": 30 * MB, "temporary": 10 * MB,
            }},
            context_size={**metric(10 * MB), "message": "much; what changed: +10.0 MB raw (new)"},
        ).model_copy(update={"steps": [
            StepReport(name="[b 2/2] COPY a b", stage="b", line=3, start_ms=0, end_ms=9, located_by="provenance",
                       added=12 * MB)
        ]}),
        "peak_disk +20.0 MB: `COPY a b` in Dockerfile:3 keeps 12.0 MB; "
        "the build context, whose copy counts in it, is 10.0 MB larger: +10.0 MB raw (new)",
    ),
    "the peak, by what keeps more in its stage": (
        image(
            peak_disk={**metric(20 * MB), "message": "much; what changed: `RUN a` in Dockerfile:2 keeps 20.0 MB more"},
            contributors=[contributor(delta=2 * MB)],
        ),
        "peak_disk +20.0 MB: `RUN a` in Dockerfile:2 keeps 20.0 MB more",
    ),
    "a context that the peak has no copy of": (
        image(
            peak_disk={**metric(20 * MB), "composition": {
                "bases": 0, "kept_layers": 0, "cache_mounts": 0, "context_copy": MB, "temporary": 99 * MB,
            }},
            context_size=metric(19 * MB), findings=[finding("temporary-peak", 25 * MB)],
        ),
        "peak_disk +20.0 MB: temporary-peak, 25.0 MB (Dockerfile:3): temporary-peak says.",
    ),
    "inside a package": (
        image(
            image_size=metric(20 * MB),
            contributors=[contributor("torch 1").model_copy(
                update={"before": 1, "inside": [Inside(name="/torch/x.so", delta=15 * MB), Inside(name="/y", delta=MB)]}
            )],
        ),
        "image_size +20.0 MB: +20.0 MB torch 1 (this change, line 3, mostly in /torch/x.so)",
    ),
    "all over a package": (
        image(
            image_size=metric(20 * MB),
            contributors=[contributor("torch 1").model_copy(update={"inside": [Inside(name="/x", delta=9 * MB)]})],
        ),
        "image_size +20.0 MB: +20.0 MB torch 1 (new, this change, line 3)",
    ),
    "a package, and the finding about its step": (
        image(image_size=metric(20 * MB), findings=[finding()], contributors=[contributor("gcc 12")]),
        "image_size +20.0 MB: +20.0 MB gcc 12 (new, this change, line 3); "
        "apt-leftovers, 20.0 MB (Dockerfile:3): apt-leftovers says.",
    ),
    "a small finding is no reason": (
        image(image_size=metric(20 * MB), findings=[finding(size=2 * MB)], contributors=[contributor()]),
        "image_size +20.0 MB: +20.0 MB /opt/x (new, this change, line 3)",
    ),
    "the largest contributor": (
        image(
            image_size=metric(20 * MB), contributors=[contributor("torch 1 -> 2", 15 * MB), contributor("/y", 5 * MB)]
        ),
        "image_size +20.0 MB: +15.0 MB torch 1 -> 2 (new, this change, line 3)",
    ),
    "what only moved is no reason": (
        image(
            image_size=metric(3 * MB),
            contributors=[contributor("/srv/a", 8 * MB), contributor("/srv/b", 3 * MB), contributor("/app/a", -8 * MB)],
        ),
        "image_size +3.00 MB: +3.00 MB /srv/b (new, this change, line 3)",
    ),
    "nothing but what moved": (
        image(
            image_size=metric(3 * MB), contributors=[contributor("/srv/a", 8 * MB), contributor("/app/a", -8 * MB)]
        ),
        "image_size +3.00 MB: +8.00 MB /srv/a (new, this change, line 3)",
    ),
    "another base, in many parts": (
        image(
            image_size=metric(100 * MB),
            contributors=[
                *(contributor(f"p{number} 1", 12 * MB, 1) for number in range(5)), contributor("/y", 15 * MB, 4),
                contributor("other files", 25 * MB, None),
            ],
        ),
        "image_size +100 MB: +60.0 MB in 5 parts by line 1, the largest +12.0 MB p0 1 (new, this change, line 1)",
    ),
    "one file in pieces, a step each": (
        image(image_size=metric(20 * MB), contributors=[contributor(f"/x.{at}", 5 * MB, at) for at in range(2, 6)]),
        "image_size +20.0 MB: +5.00 MB /x.2 (new, this change, line 2), +5.00 MB /x.3 (new, this change, line 3), "
        "+10.0 MB in 2 more",
    ),
    "a finding about a hundredth of what a line brought": (
        image(
            image_size=metric(200 * MB), findings=[finding(size=3 * MB)],
            contributors=[contributor(f"p{number} 1", 5 * MB) for number in range(40)],
        ),
        "image_size +200 MB: +200 MB in 40 parts by line 3, the largest +5.00 MB p0 1 (new, this change, line 3)",
    ),
    "what shrank": (
        image(
            image_size=metric(-20 * MB, Verdict.PASS), verdict=Verdict.PASS, findings=[finding()],
            contributors=[contributor("/y", 5 * MB), contributor("/x", -25 * MB)],
        ),
        "image_size -20.0 MB: -25.0 MB /x (gone, this change, line 3)",
    ),
    "without an inventory the finding that can be it": (
        image(image_size=metric(20 * MB), findings=[finding()]),
        "image_size +20.0 MB: apt-leftovers, 20.0 MB (Dockerfile:3): apt-leftovers says.",
    ),
    "the peak alone": (
        image(peak_disk=metric(20 * MB), findings=[finding(), finding("temporary-peak", 25 * MB, 7)]),
        "peak_disk +20.0 MB: temporary-peak, 25.0 MB (Dockerfile:7): temporary-peak says.",
    ),
    "the peak, and nothing about it": (image(peak_disk=metric(20 * MB), findings=[finding()]), None),
    "layers": (
        image(layers={**metric(2, value=5)}, findings=[finding(), finding("mergeable-steps", 0, 2, severity="note")]),
        "layers +2: mergeable-steps (Dockerfile:2): mergeable-steps says.",
    ),
    "the context": (
        image(context_size=metric(9 * MB), findings=[finding("context-ballast", 9 * MB, None, file=".dockerignore")]),
        "context_size +9.00 MB: context-ballast, 9.00 MB: context-ballast says.",
    ),
    "the context, whose ballast was there before": (
        image(
            context_size={**metric(9 * MB), "message": "too much; what changed: +9.00 MB src/x (new)"},
            findings=[finding("context-ballast", 9 * MB, None, file=".dockerignore", delta=0)],
        ),
        "context_size +9.00 MB: +9.00 MB src/x (new)",
    ),
    "which layers came, before the advice": (
        image(
            layers={**metric(1, value=5), "message": "too many; what changed: line 4 brings one (`COPY x /x`)"},
            findings=[finding("mergeable-steps", 0, 2, severity="note", delta=0)],
        ),
        "layers +1: line 4 brings one (`COPY x /x`); mergeable-steps (Dockerfile:2): mergeable-steps says.",
    ),
    "what is less than a block comes last": (
        image(
            context_size=metric(10),
            layers={**metric(1, value=5), "message": "m; what changed: line 4 brings one (`C`)"},
        ),
        "layers +1: line 4 brings one (`C`)",
    ),
    "failing before what only rose": (
        image(
            image_size=metric(20 * MB, Verdict.PASS), context_size=metric(9 * MB), contributors=[contributor()],
            findings=[finding("context-ballast", 9 * MB, None)],
        ),
        "context_size +9.00 MB: context-ballast, 9.00 MB: context-ballast says.",
    ),
    "over a budget without a baseline": (
        image(image_size=metric(None), findings=[finding()]),
        "image_size is 100 MB; the largest finding: apt-leftovers, 20.0 MB (Dockerfile:3): apt-leftovers says.",
    ),
    "nothing to compare with": (
        image(image_size=metric(None, Verdict.NO_BASELINE), verdict=Verdict.NO_BASELINE, findings=[finding()]),
        "the largest finding: apt-leftovers, 20.0 MB (Dockerfile:3): apt-leftovers says.",
    ),
    "nothing to compare with, and only notes": (
        image(verdict=Verdict.NO_BASELINE, findings=[finding(severity="note")]), None
    ),
    "nothing changed": (image(image_size=metric(0, Verdict.PASS), verdict=Verdict.PASS, findings=[finding()]), None),
    "within the tolerance": (
        image(image_size=metric(MB // 2, Verdict.PASS), verdict=Verdict.PASS, contributors=[contributor()]), None
    ),
    "a failure speaks for itself": (
        image(image_size=metric(20 * MB), findings=[finding()], failure=Failure(kind="build", message="no")), None
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_line(name: str) -> None:
    given, line = CASES[name]
    assert headline(given) == line


def built(**more: Any) -> Contributor:
    """What a COPY in line 9 brings of what the stage builder made in line 5."""
    cause = {"stage": "builder", "line": 5, "command": "RUN", "change": "changed", "delta": 20 * MB, **more}
    return contributor(line=9).model_copy(update={"cause": Cause.model_validate(cause)})


MAKE = StepReport(name="[builder 3/4] RUN make all", stage="builder", line=5, start_ms=0, end_ms=9)
COPIED = "+20.0 MB /opt/x (new, this change, line 9, by line 5 of builder)"


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (built(), f"`RUN make all` in Dockerfile:5 (stage builder) changed and keeps 20.0 MB more: {COPIED}"),
        (built(change="grew"), f"`RUN make all` in Dockerfile:5 (stage builder) keeps 20.0 MB more: {COPIED}"),
        (built(change="new"), f"`RUN make all` in Dockerfile:5 (stage builder) is new and keeps 20.0 MB: {COPIED}"),
        (
            built(command="ARG", line=4, change="given", delta=None),
            "the ARG in Dockerfile:4 (stage builder) has another value: "
            "+20.0 MB /opt/x (new, this change, line 9, by line 4 of builder)",
        ),
        (
            built(command="FROM", line=2, change="given", delta=20 * MB),
            "the FROM in Dockerfile:2 (stage builder) names another image and brings 20.0 MB more: "
            "+20.0 MB /opt/x (new, this change, line 9, by line 2 of builder)",
        ),
        (
            built(line=None, after=4, change="gone", delta=None),
            "a RUN behind Dockerfile:4 (stage builder) is gone: "
            "+20.0 MB /opt/x (new, this change, line 9, by a RUN of builder that is gone)",
        ),
        (
            contributor(line=9).model_copy(update={"changed_line": 4}),
            "+20.0 MB /opt/x (new, this change, line 9, after a change in line 4)",
        ),
        (
            contributor(line=9).model_copy(
                update={"changed": Cause(stage="app", line=None, command="ENV", change="gone", after=7)}
            ),
            "+20.0 MB /opt/x (new, this change, line 9, after an ENV behind line 7 of app went)",
        ),
    ],
)
def test_the_instruction_that_is_behind_it(found: Contributor, line: str) -> None:
    given = image(image_size=metric(20 * MB), contributors=[found]).model_copy(update={"steps": [MAKE]})
    assert headline(given) == f"image_size +20.0 MB: {line}"


def test_it_stands_before_a_finding() -> None:
    given = image(image_size=metric(20 * MB), contributors=[built()], findings=[finding(line=9)])
    assert headline(given.model_copy(update={"steps": [MAKE]})) == (
        "image_size +20.0 MB: `RUN make all` in Dockerfile:5 (stage builder) changed and keeps 20.0 MB more: "
        "apt-leftovers, 20.0 MB (Dockerfile:9): apt-leftovers says."
    )


def test_the_annotation_stands_at_its_line() -> None:
    grown = {**metric(20 * MB), "gated": True}
    given = image(image_size=grown, contributors=[built(), contributor("/y", 15 * MB, 9)])
    report = mixed_report().model_copy(update={"images": [given]})
    assert [one.line for one in gate_remarks(report)] == [5]


def test_a_peak_that_is_not_in_the_image_is_told_by_its_step() -> None:
    step = StepReport(
        name="[b 2/2] RUN make", stage="b", line=3, start_ms=0, end_ms=9, located_by="provenance", at_peak=True,
        added=MB, wrote=20 * MB, gave_back=19 * MB,
    )  # fmt: skip
    told = "at the peak ran `RUN make` in Dockerfile:3: wrote 20.0 MB, kept 1.00 MB, gave back 19.0 MB"
    for contributors in ([], [contributor("/y", MB)]):
        given = image(peak_disk=metric(20 * MB), contributors=contributors).model_copy(update={"steps": [step]})
        assert headline(given) == f"peak_disk +20.0 MB: {told}"
    grown = image(peak_disk=metric(20 * MB), contributors=[contributor()]).model_copy(update={"steps": [step]})
    assert headline(grown) == "peak_disk +20.0 MB: +20.0 MB /opt/x (new, this change, line 3)"


@pytest.mark.parametrize(("added", "told"), [(15 * MB, True), (40 * MB, True), (9 * MB, False), (50 * MB, False)])
def test_a_peak_that_no_step_runs_at_is_told_by_what_a_step_keeps(added: int, told: bool) -> None:
    step = StepReport(
        name="[b 2/2] RUN make", stage="b", line=3, start_ms=0, end_ms=9, located_by="provenance", added=added
    )
    given = image(peak_disk=metric(20 * MB)).model_copy(update={"steps": [step]})
    assert headline(given) == (
        f"peak_disk +20.0 MB: `RUN make` in Dockerfile:3 keeps {added / MB:.1f} MB" if told else None
    )


def test_it_stands_right_under_the_verdict() -> None:
    given = CASES["the largest contributor"][0].model_copy(update={"name": "web"})
    report = mixed_report().model_copy(update={"images": [given], "limits_changed": [], "notes": []})
    line = "image_size +20.0 MB: +15.0 MB torch 1 -> 2 (new, this change, line 3)"
    assert render_text(report, width=200).splitlines()[:2] == ["web: fail", f"  why: {line}"]
    head, blank, why = render_markdown(report).splitlines()[:3]
    assert (head, blank) == ("## ❌ fail: ci-budget (exit 1)", "")
    assert why == f"**Why** `web`: {line.replace('>', '&#62;')}"


def test_hostile_text_stays_text() -> None:
    given = image(image_size=metric(20 * MB), contributors=[contributor(HOSTILE)])
    report = mixed_report().model_copy(update={"images": [given]})
    assert "<img" not in render_markdown(report)
    assert "\x1b" not in render_text(report)


def test_the_planted_causes_are_many_and_differ() -> None:
    pairs = read_pairs()
    assert len(pairs) >= 20
    assert len({pair.name for pair in pairs}) == len(pairs)
    assert all(pair.names and (pair.good != pair.bad or pair.more or pair.packages or pair.grows) for pair in pairs)


def test_every_metric_without_numbers_is_passed_over() -> None:
    lost = Metric(value=None, unit="bytes", verdict=Verdict.NOT_MEASURED)
    assert headline(image().model_copy(update={"metrics": Metrics(image_size=lost)})) is None
