"""What the gate says of one number: the verdict, the lowest limit, and a message with every number in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from ci_budget.core.gate.fingerprint import describe_differences
from ci_budget.core.gate.image_limits import MetricLimits
from ci_budget.core.records.baseline import BaselineMatch
from ci_budget.core.records.report import GATED_BY_BASELINE, Fingerprint, Metric, PeakMetric, Verdict
from ci_budget.core.text.units import format_distinct, format_value

ACCEPT = "`ci-budget baseline update`"
RECORD = "`ci-budget check --baseline none`, then `ci-budget baseline update`"

MetricType = TypeVar("MetricType", bound=Metric)


@dataclass(frozen=True, kw_only=True)
class Question:
    """A measured metric and all that it is judged by.

    `reported_only`: why it is not gated in this run although it has limits (a warm run). `required`: a
    baseline must exist. `reason`: why the value may be missing, where the metric itself does not say.
    `other_revision`: what was built in the place of a baseline.
    """

    name: str
    limits: MetricLimits
    match: BaselineMatch | None
    fingerprint: Fingerprint | None
    required: bool = False
    reported_only: str | None = None
    reason: str = "no value was measured"
    other_revision: str | None = None

    @property
    def baselined(self) -> bool:
        """Whether a baseline, comparable or not, gates this metric."""
        return self.name in GATED_BY_BASELINE and self.match is not None and self.limits.tolerance is not None

    @property
    def lacks_baseline(self) -> bool:
        """Whether a baseline is required and there is none."""
        compared = self.name in GATED_BY_BASELINE and self.limits.tolerance is not None
        return self.required and compared and self.match is None

    @property
    def gated(self) -> bool:
        """Whether the verdict counts for the exit code."""
        return self.limits.budget is not None or self.baselined or self.lacks_baseline


def judge_metric(metric: MetricType, question: Question) -> MetricType:
    """The metric with its limits, its verdict and its message. Values above a limit fail; equal ones pass."""
    held = _Held.of(metric, question)
    verdict, gated = _decide(held)
    return metric.model_copy(
        update={
            "baseline": held.baseline,
            "budget": held.budget,
            "tolerance": held.allowance,
            "limit": held.limit,
            "delta": None if metric.value is None or held.baseline is None else metric.value - held.baseline,
            "verdict": verdict,
            "gated": gated,
            "message": _message(held, verdict),
        }
    )


@dataclass(frozen=True, kw_only=True)
class _Held:
    """The numbers side by side. `ceiling` is baseline + allowance; None where the baseline does not gate."""

    metric: Metric
    question: Question
    budget: int | None
    baseline: int | None
    allowance: int | None
    ceiling: int | None

    @classmethod
    def of(cls, metric: Metric, question: Question) -> _Held:
        limits, match = question.limits, question.match
        baseline = match.value if match is not None and not match.differs else None
        allowance = ceiling = None
        if baseline is not None and question.baselined and limits.tolerance is not None and not limits.disabled:
            allowance = limits.tolerance.allowance(baseline)
            ceiling = baseline + allowance
        budget = None if limits.disabled else limits.budget
        return cls(
            metric=metric, question=question, budget=budget, baseline=baseline, allowance=allowance, ceiling=ceiling
        )

    @property
    def limit(self) -> int | None:
        return min((limit for limit in (self.budget, self.ceiling) if limit is not None), default=None)

    @property
    def touched_ceiling(self) -> bool:
        return isinstance(self.metric, PeakMetric) and self.metric.at_least

    @property
    def over_budget(self) -> bool:
        return _over(self.metric.value, self.budget)

    @property
    def over_baseline(self) -> bool:
        return _over(self.metric.value, self.ceiling)

    @property
    def incomparable(self) -> bool:
        return self.question.baselined and self.question.match is not None and bool(self.question.match.differs)

    @property
    def warnings(self) -> list[tuple[int, str]]:
        """Each warning level that is reached: the level in the metric's unit, and what it is a share of."""
        share, value = self.question.limits.warn_at, self.metric.value
        if share is None or value is None:
            return []
        reached = []
        if self.budget is not None and (level := int(self.budget * share / 100)) <= value:
            reached.append((level, "budget"))
        if self.ceiling is not None and self.baseline is not None and self.allowance:
            level = self.baseline + int(self.allowance * share / 100)
            if level <= value and value > self.baseline:
                reached.append((level, "tolerance"))
        return reached

    def text(self, *values: int | None) -> list[str]:
        """The values as a person reads them, in bytes where any two of this metric's numbers would look alike."""
        peers = (self.metric.value, self.budget, self.baseline, self.ceiling, *values)
        numbers = [value for value in peers if value is not None]
        shown = dict(zip(numbers, format_distinct(numbers, self.metric.unit), strict=True))
        return [shown[value] for value in values if value is not None]


def _decide(held: _Held) -> tuple[Verdict, bool]:
    question, value = held.question, held.metric.value
    if held.touched_ceiling:
        return Verdict.FAIL, True
    if question.limits.disabled:
        return Verdict.DISABLED, False
    if question.reported_only is not None:
        return (Verdict.NOT_MEASURED if value is None else Verdict.DISABLED), False
    if value is None:
        return Verdict.NOT_MEASURED, question.gated
    if held.over_budget or held.over_baseline:
        return Verdict.FAIL, True
    if held.incomparable:
        return Verdict.INCOMPARABLE, True
    if question.lacks_baseline or not question.gated:
        return Verdict.NO_BASELINE, question.gated
    return (Verdict.WARN if held.warnings else Verdict.PASS), True


