"""Approvals: increases that were reviewed and accepted for a time, kept in `.ci-budget/approvals.yml`.

```yaml
version: 1
approvals:
  - {image: audio-voice, metric: image_size, ceiling: 14GB, reason: both CUDA versions, until: 2027-01-31}
```
An approval lets a value pass that a budget or a baseline would fail, up to its ceiling. It covers the image's metric,
and what its stages' baselines say of the same metric; a stage's own budget it does not cover. A build that hit the
disk ceiling, and a value that could not be measured or compared, no approval covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from ci_budget.core.config.amounts import read_limit
from ci_budget.core.config.limits import Section
from ci_budget.core.config.model import MetricName
from ci_budget.core.config.names import Day, ImageName, Text
from ci_budget.core.config.text import ConfigProblemsError, line_of
from ci_budget.core.config.yaml_tree import Problem, TreeError, read_tree
from ci_budget.core.records.report import Approval, ImageReport, LimitChange, Metric, Report, Verdict, metric_unit
from ci_budget.core.text.plain_text import one_line
from ci_budget.core.text.suggestion import suggest
from ci_budget.core.text.units import format_distinct, format_value

APPROVALS_PATH: Final = ".ci-budget/approvals.yml"
APPROVAL_LABEL: Final = "ci-budget-approval"
"""A pull request's label that asks for an approval; it gives none."""


class GivenApproval(Section):
    """One approval as it was written; `ceiling` in the metric's unit."""

    image: ImageName
    metric: MetricName
    ceiling: int
    reason: Text
    until: Day

    @field_validator("ceiling", mode="before")
    @classmethod
    def _in_the_unit_of_its_metric(cls, value: object, info: ValidationInfo) -> int:
        limit = read_limit(value, metric_unit(info.data.get("metric", "image_size")))
        if not isinstance(limit, int):
            raise ValueError("an approval has an end; write the highest value that passes, such as 14GB")
        return limit

    def is_over(self, today: date) -> bool:
        """Whether its last day is past."""
        return today > self.until


class Approvals(Section):
    """The whole file."""

    version: Annotated[int, Field(ge=1, le=1)] = 1
    approvals: tuple[GivenApproval, ...] = ()

    def of(self, image: str) -> tuple[GivenApproval, ...]:
        """Those of one image."""
        return tuple(given for given in self.approvals if given.image == image)


def parse_approvals(data: bytes, file: str) -> Approvals:
    """Read the text of an `approvals.yml`; `file` is what errors name. Raises ConfigProblemsError."""
    try:
        tree = read_tree(data)
    except TreeError as error:
        raise ConfigProblemsError([error.problem], file=file) from None
    lines = tree.lines()
    problems = list(tree.problems)
    try:
        approvals = Approvals.model_validate(tree.plain())
    except ValidationError as error:
        details = error.errors()
        unknown = {detail["loc"][:-1] for detail in details if detail["type"] == "extra_forbidden"}
        for detail in details:
            if detail["type"] != "missing" or detail["loc"][:-1] not in unknown:  # probably the misspelt key
                problems.append(Problem(line=line_of(lines, detail["loc"]), message=_said(detail)))
    if problems:
        raise ConfigProblemsError(problems, file=file)
    return approvals


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """The approvals of one image on a day."""

    given: Sequence[GivenApproval] = ()
    today: date = date.min

    def approve(self, name: str, metric: Metric, *, is_stage: bool = False) -> Metric:
        """The judged metric, passed where an approval covers it; its message then says so."""
        if metric.verdict != Verdict.FAIL or metric.value is None or getattr(metric, "at_least", False):
            return metric
        if is_stage and metric.budget is not None and metric.value > metric.budget:
            return metric
        matching = [given for given in self.given if given.metric == name]
        active = [given for given in matching if not given.is_over(self.today)]
        best = max(active, key=lambda given: given.ceiling, default=None)
        if best is None:
            ended = [given.until for given in matching]
            said = f"{metric.message}; its approval ended on {max(ended)}" if ended else metric.message
            return metric.model_copy(update={"message": said})
        now, ceiling = format_distinct([metric.value, best.ceiling], metric.unit)
        if metric.value > best.ceiling:
            return metric.model_copy(update={"message": f"{metric.message}; approved are only {ceiling}, not {now}"})
        said = f"{metric.message}; approved up to {ceiling} until {best.until}: {best.reason}"
        return metric.model_copy(update={"message": said, "verdict": Verdict.PASS, "limit": best.ceiling})

    def outcome(self, before: ImageReport, after: ImageReport) -> list[Approval]:
        """What became of each approval; `before` and `after`: the judged image without and with them."""
        return [
            Approval(
                metric=given.metric,
                ceiling=given.ceiling,
                reason=given.reason,
                until=given.until.isoformat(),
                state=self._state(given, before, after),
            )
            for given in self.given
        ]

    def _state(
        self, given: GivenApproval, before: ImageReport, after: ImageReport
    ) -> Literal["used", "unused", "exceeded", "expired"]:
        if given.is_over(self.today):
            return "expired"
        failed, left = (_failing(image, given.metric) for image in (before, after))
        if any(metric.value is not None and metric.value > given.ceiling for metric in left):
            return "exceeded"
        covers = any(metric.value is not None and metric.value <= given.ceiling for metric in failed)
        return "used" if covers and len(left) < len(failed) else "unused"


