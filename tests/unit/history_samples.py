"""Reports and measurements of many nights, for tests of the history and of what is drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ci_budget.core.history.measurement import Measurement, Run, measurements_of, run_of
from ci_budget.core.history.overview import Overview, build_overview
from ci_budget.core.history.trend import DAY, ImageTrend, Lookups, Row, image_trends
from ci_budget.core.inventory.model import FileRecord, FolderRecord, Inventory, LayerRecord, StepRecord
from ci_budget.core.records.report import (
    Base,
    DiskReport,
    ImageReport,
    Report,
    StepReport,
    TimelinePoint,
    Verdict,
)
from tests.unit.report_samples import GB, SANDBOX, measured, metrics

FIRST = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
DAY_ONE = int(FIRST.timestamp()) // DAY
UNTIL = int(FIRST.timestamp())


def night(index: int, *images: ImageReport) -> Report:
    """The report of night `index` (0 is 2026-03-01, 02:00)."""
    started = (FIRST + timedelta(days=index)).isoformat().replace("+00:00", "Z")
    return Report(
        ci_budget="0.1.0",
        verdict=Verdict.PASS,
        exit_code=0,
        commit=commit(index),
        started=started,
        images=list(images),
    )


def commit(index: int) -> str:
    """The commit of night `index`."""
    return f"{0xA1 + index:02x}" * 20


def built(name: str = "web", *, size: int = GB, budget: int | None = None, **changes: Any) -> ImageReport:
    """A measured image with steps and a timeline."""
    found = metrics(image_size=size, peak_disk=2 * size)
    limited = found.image_size.model_copy(update={"budget": budget}) if found.image_size else None
    given: dict[str, Any] = {
        "metrics": found.model_copy(update={"image_size": limited}),
        "disk": DiskReport(mode="sandbox", reason="running as root", enforced=True, budget=5 * GB),
        "bases": [Base(reference="python:3.11", image_id="sha256:base")],
        "image_id": f"sha256:{size}",
        "steps": [
            _step("[builder 2/3] RUN make", "builder", line=2, at=(0, 4000), added=size, peak=2 * size),
            _step(
                "[runtime 1/2] COPY --from=builder /out /", "runtime", line=5, at=(4000, 5000), added=size, peak=size
            ),
        ],
        "timeline": [TimelinePoint(t_ms=at, used=at * size // 2500, steps=[0]) for at in range(0, 5001, 100)],
    }
    return measured(name, **(given | changes)).model_copy(update={"verdict": Verdict.PASS, "exit_code": 0})


def _step(name: str, stage: str, *, line: int, at: tuple[int, int], added: int, peak: int) -> StepReport:
    return StepReport(name=name, stage=stage, line=line, start_ms=at[0], end_ms=at[1], added=added, peak=peak)


def recorded(report: Report) -> tuple[Run, list[Measurement], dict[str, bytes]]:
    """What the history takes of a report."""
    return run_of(report, "report.json"), measurements_of(report, "report.json"), {}


def write_report(folder: Path, report: Report) -> Path:
    """`report.json` in this folder."""
    folder.mkdir(parents=True)
    file = folder / "report.json"
    file.write_text(report.model_dump_json())
    return file


def rows(values: Sequence[int | None], *, setups: Sequence[int] | None = None, verdict: str = "pass") -> list[Row]:
    """A row a day with these image sizes; everything else stays the same."""
    return [
        ((DAY_ONE + day) * DAY, day, (setups or [1] * len(values))[day], verdict, 2, 3, None, value, 8, 400_000)
        for day, value in enumerate(values)
    ]


def lookups(budget: int | None = None, **setups: Any) -> Lookups:
    """Setup 1 is the sandbox, 4 the same on another platform, 5 the host; budgets number 2."""
    return Lookups(
        setups={
            0: None,
            1: SANDBOX,
            4: SANDBOX.model_copy(update={"platform": "linux/arm64"}),
            5: SANDBOX.model_copy(update={"disk_mode": "host"}),
        },
        budgets={2: {} if budget is None else {"image_size": budget}},
    )


def trend(values: Sequence[int | None], *, budget: int | None = None, name: str = "web", **given: Any) -> ImageTrend:
    """The trend of an image whose size had these values, a day each."""
    (found,) = image_trends(name, rows(values), lookups(budget), most_points=400, **given)
    return found


def overview(*images: ImageTrend, **given: Any) -> Overview:
    """All these images, seen on 2026-03-31."""
    settings: dict[str, Any] = {
        "repository": "acme/shop", "until": UNTIL + 30 * DAY, "days": 30, "threshold": 10.0,
        "history": "/var/lib/ci-budget/history.sqlite",
    }  # fmt: skip
    return build_overview(images, **(settings | given))


def inventory(stage: str = "runtime") -> Inventory:
    """An image of a base of 300 MB and one step of 700 MB, 600 MB of it in /usr/lib."""
    million = 10**6
    return Inventory(
        image_id="sha256:x",
        size=1000 * million,
        layers=[
            LayerRecord(diff_id="sha256:a", size=300 * million, files=10, inherited=True, step=0),
            LayerRecord(diff_id="sha256:b", size=700 * million, files=10, inherited=False, step=1),
        ],
        steps=[
            StepRecord(created_by="ADD base", layer=0),
            StepRecord(created_by="COPY --from=builder /out /", layer=1, stage=stage, line=5),
        ],
        folder_depth=3,
        folders=[
            FolderRecord(path=path, layer=layer, size=size * million, files=2)
            for path, layer, size in (
                ("", 0, 300), ("", 1, 700), ("usr", 1, 600), ("usr/lib", 1, 600), ("usr/lib/python", 1, 400),
            )
        ],
        files=[FileRecord(path="usr/lib/libtorch.so", size=150 * million, layer=1)],
    )  # fmt: skip
