"""The report as GitHub annotations: one workflow command a line, worst first, on lines of the Dockerfiles."""

from __future__ import annotations

from collections.abc import Iterator

from ci_budget.core.records.report import ImageReport, Metric, Report, Verdict
from ci_budget.core.text.plain_text import one_line, shorten
from ci_budget.core.text.workflow_text import Level, format_annotation

MOST_PER_LEVEL = 10
"""GitHub shows at most ten errors and ten warnings a step."""

LONGEST_MESSAGE = 2000

_LEVELS: dict[Verdict, Level] = {
    Verdict.FAIL: "error",
    Verdict.INCOMPARABLE: "error",
    Verdict.NOT_MEASURED: "error",
    Verdict.WARN: "warning",
}


def render_annotations(report: Report) -> str:
    """The commands that annotate what failed or warns; empty where nothing does.

    An image that could not be built or measured is annotated once, not once a metric.
    """
    found: dict[Level, list[str]] = {"error": [], "warning": []}
    for image in report.images:
        for level, text in _of_image(image):
            found[level].append(text)
    lines: list[str] = []
    for level, texts in found.items():
        lines += texts[:MOST_PER_LEVEL] if len(texts) <= MOST_PER_LEVEL else texts[: MOST_PER_LEVEL - 1]
        if len(texts) > MOST_PER_LEVEL:
            left = len(texts) - MOST_PER_LEVEL + 1
            lines.append(format_annotation(level, f"{left} more; the summary and the report name them all"))
    return "".join(f"{line}\n" for line in lines)


def _of_image(image: ImageReport) -> Iterator[tuple[Level, str]]:
    if image.failure is not None:
        where = f" (stage {image.failure.stage})" if image.failure.stage else ""
        mend = f" {image.failure.mend}" if image.failure.mend else ""
        yield (
            "error",
            _annotation(
                "error", image, f"{image.failure.kind}{where}", f"{image.failure.message}{mend}", image.failure.line
            ),
        )
    for name, metric in image.metrics.named():
        yield from _of_metric(image, name, metric, _last_line(image))
    for stage in image.stages:
        for name, metric in stage.metrics.items():
            yield from _of_metric(image, f"{name} of stage {stage.name}", metric, stage.line)


def _of_metric(image: ImageReport, name: str, metric: Metric, line: int | None) -> Iterator[tuple[Level, str]]:
    level = _LEVELS.get(metric.verdict)
    if level is None or not metric.gated:
        return
    if image.failure is not None:
        # What failed is annotated already: the ceiling as such, and the values it left unmeasured.
        unmeasured = metric.verdict in (Verdict.NOT_MEASURED, Verdict.INCOMPARABLE)
        if unmeasured or (image.failure.kind == "ceiling" and name.startswith("peak_disk")):
            return
    yield level, _annotation(level, image, name, metric.message or metric.verdict.value, line)


def _annotation(level: Level, image: ImageReport, what: str, message: str, line: int | None) -> str:
    return format_annotation(
        level,
        one_line(shorten(message, LONGEST_MESSAGE)),
        title=one_line(shorten(f"{image.name}: {what}", 200)),
        file=one_line(image.dockerfile),
        line=line if line is not None else 1,
    )


def _last_line(image: ImageReport) -> int | None:
    """Where the target stage begins: a metric of the whole image belongs to it."""
    reached = [stage for stage in image.stages if stage.reached]
    named = [stage for stage in reached if stage.name == image.target]
    chosen = named or reached
    return chosen[-1].line if chosen else None
