"""The stored report, `report.json`: the public format of one run of the gate.

`schema_version` is raised whenever a reader of the old format would misread a new file.
All sizes are integers in bytes, times in milliseconds since the window opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ci_budget.core.records.metrics import GATED_BY_BASELINE as GATED_BY_BASELINE
from ci_budget.core.records.metrics import METRIC_NAMES as METRIC_NAMES
from ci_budget.core.records.metrics import STAGE_METRIC_NAMES as STAGE_METRIC_NAMES
from ci_budget.core.records.metrics import Unit as Unit
from ci_budget.core.records.metrics import metric_unit as metric_unit

SCHEMA_VERSION = 1


class Verdict(StrEnum):
    """What the gate says of a metric, a stage, an image, a run; BUILD_FAILED is of images and runs only."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    WARN = "warn"
    FAIL = "fail"
    NO_BASELINE = "no-baseline"
    INCOMPARABLE = "incomparable"
    NOT_MEASURED = "not-measured"
    DISABLED = "disabled"
    BUILD_FAILED = "build-failed"


class Stored(BaseModel):
    """A stored record: unknown keys are refused, values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Metric(Stored):
    """One measured number and what the gate says of it. `limit` is the lowest applicable limit."""

    value: int | None = None
    unit: Unit
    baseline: int | None = None
    budget: int | None = None
    tolerance: int | None = None
    limit: int | None = None
    delta: int | None = None
    verdict: Verdict = Verdict.NO_BASELINE
    gated: bool = False
    message: str = ""


class Composition(Stored):
    """What the peak was made of, in bytes; the parts add up to the peak."""

    bases: int
    kept_layers: int
    cache_mounts: int
    context_copy: int
    temporary: int


class PeakMetric(Metric):
    """`peak_disk`: the sampled peak with its bounds. `at_least`: the ceiling was hit, `value` is the ceiling
    (what was observed, where it was the inodes that ran out)."""

    observed: int | None = None
    upper_bound: int | None = None
    interval_ms: float | None = None
    widest_gap_ms: float | None = None
    base: int | None = None
    at_least: bool = False
    composition: Composition | None = None


class LayersMetric(Metric):
    """`layers`, split into those of the base image and the image's own."""

    inherited: int | None = None
    own: int | None = None


class ContextMetric(Metric):
    """`context_size`, with the number of files and the part that COPY, ADD and bind mounts can use."""

    context_files: int | None = None
    referenced: int | None = None


class Metrics(Stored):
    """The metrics of an image by name; None where a metric does not exist for it."""

    peak_disk: PeakMetric | None = None
    image_size: Metric | None = None
    layers: LayersMetric | None = None
    context_size: ContextMetric | None = None
    compressed_size: Metric | None = None
    peak_inodes: Metric | None = None
    build_seconds: Metric | None = None
    wasted_bytes: Metric | None = None

    def named(self) -> Iterator[tuple[str, Metric]]:
        """The metrics that exist, in the order of the design."""
        for name in METRIC_NAMES:
            metric = getattr(self, name)
            if metric is not None:
                yield name, metric


class StageReport(Stored):
    """One stage. `reached` is False where the target never needs it; such a stage is not built."""

    name: str
    index: int
    base: str
    line: int | None
    reached: bool
    verdict: Verdict = Verdict.NO_BASELINE
    metrics: dict[str, Metric] = Field(default_factory=dict)


class StepReport(Stored):
    """One build step. `peak`: highest use while it ran; `at_peak`: it ran when the image's peak was reached.

    `wrote`, `gave_back`: bytes by which the use rose and fell meanwhile; `added`, the difference, is what it kept.
    `located_by`: whether stage and line are the engine's own word (`provenance`) or were found by the step's name.
    """

    name: str
    stage: str | None
    line: int | None
    start_ms: int
    end_ms: int
    added: int | None = None
    wrote: int | None = None
    gave_back: int | None = None
    peak: int | None = None
    cached: bool = False
    at_peak: bool = False
    located_by: Literal["provenance", "names"] | None = None


class TimelinePoint(Stored):
    """Bytes in use at a moment; `steps` are indices into the image's `steps` that ran then."""

    t_ms: int
    used: int
    steps: list[int] = Field(default_factory=list)


class Finding(Stored):
    """Advice that carries measured bytes. `delta`: bytes that all findings of its rule hold more than they did in what
    the image is compared with; None where that is not known."""

    rule: str
    severity: Literal["error", "warning", "note"]
    bytes: int | None
    delta: int | None = None
    stage: str | None = None
    file: str | None = None
    line: int | None = None
    message: str
    mend: str


def finding_bytes(findings: Sequence[Finding]) -> dict[str, int]:
    """What the findings of each rule hold together, in bytes."""
    sums: dict[str, int] = {}
    for one in findings:
        sums[one.rule] = sums.get(one.rule, 0) + (one.bytes or 0)
    return sums