def _message(held: _Held, verdict: Verdict) -> str:
    value, question = held.metric.value, held.question
    if held.touched_ceiling:
        return _ceiling_message(held)
    if value is None:
        reason = held.metric.message or question.reason
        return "; ".join([f"not measured: {reason}", *_limits_said(held)])
    (now,) = held.text(value)
    if verdict == Verdict.DISABLED:
        why = question.reported_only or "switched off in the config"
        return f"{now}, not gated: {why}"
    if verdict == Verdict.NO_BASELINE:
        return _no_baseline_message(held, now)
    if verdict == Verdict.FAIL:
        said = [f"{now} is {' and '.join(_broken(held))}", *_holding(held)]
        return "; ".join(said + _incomparable_said(held))
    if verdict == Verdict.INCOMPARABLE:
        return "; ".join([now, *_holding(held), *_incomparable_said(held), f"record one for this setup: {RECORD}"])
    if verdict == Verdict.WARN:
        said = [
            f"{now} is at or above {held.text(level)[0]}, {question.limits.warn_at:f} % of the {what}"
            for level, what in held.warnings
        ]
        return "; ".join([*said, *_limits_said(held), *_upper_bound_said(held)])
    within = f"{now}, within {' and '.join(_limits_said(held))}"
    return "; ".join([within, *_better_said(held), *_upper_bound_said(held)])


def _ceiling_message(held: _Held) -> str:
    value = held.metric.value
    at_least = f"at least {format_value(value, held.metric.unit)}: " if value is not None else ""
    what = held.metric.message or "the build used up its disk"
    return "; ".join([f"{at_least}{what} and hit the ceiling", *_limits_said(held)])


def _no_baseline_message(held: _Held, now: str) -> str:
    question = held.question
    if question.lacks_baseline and question.other_revision is not None:
        return "; ".join([now, *_holding(held), f"{question.other_revision} has no value to compare it with"])
    if question.lacks_baseline:
        return "; ".join([now, *_holding(held), f"a baseline is required and missing, record it: {RECORD}"])
    if question.name in GATED_BY_BASELINE and question.limits.tolerance is not None:
        return f"{now}, no budget and no baseline yet; record one with {ACCEPT}"
    return f"{now}, no budget"


def _limits_said(held: _Held) -> list[str]:
    said = []
    if held.budget is not None:
        said.append(f"the budget of {held.text(held.budget)[0]}")
    if held.ceiling is not None:
        said.append(_ceiling_said(held))
    return said


def _ceiling_said(held: _Held) -> str:
    ceiling, baseline = held.text(held.ceiling, held.baseline)
    other = held.question.other_revision
    if not held.allowance:
        return f"the baseline of {baseline}" if other is None else f"the {baseline} of {other}"
    limit = f"the baseline's limit of {ceiling}" if other is None else f"the limit of {ceiling} by {other}"
    return f"{limit} ({baseline} + {format_value(held.allowance, held.metric.unit)})"


def _broken(held: _Held) -> list[str]:
    value, unit = held.metric.value or 0, held.metric.unit
    said = []
    if held.over_budget and held.budget is not None:
        said.append(f"{format_value(value - held.budget, unit)} over the budget of {held.text(held.budget)[0]}")
    if held.over_baseline and held.ceiling is not None:
        said.append(f"{format_value(value - held.ceiling, unit)} over {_ceiling_said(held)}")
    return said


def _holding(held: _Held) -> list[str]:
    said = []
    if held.budget is not None and not held.over_budget:
        said.append(f"the budget of {held.text(held.budget)[0]} holds")
    if held.ceiling is not None and not held.over_baseline:
        said.append(f"{_ceiling_said(held)} holds")
    return said


def _incomparable_said(held: _Held) -> list[str]:
    match = held.question.match
    if not held.incomparable or match is None:
        return []
    differences = describe_differences(match.differs, held.question.fingerprint, match.entry.fingerprint)
    return [f"not comparable with the baseline of {held.text(match.value)[0]}: {differences}"]


def _better_said(held: _Held) -> list[str]:
    value = held.metric.value
    if value is None or held.baseline is None or held.allowance is None or value >= held.baseline - held.allowance:
        return []
    gained = format_value(held.baseline - value, held.metric.unit)
    if held.question.other_revision is not None:
        return [f"{gained} below that of {held.question.other_revision}, more than the tolerance"]
    return [f"{gained} below the baseline, more than the tolerance: accept it with {ACCEPT}"]


def _upper_bound_said(held: _Held) -> list[str]:
    upper = held.metric.upper_bound if isinstance(held.metric, PeakMetric) else None
    if upper is None or not _over(upper, held.limit):
        return []
    bound, limit = held.text(upper, held.limit)
    return [f"between two samples it may have reached {bound}, over the limit of {limit}"]


def _over(value: int | None, limit: int | None) -> bool:
    return value is not None and limit is not None and value > limit
