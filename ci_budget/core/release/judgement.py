"""The release gate: a candidate in a registry, the reports of what was measured, the last release; a decision out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ci_budget import __version__
from ci_budget.core.config.amounts import OFF
from ci_budget.core.config.model import Config
from ci_budget.core.gate.approvals import Ruling
from ci_budget.core.gate.image_limits import ImageLimits, MetricLimits
from ci_budget.core.gate.judgement import GateOptions, judge_image
from ci_budget.core.records.baseline import BaselineEntry
from ci_budget.core.records.report import GATED_BY_BASELINE, METRIC_NAMES, ImageReport, Metric, Verdict
from ci_budget.core.release.facts import LastRelease, ReleasedImage, ReleaseFacts, UsedReport
from ci_budget.core.stages.platforms import fits
from ci_budget.core.text.units import Tolerance
from ci_budget.errors import ExitCode, worst

_SHOWN = 4


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One image of the candidate, as the registry has it. `compressed`: bytes of its layers as they are stored."""

    platform: str
    manifest_digest: str
    image_id: str
    compressed: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """An image of a report, and which of the reports it is in, from 0."""

    report: int
    image: ImageReport


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """The last release of one image. `metrics`: those that it is known by; what of them is missing has not passed."""

    name: str | None
    entry: BaselineEntry
    metrics: tuple[str, ...] = GATED_BY_BASELINE


@dataclass(frozen=True, kw_only=True)
class ReleaseQuestion:
    """All that a decision needs. `last` and `earlier`: nothing where no last release was named."""

    candidate: str
    digest: str
    images: Sequence[Candidate]
    reports: Sequence[UsedReport]
    measured: Sequence[Measured]
    last: LastRelease | None = None
    earlier: Sequence[Earlier] = ()


def find_measured(candidate: Candidate, measured: Sequence[Measured]) -> Measured | None:
    """The measurement of exactly this image; one that passed where there are several."""
    same = [one for one in measured if one.image.image_id == candidate.image_id]
    return min(same, key=lambda one: _refusal(one.image) is not None, default=None)


def decide(question: ReleaseQuestion, config: Config, rulings: dict[str, Ruling], *, checked: str) -> ReleaseFacts:
    """The decision. `rulings`: the approvals by image; `checked`: ISO 8601, UTC.

    Every image of the candidate must be the very one that a passed report measured, and within the release budgets
    and the last release's values plus tolerance. Raises KeyError for an image that the config does not have.
    """
    images = [_decide_one(candidate, question, config, rulings) for candidate in question.images]
    code = worst([ExitCode(image.exit_code) for image in images])
    order = (Verdict.FAIL, Verdict.NOT_MEASURED, Verdict.INCOMPARABLE, Verdict.NO_BASELINE)
    if code == ExitCode.OK:
        order = (Verdict.WARN, Verdict.PASS, Verdict.NO_BASELINE, Verdict.DISABLED)
    found = {image.verdict for image in images}
    notes = []
    if question.last is None:
        notes.append("no last release was named, so the candidate was compared with none")
    return ReleaseFacts(
        ci_budget=__version__,
        verdict=next((verdict for verdict in order if verdict in found), Verdict.NOT_MEASURED),
        exit_code=int(code),
        checked=checked,
        candidate=question.candidate,
        digest=question.digest,
        reports=list(question.reports),
        last=question.last,
        images=images,
        notes=notes,
    )


def _decide_one(
    candidate: Candidate, question: ReleaseQuestion, config: Config, rulings: dict[str, Ruling]
) -> ReleasedImage:
    measured = find_measured(candidate, question.measured)
    if measured is None:
        return _refused(candidate, None, _never_measured(question.measured))
    reason = _refusal(measured.image)
    if reason is not None:
        return _refused(candidate, measured, reason)
    name = measured.image.name
    compressed = Metric(value=candidate.compressed, unit="bytes")
    image = measured.image.model_copy(
        update={
            "metrics": measured.image.metrics.model_copy(update={"compressed_size": compressed}),
            "stages": [],
            "notes": [],
        }
    )
    notes = []
    earlier = _earlier(measured.image, question.earlier)
    if question.last is not None and earlier is None:
        notes.append(f"the last release has no image for {candidate.platform or 'this platform'} to compare it with")
    judged = judge_image(
        image,
        limits=_limits(config, name, earlier),
        baselines=[] if earlier is None else [earlier.entry],
        options=GateOptions(
            other_revision=question.last.reference if question.last is not None and earlier is not None else None,
            without_baselines=True,
        ),
        ruling=rulings.get(name),
    )
    return ReleasedImage(
        platform=candidate.platform,
        manifest_digest=candidate.manifest_digest,
        image_id=candidate.image_id,
        name=name,
        report=measured.report,
        verdict=judged.verdict,
        exit_code=judged.exit_code,
        metrics=judged.metrics,
        approvals=judged.approvals,
        notes=[*notes, *judged.notes],
    )


def _earlier(image: ImageReport, earlier: Sequence[Earlier]) -> Earlier | None:
    """The last release of this image for its platform, with the platform written as the report writes it."""
    if image.fingerprint is None:
        return None
    platform = image.fingerprint.platform
    for one in earlier:
        if one.name in (None, image.name) and fits(one.entry.fingerprint.platform, platform):
            fingerprint = one.entry.fingerprint.model_copy(update={"platform": platform})
            return replace(one, entry=one.entry.model_copy(update={"fingerprint": fingerprint}))
    return None


def _limits(config: Config, name: str, earlier: Earlier | None) -> ImageLimits:
    """The release budgets; and the config's tolerances for what the last release is known by."""
    budgets = config.release.budgets.get(name)
    compared = earlier.metrics if earlier is not None else ()
    found = {}
    for metric in METRIC_NAMES:
        budget = budgets.of(metric) if budgets is not None else None
        tolerance = config.tolerance_of(name, metric) if metric in compared else None
        found[metric] = MetricLimits(
            budget=None if budget == OFF else budget,
            tolerance=tolerance if isinstance(tolerance, Tolerance) else None,
            warn_at=config.warn_share_of(name),
            disabled=budget == OFF,
        )
    return ImageLimits(metrics=found)


def _refusal(image: ImageReport) -> str | None:
    """Why a report's image may not be released although it is the very image; None where it may."""
    if image.disk is None:
        return f"{image.name} was not built by the run that reports it (--no-build), so its build was not measured"
    if image.failure is not None or image.exit_code != ExitCode.OK:
        return f"{image.name} did not pass: its report says {image.verdict.value}, exit {image.exit_code}"
    if image.fingerprint is None or image.fingerprint.cache == "warm":
        return f"{image.name} was checked with a warm cache (--warm), so the peak of its build was not measured"
    return None


def _never_measured(measured: Sequence[Measured]) -> str:
    known = [f"{one.image.name} {one.image.image_id}" for one in measured if one.image.image_id is not None]
    more = f", and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    what = f"measured were: {', '.join(known[:_SHOWN])}{more}" if known else "the reports measured no image"
    return f"no report measured this image; it was rebuilt, or is another one; {what}"


def _refused(candidate: Candidate, measured: Measured | None, reason: str) -> ReleasedImage:
    return ReleasedImage(
        platform=candidate.platform,
        manifest_digest=candidate.manifest_digest,
        image_id=candidate.image_id,
        name=measured.image.name if measured is not None else None,
        report=measured.report if measured is not None else None,
        verdict=Verdict.FAIL,
        exit_code=int(ExitCode.GATE),
        refused=reason,
    )
