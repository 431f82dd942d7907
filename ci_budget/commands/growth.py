"""What grew: the image's inventory held against that of what it is compared with, after the gate has judged."""

from __future__ import annotations

from collections.abc import Sequence

from ci_budget.core.gate.fingerprint import describe_differences
from ci_budget.core.inventory.causes import Causes
from ci_budget.core.inventory.changes import REST, compare
from ci_budget.core.inventory.inputs import less_names
from ci_budget.core.inventory.model import Inventory
from ci_budget.core.inventory.other_changes import WHAT_CHANGED, tell_context, tell_layers
from ci_budget.core.records.baseline import BaselineEntry, find_entry
from ci_budget.core.records.report import Contributor, ImageReport, Metric, finding_bytes
from ci_budget.core.render.disk_steps import instruction_text
from ci_budget.core.render.growth import tell_cause
from ci_budget.core.text.units import format_size
from ci_budget.edges.files.baseline_inventories import InventoryPlace, read_baseline_inventory
from ci_budget.errors import ConfigError, UnmeasuredError

_EXPLAINED = ("image_size", "layers", "context_size")
_MOST = 2


def explain_growth(
    judged: ImageReport,
    now: Inventory | None,
    *,
    baselines: Sequence[BaselineEntry],
    places: Sequence[InventoryPlace],
    before: Inventory | None = None,
) -> ImageReport:
    """The image with what makes its size differ from the baseline's; deltas add up to the metric's. What layers and
    context gained or lost is told in their messages.

    `before`: the other revision's inventory, where it was built in this run; else the one that the baseline names is
    read. Where there is none, or it is damaged, a note says so: the verdict stands, and nothing is guessed.
    """
    changed = [metric for name, metric in judged.metrics.named() if name in _EXPLAINED and metric.delta]
    peak = judged.metrics.peak_disk
    if now is None or not (changed or (peak is not None and peak.delta)):
        return judged
    try:
        then = before if before is not None else _of_baseline(judged, baselines, places)
    except (ConfigError, UnmeasuredError) as error:
        if not changed:
            return judged
        place = f"{error.file}: " if error.file is not None else ""
        mend = f". {error.mend}" if error.mend is not None else ""
        return _noted(judged, f"what changed since the baseline cannot be told: {place}{error.what}{mend}")
    if then is None:
        if not any(_beyond_tolerance(metric) for metric in changed):
            return judged
        why = _why_none(judged, baselines)
        mend = "`ci-budget baseline update --report FOLDER` stores one with the accepted values; commit both"
        return _noted(judged, f"what changed since the baseline cannot be told: {why}. {mend}.")
    return _with_contributors(_with_messages(_with_older_findings(judged, then), then, now), then, now)


def _with_older_findings(judged: ImageReport, then: Inventory) -> ImageReport:
    """What was found before as well is no reason for a change."""
    if then.finding_bytes is None:
        return judged
    sums = finding_bytes(judged.findings)
    found = [
        one.model_copy(update={"delta": sums[one.rule] - then.finding_bytes.get(one.rule, 0)})
        for one in judged.findings
    ]  # fmt: skip
    return judged.model_copy(update={"findings": found})


def _with_contributors(judged: ImageReport, then: Inventory, now: Inventory) -> ImageReport:
    size = judged.metrics.image_size
    if size is None or not size.delta:
        return judged
    found = compare(then, now)
    left = size.delta - sum(item.delta for item in found)
    if left:
        found.append(Contributor(kind="this-change", name=REST, before=None, after=None, delta=left))
        judged = _noted(
            judged,
            f"the inventory of the baseline is of an image of {format_size(then.size)}, its accepted value is "
            f"{format_size(size.baseline or 0)}: the difference stands under '{REST}'",
        )
    return judged.model_copy(update={"contributors": found})


def _with_messages(judged: ImageReport, then: Inventory, now: Inventory) -> ImageReport:
    """What is no part of the image's bytes is told in the metric's own message."""
    changes: dict[str, Metric] = {}
    for name, tell in (("context_size", tell_context), ("layers", tell_layers)):
        metric = getattr(judged.metrics, name)
        if metric is not None and _beyond_tolerance(metric) and (said := tell(then, now)):
            changes[name] = metric.model_copy(update={"message": f"{metric.message}{WHAT_CHANGED}{said}"})
    peak = judged.metrics.peak_disk
    if peak is not None and _beyond_tolerance(peak) and (said := _tell_peak(judged, then, now, peak.delta or 0)):
        changes["peak_disk"] = peak.model_copy(update={"message": f"{peak.message}{WHAT_CHANGED}{said}"})
    return judged.model_copy(update={"metrics": judged.metrics.model_copy(update=changes)})


def _why_none(judged: ImageReport, baselines: Sequence[BaselineEntry]) -> str:
    """Why no inventory belongs to what the image is compared with."""
    match = find_entry(baselines, judged.fingerprint, "image_size")
    if match is None:
        return "the baseline has no image_size, so no inventory belongs to it"
    if match.differs:
        differences = describe_differences(match.differs, judged.fingerprint, match.entry.fingerprint)
        return f"the baseline is of another setup ({differences})"
    return "the baseline was recorded without an inventory"


def _tell_peak(judged: ImageReport, then: Inventory, now: Inventory, rise: int) -> str:
    """The instructions that keep more in their stages, of which only a part comes to be in the image."""
    found = Causes(*less_names(then, now)).keep_more(rise)
    told = [tell_cause(one, judged.dockerfile, instruction_text(judged, one.stage, one.line)) for one in found]
    return ", ".join([*told[:_MOST], *([f"and {len(told) - _MOST} more"] if told[_MOST:] else [])])


def _of_baseline(
    judged: ImageReport, baselines: Sequence[BaselineEntry], places: Sequence[InventoryPlace]
) -> Inventory | None:
    match = find_entry(baselines, judged.fingerprint, "image_size")
    if match is None or match.differs or match.entry.inventory is None:
        return None
    return read_baseline_inventory(places, judged.name, match.entry.fingerprint, match.entry.inventory)


def _beyond_tolerance(metric: Metric) -> bool:
    return metric.delta is not None and abs(metric.delta) > (metric.tolerance or 0)


def _noted(image: ImageReport, text: str) -> ImageReport:
    return image.model_copy(update={"notes": [*image.notes, text]})