class Cause(Stored):
    """An instruction elsewhere that made what another one brought to the image.

    `change`: it is `new`, `changed` or `gone` (then `line` is None, and it stood behind the line `after`), has the same
    text and was `given` other files or values, or was given the same and `grew`. `delta`: bytes that it keeps in its
    stage more than before, None where that explains nothing.
    """

    stage: str
    line: int | None
    command: str
    change: Literal["new", "changed", "gone", "given", "grew"]
    after: int | None = None
    delta: int | None = None


class Inside(Stored):
    """A file of a package, by its path, and by how many bytes it differs."""

    name: str
    delta: int


class Contributor(Stored):
    """Something that grew or shrank between baseline and now.

    `line`: of the instruction that brought it to the image; `cause`: the one in another stage that made it, where that
    is certain. `changed_line`: of all that either depends on, the one instruction that changed; `changed`: what became
    of it, or that it is gone. `was_ignored`: the ignore file kept it out of the build context before. `inside`: of a
    package that has the same version on both sides, the files that did most of it.
    """

    kind: str
    name: str
    before: int | None
    after: int | None
    delta: int
    stage: str | None = None
    line: int | None = None
    cause: Cause | None = None
    changed_line: int | None = None
    changed: Cause | None = None
    was_ignored: bool = False
    inside: list[Inside] = Field(default_factory=list)


class Fingerprint(Stored):
    """What must be equal for two values to be compared; which fields count depends on the metric."""

    platform: str
    disk_mode: Literal["sandbox", "host", "remote"]
    storage_driver: str
    filesystem: str
    block_size: int
    order: Literal["sequential", "parallel"]
    cache: Literal["cold", "warm"]
    method: int


class Versions(Stored):
    """Recorded and named when they change, never compared."""

    ci_budget: str
    engine: str | None = None
    buildkit: str | None = None
    buildx: str | None = None
    kernel: str | None = None


class DiskReport(Stored):
    """Where the build ran: `mode`, why that mode, and the ceiling. `enforced`: by the kernel, not by watching."""

    mode: Literal["sandbox", "host", "remote"]
    reason: str
    enforced: bool
    budget: int | None = None
    total_inodes: int | None = None


class SmokeReport(Stored):
    """The smoke test: what ran, how it ended."""

    command: list[str]
    passed: bool
    exit_code: int | None
    seconds: float
    gpu: str
    message: str


class Failure(Stored):
    """Why an image has no full set of values.

    The exit code follows `kind`: `ceiling` and `smoke` 1, `build` and `timeout` 4, `environment` 3.
    `last_lines`: the end of what the step printed.
    """

    kind: Literal["ceiling", "smoke", "build", "timeout", "environment"]
    message: str
    stage: str | None = None
    line: int | None = None
    step: str | None = None
    last_lines: list[str] = Field(default_factory=list)
    mend: str | None = None


class LimitChange(Stored):
    """A limit that the head revision changes; it does not count for this run."""

    path: str
    base: str | None
    head: str | None
    loosened: bool


class Approval(Stored):
    """An increase that the base revision accepts: `metric` may rise to `ceiling` until the end of the day `until`.

    `used`: a value passes by it that would fail. `exceeded`: the value is above it. `expired`: its last day is over.
    """

    metric: str
    ceiling: int
    reason: str
    until: str
    state: Literal["used", "unused", "exceeded", "expired"]


class Base(Stored):
    """An external image that the build starts from or copies from."""

    reference: str
    image_id: str | None = None
    size: int | None = None


class ImageReport(Stored):
    """One entry under `images:` as measured and judged."""

    name: str
    verdict: Verdict
    exit_code: int
    dockerfile: str
    target: str | None = None
    image_id: str | None = None
    manifest_digest: str | None = None
    fingerprint: Fingerprint | None = None
    versions: Versions | None = None
    disk: DiskReport | None = None
    bases: list[Base] = Field(default_factory=list)
    metrics: Metrics = Metrics()
    stages: list[StageReport] = Field(default_factory=list)
    steps: list[StepReport] = Field(default_factory=list)
    timeline: list[TimelinePoint] = Field(default_factory=list)
    findings: list[Finding] = Field(default_factory=list)
    contributors: list[Contributor] = Field(default_factory=list)
    smoke: SmokeReport | None = None
    failure: Failure | None = None
    limits_changed: list[LimitChange] = Field(default_factory=list)
    approvals: list[Approval] = Field(default_factory=list)
    new: bool = False
    notes: list[str] = Field(default_factory=list)


class OtherRevision(Stored):
    """What `--against` names, and the commit that it was; built in this run in the place of the baselines."""

    revision: str
    commit: str

    @property
    def shown(self) -> str:
        """`main (0123456789ab)`, for messages."""
        short = self.commit[:12]
        return short if self.commit.startswith(self.revision) else f"{self.revision} ({short})"


class Report(Stored):
    """One run over one or more images. `against`: the other side of the comparison, where it was no baseline."""

    schema_version: int = SCHEMA_VERSION
    ci_budget: str
    verdict: Verdict
    exit_code: int
    commit: str | None = None
    against: OtherRevision | None = None
    started: str
    images: list[ImageReport] = Field(default_factory=list)
    limits_changed: list[LimitChange] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
