"""The outputs of the GitHub action, from a report and the exit code. A value that is not known is empty, never 0."""

from __future__ import annotations

import json

from ci_budget.core.records.report import ImageReport, Metric, Report, Verdict
from ci_budget.errors import ExitCode

OUTPUT_METRICS = ("peak_disk", "image_size", "layers", "context_size")


def outputs_of(report: Report | None, *, exit_code: int, report_dir: str) -> dict[str, str]:
    """The outputs by name.

    `verdict` is the run's; the metrics are those of the first image that failed, else of the first
    image; `metrics-json` maps every image to its verdict and metrics. Without a report the verdict
    is `not-measured` and the metrics are empty. Sizes are bytes.
    """
    image = chosen_image(report) if report is not None else None
    metrics = dict(image.metrics.named()) if image is not None else {}
    return {
        "verdict": (report.verdict if report is not None else Verdict.NOT_MEASURED).value,
        "exit-code": str(int(exit_code)),
        "report": report_dir if report is not None else "",
        "image": image.name if image is not None else "",
        **{name.replace("_", "-"): _number(metrics.get(name)) for name in OUTPUT_METRICS},
        "metrics-json": json.dumps(_all_metrics(report), separators=(",", ":")),
    }


def chosen_image(report: Report) -> ImageReport | None:
    """The image that the single-valued outputs speak of: the first with a code of its own, else the first."""
    failing = (image for image in report.images if image.exit_code != ExitCode.OK)
    return next(failing, report.images[0] if report.images else None)


def _number(metric: Metric | None) -> str:
    return "" if metric is None or metric.value is None else str(metric.value)


def _all_metrics(report: Report | None) -> dict[str, object]:
    if report is None:
        return {}
    return {
        image.name: {
            "verdict": image.verdict.value,
            "exit_code": image.exit_code,
            "metrics": {
                name: {"value": metric.value, "limit": metric.limit, "verdict": metric.verdict.value}
                for name, metric in image.metrics.named()
            },
        }
        for image in report.images
    }
