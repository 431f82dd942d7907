"""The one line under a verdict: what most of the change, or of the size, comes from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ci_budget.core.inventory.changes import REST
from ci_budget.core.inventory.other_changes import WHAT_CHANGED
from ci_budget.core.records.report import Contributor, Finding, ImageReport, Metric, Verdict
from ci_budget.core.render.disk_steps import instruction_text, keeping_line, peak_step_lines
from ci_budget.core.render.growth import tell_cause, tell_changes, tell_contributor
from ci_budget.core.text.plain_text import shorten
from ci_budget.core.text.units import format_delta, format_size, format_value

_METRICS: Final = ("image_size", "peak_disk", "context_size", "layers", "wasted_bytes")
_LOUDEST: Final = (Verdict.FAIL, Verdict.WARN)
_ABOUT: Final = {
    "context_size": ("context-ballast",),
    "layers": ("mergeable-steps",),
}
"""Rules that speak of a metric alone; of the others all rules speak that no metric has for itself."""
_PEAK_ONLY: Final = ("temporary-peak", "venv-copy")
_HALF: Final = 2
_TENTH: Final = 10
_NEARLY_ALL: Final = 0.9
_SHOWN: Final = 3
_LONGEST: Final = 240
_HALF_A_LINE: Final = 120
_BLOCK: Final = 4096
_STEP: Final = re.compile(r"`[^`]*`")


def headline(image: ImageReport) -> str | None:
    """The main reason for what the verdict says, in one sentence; None where there is nothing to explain.

    Where a metric rose or fell: the contributor that did most of it, in the words of the finding about the same step
    if there is one. Where nothing is known to compare with: the largest finding.
    """
    if image.failure is not None:
        return None
    changed = _changed(image)
    for name, metric in changed:
        reason = _reason(image, name, metric)
        if reason is not None:
            return reason
    if not changed and image.verdict is Verdict.NO_BASELINE:
        largest = next((one for one in image.findings if one.bytes and one.severity != "note"), None)
        return f"the largest finding: {_told(largest)}" if largest is not None else None
    return None


def _named(image: ImageReport) -> list[tuple[str, Metric]]:
    return [(name, metric) for name, metric in image.metrics.named() if name in _METRICS]


def _changed(image: ImageReport) -> list[tuple[str, Metric]]:
    """Metrics that differ from their baseline by more than it tolerates: failing ones first, then what rose; last what
    is less than a block of a disk."""
    found = [(name, metric) for name, metric in _named(image) if _counts(metric)]
    return sorted(
        found,
        key=lambda one: (
            _LOUDEST.index(one[1].verdict) if one[1].verdict in _LOUDEST else len(_LOUDEST),
            (one[1].delta or 0) < 0,
            one[1].unit == "bytes" and abs(one[1].delta or 0) < _BLOCK,
            _METRICS.index(one[0]),
        ),
    )


def _counts(metric: Metric) -> bool:
    if metric.delta is None or metric.delta == 0:
        return metric.verdict in _LOUDEST
    return metric.verdict in _LOUDEST or abs(metric.delta) > (metric.tolerance or 0)


def _reason(image: ImageReport, name: str, metric: Metric) -> str | None:
    if metric.delta is None or metric.delta == 0:  # over a budget, with nothing or nothing else to compare with
        finding = _largest(image.findings, name, None)
        over = f"{name} is {format_value(metric.value, metric.unit)}"
        return f"{over}; the largest finding: {_told(finding)}" if finding is not None else None
    change = f"{name} {format_delta(metric.delta, metric.unit)}"
    rising = metric.delta > 0
    moved: list[Contributor] = []
    contributor = None
    if name not in _ABOUT:
        moved = [one for one in _less_what_moved(image.contributors) if (one.delta > 0) is rising and one.delta]
        contributor = _largest_part(moved, metric.delta)
    if rising:
        finding = _largest(image.findings, name, contributor)
        if context := _by_context(image, name, metric.delta, _NEARLY_ALL):
            return f"{change}: {context}"
        if finding is not None and _explains(finding, name, metric, contributor):
            return f"{change}: {_first(image, name, metric, contributor, finding)}{_told(finding)}"
    outside = name == "peak_disk" and rising and abs(sum(one.delta for one in moved)) * _HALF < metric.delta
    if outside and (ran := peak_step_lines(image)):
        return f"{change}: {ran[0][:1].lower()}{ran[0][1:]}"
    kept = (_what_changed(metric) or keeping_line(image, metric.delta)) if outside else None
    if kept:
        context = _by_context(image, name, metric.delta, 1 / _SHOWN)
        return f"{change}: {'; '.join(one for one in (kept, context) if one)}"
    if contributor is not None:
        return f"{change}: {_behind(image, contributor)}{_tell_parts(moved, contributor, metric.delta)}"
    told = _what_changed(metric)
    return f"{change}: {told}" if told else None


def _what_changed(metric: Metric) -> str:
    return metric.message.partition(WHAT_CHANGED)[2]


def _by_context(image: ImageReport, name: str, rise: int, least: float) -> str | None:
    """Of a peak of which the build context's growth is that part of the rise: what grew in it. The copy that is sent
    counts in the peak."""
    peak, context = image.metrics.peak_disk, image.metrics.context_size
    parts = peak.composition if peak is not None else None
    grown = (context.delta or 0) if context is not None else 0
    if name != "peak_disk" or context is None or parts is None or parts.context_copy < grown:
        return None
    if not least * rise <= grown <= (2 - _NEARLY_ALL) * rise:
        return None
    told = _what_changed(context)
    return f"the build context, whose copy counts in it, is {format_size(grown)} larger{told and f': {told}'}"


def _first(image: ImageReport, name: str, metric: Metric, contributor: Contributor | None, finding: Finding) -> str:
    """What is measured of a change, before the finding about it: which steps came, what is behind the contributor, and
    the contributor itself where it is a package, or more than the finding holds; else it stands in the finding."""
    if name == "layers":
        told = _what_changed(metric)
        return f"{shorten(told, _HALF_A_LINE)}; " if told else ""
    if contributor is None:
        return ""
    package = contributor.name[:1] != "/" and contributor.name != REST
    more = contributor.name != REST and not _speaks_of(finding, contributor.name) and _is_more(contributor, finding)
    told = f"{tell_contributor(contributor)}; " if package or more else ""
    return f"{_behind(image, contributor)}{told}"


def _is_more(contributor: Contributor, finding: Finding) -> bool:
    """Whether a contributor is larger than all that a finding can explain of it, by more than a tenth."""
    held = min(finding.bytes or 0, finding.delta if finding.delta is not None else finding.bytes or 0)
    return held * _TENTH < contributor.delta * (_TENTH - 1)


def _behind(image: ImageReport, contributor: Contributor | None) -> str:
    """The instruction elsewhere that is behind a contributor, before what it brought; empty where none is known."""
    cause = contributor.cause if contributor is not None else None
    if cause is None:
        return ""
    text = instruction_text(image, cause.stage, cause.line)
    return f"{tell_cause(cause, image.dockerfile, text)}: "


def _less_what_moved(contributors: Sequence[Contributor]) -> list[Contributor]:
    """The contributors without those that cancel out to the byte: what is gone here and new there made no difference.
    All of them where nothing else is left."""
    left = list(contributors)
    for gone in [one for one in contributors if one.after is None and one.name != REST]:
        alike = [one for one in left if one.before is None and one.delta == -gone.delta and one.name != REST]
        new = min(alike, key=lambda one: _last_part(one) != _last_part(gone), default=None)
        if new is not None:
            left = [one for one in left if one is not new and one is not gone]
    return left or list(contributors)


def _last_part(contributor: Contributor) -> str:
    return contributor.name.rstrip("/").rpartition("/")[2]


def _largest_part(moved: Sequence[Contributor], delta: int) -> Contributor | None:
    """The contributor to name: where none does half of the change, the largest one of the line that does most."""
    named = [one for one in moved if one.name != REST or abs(one.delta) * _HALF >= abs(delta)] or moved
    largest = max(named, key=lambda one: abs(one.delta), default=None)
    if largest is None or abs(largest.delta) * _HALF >= abs(delta):
        return largest
    heaviest = max(named, key=lambda one: abs(sum(other.delta for other in _of_one_line(named, one))))
    return max(_of_one_line(named, heaviest), key=lambda one: abs(one.delta))


def _of_one_line(moved: Sequence[Contributor], contributor: Contributor) -> list[Contributor]:
    """The contributors of the same kind and line; one without a line stands for itself."""
    if contributor.line is None:
        return [contributor]
    place = contributor.kind, contributor.stage, contributor.line
    return [one for one in moved if (one.kind, one.stage, one.line) == place]


def _tell_parts(moved: Sequence[Contributor], contributor: Contributor, delta: int) -> str:
    """What did most: one contributor, all of one line, or the largest few."""
    rivals = [one for one in moved if one is not contributor and one.name != REST
              and abs(one.delta) * _HALF >= abs(contributor.delta)]  # fmt: skip
    if abs(contributor.delta) * _HALF >= abs(delta):
        if not rivals:
            return tell_contributor(contributor)
        if not all(one in _of_one_line(moved, contributor) for one in rivals):
            return ", ".join(tell_changes([contributor, *sorted(rivals, key=lambda one: -abs(one.delta))], _SHOWN))
    alike = _of_one_line(moved, contributor)
    total = sum(one.delta for one in alike)
    if len(alike) > 1 and abs(total) * _HALF >= abs(delta):
        parts = f"{format_delta(total, 'bytes')} in {len(alike)} parts by line {contributor.line}"
        return f"{parts}, the largest {tell_contributor(contributor)}"
    return ", ".join(tell_changes(sorted(moved, key=lambda one: -abs(one.delta)), _SHOWN))


def _largest(findings: Sequence[Finding], name: str, contributor: Contributor | None) -> Finding | None:
    """The largest finding about a metric; those about the contributor's own step come first."""
    rules = _ABOUT.get(name)
    others = {rule for known in _ABOUT.values() for rule in known} | ({*_PEAK_ONLY} if name != "peak_disk" else set())
    about = [one for one in findings if (one.rule in rules if rules else _is_about(one, others))]
    about = [one for one in about if one.bytes is not None]
    if contributor is not None:
        about = [one for one in about if _is_of(one, contributor)] or [one for one in about if one.rule in _PEAK_ONLY]
    return max(about, key=lambda one: one.bytes or 0, default=None)


