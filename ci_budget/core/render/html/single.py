"""`report.html`: one run of the gate, with the timeline and the treemap of each image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ci_budget.core.history.build_view import MOST_STEPS, BuildView
from ci_budget.core.records.report import Report
from ci_budget.core.render.figures import all_rows, attention_first, disk_said, next_steps, peak_parts
from ci_budget.core.render.html.nightly import draw_build
from ci_budget.core.render.html.page import render_page, size_of

MOST_IMAGES: Final = 100
_BUILD_ROOM: Final = 1_000_000


def render_single(report: Report, builds: Mapping[str, BuildView], *, report_folder: str) -> str:
    """The page of a run; failing images first. `builds`: their views by name."""
    ordered = attention_first(report.images)
    room = _BUILD_ROOM
    drawn: dict[str, Any] = {}
    images = []
    for image in ordered[:MOST_IMAGES]:
        view = builds.get(image.name)
        key = None
        if view is not None and (view.timeline or view.treemap):
            room -= size_of(drawing := draw_build(view))
            if room > 0:
                key = str(len(drawn))
                drawn[key] = drawing
        images.append(
            {
                "report": image,
                "rows": all_rows(image),
                "disk": disk_said(image.disk) if image.disk is not None else "",
                "peak_parts": (
                    peak_parts(image.metrics.peak_disk.composition)
                    if image.metrics.peak_disk is not None and image.metrics.peak_disk.composition is not None
                    else ""
                ),
                "key": key,
                "left_out": view is not None and room <= 0,
            }
        )
    commit = f"commit {report.commit[:12]}, " if report.commit else ""
    plural = "" if len(report.images) == 1 else "s"
    return render_page(
        "check.html",
        data={"images": {}, "builds": drawn},
        title=f"ci-budget: {report.verdict.value}",
        subtitle=f"{len(report.images)} image{plural}, {commit}started {report.started}, exit {report.exit_code}",
        report=report,
        images=images,
        images_left_out=len(ordered) - len(images),
        steps=next_steps(report, report_folder),
        most_steps=MOST_STEPS,
        telling=("fail", "warn", "not-measured", "incomparable"),
    )
