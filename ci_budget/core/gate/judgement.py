"""The gate: measured images in, judged images and the run's one exit code out (design: verdicts and exit codes)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ci_budget import __version__
from ci_budget.core.gate.approvals import Ruling, describe
from ci_budget.core.gate.drift import describe_drift
from ci_budget.core.gate.image_limits import ImageLimits, MetricLimits
from ci_budget.core.gate.metric_verdict import Question, judge_metric
from ci_budget.core.records.baseline import BaselineEntry, find_entry
from ci_budget.core.records.report import (
    METRIC_NAMES,
    STAGE_METRIC_NAMES,
    ContextMetric,
    Failure,
    ImageReport,
    LayersMetric,
    LimitChange,
    Metric,
    Metrics,
    OtherRevision,
    PeakMetric,
    Report,
    StageReport,
    Verdict,
    metric_unit,
)
from ci_budget.errors import ExitCode, worst

_FAILURE_CODES = {
    "ceiling": ExitCode.GATE,
    "smoke": ExitCode.GATE,
    "build": ExitCode.BUILD,
    "timeout": ExitCode.BUILD,
    "environment": ExitCode.UNMEASURED,
}
_TOLD_BY_REGISTRIES = ("image_size", "layers", "compressed_size", "wasted_bytes")
_NO_MANIFEST = "only a registry tells it: gate it by release.budgets, or by a run with --no-build"
_UNMEASURED_ORDER = (Verdict.NOT_MEASURED, Verdict.INCOMPARABLE, Verdict.NO_BASELINE)
_HARMLESS_ORDER = (Verdict.WARN, Verdict.PASS, Verdict.NO_BASELINE, Verdict.DISABLED)


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """What the command line adds to the limits.

    `fail_on` "warn": a warning exits 1. `exit_zero`: a 1, and nothing else, becomes 0. `warm`: a cache was
    reused, so only the metrics of `gate_warm` are gated. `require_baseline`: on top of the config's own.
    `without_baselines`: `--baseline none`, a run that records a setup; then none is required. `other_revision`: what
    stands in the place of a baseline, for messages; a value that it lacks is then missing, not passed. `unbuilt`: what
    only a build tells is gated by budgets alone.
    """

    fail_on: Literal["fail", "warn"] = "fail"
    require_baseline: bool = False
    exit_zero: bool = False
    warm: bool = False
    without_baselines: bool = False
    other_revision: str | None = None
    unbuilt: bool = False


def judge_image(
    measured: ImageReport,
    *,
    limits: ImageLimits,
    baselines: Sequence[BaselineEntry],
    options: GateOptions,
    ruling: Ruling | None = None,
) -> ImageReport:
    """The image with a verdict on every metric, every reached stage, and on itself.

    `measured` carries values, and reasons in `message` where there is no value; its own verdict and exit
    code are ignored. `baselines` are the image's entries, `ruling` what was approved for it.
    """
    judge = _Judge(measured=measured, limits=limits, baselines=baselines, options=options)
    judged = measured.model_copy(
        update={
            "metrics": judge.metrics(),
            "stages": [judge.stage(stage) for stage in measured.stages],
            "new": measured.new or limits.new,
            "notes": [*measured.notes, *judge.notes()],
        }
    )
    if ruling is not None:
        judged = rule(judged, ruling)
    code = worst(exit_codes(judged, options))
    return judged.model_copy(update={"verdict": _image_verdict(judged, code), "exit_code": int(code)})


def rule(judged: ImageReport, ruling: Ruling) -> ImageReport:
    """The judged image with what was approved for it."""
    own = {name: ruling.approve(name, metric) for name, metric in judged.metrics.named()}
    stages = []
    for stage in judged.stages:
        held = {name: ruling.approve(name, metric, is_stage=True) for name, metric in stage.metrics.items()}
        stages.append(stage.model_copy(update={"metrics": held, "verdict": _verdict_of(held.values())} if held else {}))
    ruled = judged.model_copy(update={"metrics": judged.metrics.model_copy(update=own), "stages": stages})
    outcome = ruling.outcome(judged, ruled)
    notes = [*judged.notes, *(said for approval in outcome if (said := describe(approval)))]
    return ruled.model_copy(update={"approvals": outcome, "notes": notes})


def judge_run(
    images: Sequence[ImageReport],
    *,
    started: str,
    commit: str | None,
    options: GateOptions,
    limits_changed: Sequence[LimitChange] = (),
    notes: Sequence[str] = (),
    against: OtherRevision | None = None,
) -> Report:
    """One verdict and one exit code from judged images. No image at all is exit 3, never a pass.

    `started`: ISO 8601, UTC. The verdict says what the gate found even where `exit_zero` makes the code 0.
    """
    codes = [code for image in images for code in {*exit_codes(image, options), ExitCode(image.exit_code)}]
    found = worst(codes)
    returned = [ExitCode.OK if options.exit_zero and code == ExitCode.GATE else code for code in codes]
    return Report(
        ci_budget=__version__,
        verdict=run_verdict(images, found),
        exit_code=int(worst(returned)),
        commit=commit,
        against=against,
        started=started,
        images=list(images),
        limits_changed=list(limits_changed),
        notes=[*notes, *([] if images else ["no image was checked, so nothing is known"])],
    )


def exit_codes(image: ImageReport, options: GateOptions) -> list[ExitCode]:
    """What each gated part of a judged image calls for; never empty.

    All of them are kept because `exit_zero` must not turn a failed build or a missing measurement into 0
    only because a budget was broken as well. What is missing because the build hit the ceiling is no 3 of its own.
    """
    at_ceiling = image.failure is not None and image.failure.kind == "ceiling"
    judged = [metric for metric in _all_metrics(image) if metric.value is not None or not at_ceiling]
    codes = [_metric_code(metric, options) for metric in judged]
    if image.failure is not None:
        codes.append(_FAILURE_CODES[image.failure.kind])
    if image.smoke is not None and not image.smoke.passed:
        codes.append(ExitCode.GATE)
    if all(metric.value is None for metric in _all_metrics(image)) and image.failure is None:
        codes.append(ExitCode.UNMEASURED)
    return codes or [ExitCode.UNMEASURED]


@dataclass(frozen=True, kw_only=True)
class _Judge:
    measured: ImageReport
    limits: ImageLimits
    baselines: Sequence[BaselineEntry]
    options: GateOptions

    def metrics(self) -> Metrics:
        return self.measured.metrics.model_copy(update={name: self._image_metric(name) for name in METRIC_NAMES})

    def stage(self, stage: StageReport) -> StageReport:
        if not stage.reached:
            return stage
        limits = self.limits.of_stage(stage.name, stage.index)
        judged = {}
        for name in STAGE_METRIC_NAMES:
            question = self._question(name, stage=stage.name, limits=limits.get(name, MetricLimits()))
            metric = stage.metrics.get(name)
            if metric is not None or question.gated:
                judged[name] = judge_metric(metric or Metric(unit=metric_unit(name)), question)
        return stage.model_copy(update={"metrics": judged, "verdict": _verdict_of(judged.values())})

    def notes(self) -> list[str]:
        return [*self._stage_notes(), *describe_drift(self.measured, self.baselines)]

    def _image_metric(self, name: str) -> Metric | None:
        options = self.options
        required = (options.require_baseline or self.limits.require_baseline) and not options.without_baselines
        required = required or options.other_revision is not None
        question = self._question(name, limits=self.limits.of(name), required=required)
        metric: Metric | None = getattr(self.measured.metrics, name)
        if metric is None and not question.gated:
            return None
        return judge_metric(metric or _absent(name), question)

    def _question(
        self, name: str, *, limits: MetricLimits, stage: str | None = None, required: bool = False
    ) -> Question:
        fingerprint = self.measured.fingerprint
        reported_only = None
        if self.options.unbuilt and limits.budget is None and (stage is not None or name not in _TOLD_BY_REGISTRIES):
            reported_only = "nothing was built"
        if self._warm and name not in self.limits.gate_warm:
            reported_only = "this run reused a cache, and gate_warm does not name it"
        return Question(
            name=name,
            limits=limits,
            match=find_entry(self.baselines, fingerprint, name, stage),
            fingerprint=fingerprint,
            required=required,
            reported_only=reported_only,
            reason=_missing_reason(self.measured.failure),
            other_revision=self.options.other_revision,
        )

    @property
    def _warm(self) -> bool:
        fingerprint = self.measured.fingerprint
        return self.options.warm or (fingerprint is not None and fingerprint.cache == "warm")

    def _stage_notes(self) -> list[str]:
        stages = self.measured.stages
        if not stages:
            return []
        known = {key for stage in stages for key in (stage.name.lower(), str(stage.index), f"stage-{stage.index}")}
        notes = [
            f"the stage '{name}' has limits and is not in the Dockerfile: they could not be applied"
            for name in self.limits.stages
            if name not in known
        ]
        unreached = [stage for stage in stages if not stage.reached]
        return notes + [
            f"the stage '{stage.name}' has budgets and the target never reaches it: they could not be applied"
            for stage in unreached
            if any(held.budget is not None for held in self.limits.of_stage(stage.name, stage.index).values())
        ]


def _absent(name: str) -> Metric:
    types: dict[str, type[Metric]] = {"peak_disk": PeakMetric, "layers": LayersMetric, "context_size": ContextMetric}
    message = _NO_MANIFEST if name == "compressed_size" else ""
    return types.get(name, Metric)(unit=metric_unit(name), message=message)


def _missing_reason(failure: Failure | None) -> str:
    if failure is None:
        return "this run gave no value"
    return {
        "ceiling": "the build hit the ceiling before it was done",
        "build": "the build failed",
        "timeout": "the build ran out of its time",
        "smoke": "the smoke test failed",
        "environment": "the environment did not allow it",
    }[failure.kind]


def _all_metrics(image: ImageReport) -> list[Metric]:
    own = [metric for _, metric in image.metrics.named()]
    return own + [metric for stage in image.stages if stage.reached for metric in stage.metrics.values()]


def _metric_code(metric: Metric, options: GateOptions) -> ExitCode:
    if not metric.gated:
        return ExitCode.OK
    if metric.verdict == Verdict.FAIL or (metric.verdict == Verdict.WARN and options.fail_on == "warn"):
        return ExitCode.GATE
    return ExitCode.UNMEASURED if metric.verdict in _UNMEASURED_ORDER else ExitCode.OK


def _verdict_of(metrics: Iterable[Metric]) -> Verdict:
    """The worst verdict among metrics; those that are not gated count only where none is."""
    judged = list(metrics)
    gated = {metric.verdict for metric in judged if metric.gated}
    for verdict in (Verdict.FAIL, *_UNMEASURED_ORDER, *_HARMLESS_ORDER):
        if verdict in gated:
            return verdict
    reported = {metric.verdict for metric in judged}
    order = (*_HARMLESS_ORDER, Verdict.NOT_MEASURED)
    return next((verdict for verdict in order if verdict in reported), Verdict.NO_BASELINE)


def _image_verdict(image: ImageReport, code: ExitCode) -> Verdict:
    if code == ExitCode.GATE:
        return Verdict.FAIL
    if code == ExitCode.BUILD:
        return Verdict.BUILD_FAILED
    judged = _all_metrics(image)
    if code == ExitCode.UNMEASURED:
        missing = {metric.verdict for metric in judged if metric.gated} if image.failure is None else set()
        return next((verdict for verdict in _UNMEASURED_ORDER if verdict in missing), Verdict.NOT_MEASURED)
    return _verdict_of(judged)


def run_verdict(images: Sequence[ImageReport], code: ExitCode) -> Verdict:
    """The verdict of several images whose worst code is this one."""
    if code == ExitCode.GATE:
        return Verdict.FAIL
    if code == ExitCode.BUILD:
        return Verdict.BUILD_FAILED
    verdicts = {image.verdict for image in images}
    order = _HARMLESS_ORDER if code == ExitCode.OK else _UNMEASURED_ORDER
    return next((verdict for verdict in order if verdict in verdicts), Verdict.NOT_MEASURED)