def _is_about(finding: Finding, others: set[str]) -> bool:
    """What a COPY takes along of a context is in the image as well."""
    copied = finding.rule == "context-ballast" and finding.line is not None
    return copied or finding.rule not in others


def _is_of(finding: Finding, contributor: Contributor) -> bool:
    """Whether a finding speaks of what a contributor is: its path, or its step."""
    here = contributor.line is not None and (finding.stage, finding.line) == (contributor.stage, contributor.line)
    return here or (contributor.name.startswith("/") and _speaks_of(finding, contributor.name))


def _speaks_of(finding: Finding, path: str) -> bool:
    """Whether a finding names a path; the text of a step, which it may stand in as well, does not count."""
    return re.search(rf"(?<!\S){re.escape(path)}(?![^\s,.;:)])", _STEP.sub("", finding.message)) is not None


def _explains(finding: Finding, name: str, metric: Metric, contributor: Contributor | None) -> bool:
    """Whether a finding's bytes can be what a metric rose by: at least half of its contributor, a tenth of the rise and
    no more than twice as much; what was there before is no reason for a change."""
    rose, held = metric.delta or 0, finding.bytes or 0
    least = min(rose, contributor.delta) if contributor is not None else rose
    if finding.delta is not None and name != "layers" and finding.delta * _HALF < least:
        return False
    if name in _ABOUT:
        return True
    if name == "peak_disk" and finding.rule not in _PEAK_ONLY and contributor is None:
        return False
    return held * _HALF >= least and rose <= held * _TENTH and held <= rose * _HALF


def _told(finding: Finding) -> str:
    place = f" ({finding.file}:{finding.line})" if finding.file and finding.line else ""
    size = f", {format_size(finding.bytes)}" if finding.bytes else ""
    return f"{finding.rule}{size}{place}: {shorten(finding.message, _LONGEST)}"