def describe(approval: Approval) -> str | None:
    """What became of an approval, for a reader; None for one that was not needed."""
    if approval.state == "unused":
        return None
    ceiling = format_value(approval.ceiling, metric_unit(approval.metric))
    ended = {"used": "is used", "exceeded": "is exceeded", "expired": "has expired and does not count"}[approval.state]
    return f"the approval of {approval.metric} up to {ceiling} until {approval.until} {ended}: {approval.reason}"


def compare_approvals(base: Approvals, head: Approvals, image: str) -> list[LimitChange]:
    """The approvals of an image that differ between base and head; the head's do not count."""
    then, now = (_by_metric(side.of(image)) for side in (base, head))
    return [
        LimitChange(
            path=f"approval of {image}: {metric}",
            base=then.get(metric),
            head=now.get(metric),
            loosened=metric in now,
        )
        for metric in dict.fromkeys([*then, *now])
        if then.get(metric) != now.get(metric)
    ]


def asked_for(report: Report) -> list[str]:
    """For each metric that fails, the line of an approvals.yml that would let it pass: what the label asks for."""
    lines = [
        f"- {{image: {image.name}, metric: {name}, ceiling: {metric.value}, reason: …, until: YYYY-MM-DD}}"
        for image in report.images
        for name, metric in image.metrics.named()
        if metric.verdict == Verdict.FAIL and metric.value is not None and not getattr(metric, "at_least", False)
    ]
    told = f"the label {APPROVAL_LABEL} asks for an approval; it counts once {APPROVALS_PATH} of the base branch holds:"
    return [f"{told} {line}" for line in lines]


def _failing(image: ImageReport, name: str) -> list[Metric]:
    stages = [stage.metrics[name] for stage in image.stages if stage.reached and name in stage.metrics]
    own = getattr(image.metrics, name)
    return [metric for metric in (own, *stages) if metric is not None and metric.verdict == Verdict.FAIL]


def _by_metric(given: Sequence[GivenApproval]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in given:
        text = f"{format_value(one.ceiling, metric_unit(one.metric))} until {one.until}"
        found[one.metric] = f"{found[one.metric]}, {text}" if one.metric in found else text
    return found


def _said(detail: ErrorDetails) -> str:
    place, kind = detail["loc"], detail["type"]
    inside = len(place) > 1
    known = (GivenApproval if inside else Approvals).model_fields
    where = f"{'.'.join(str(part) for part in place[:-1])}: " if place[:-1] else ""
    key = str(place[-1]) if place else ""
    if kind == "extra_forbidden":
        text = f"{where}unknown key '{key}'; {suggest(key, known, kind='keys')}"
    elif kind == "missing":
        text = f"{where}'{key}' is missing; an approval has {', '.join(known)}"
    elif kind == "model_type" and not place:
        text = "the file is a mapping with the keys 'version: 1' and 'approvals:'"
    elif kind == "value_error":
        text = f"{where}{key}: {detail['ctx']['error']}"
    else:
        text = f"{where}{key}: {detail['msg']}"
    return one_line(text)
