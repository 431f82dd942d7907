"""The accepted values, `baseline.json`: the stored format, its look-up, and how a report's values get in.

`images.NAME` holds one entry per differing fingerprint, so that platforms and disk modes live side by side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from ci_budget.core.gate.fingerprint import FIELDS, describe, differing_fields
from ci_budget.core.records.report import METRIC_NAMES, STAGE_METRIC_NAMES, Base, Fingerprint, Stored, Versions
from ci_budget.core.records.stored import line_of, parse_stored
from ci_budget.core.text.units import MAX_SIZE
from ci_budget.errors import ConfigError

SCHEMA_VERSION = 1
LARGEST_FILE = 16_000_000
DEFAULT_PATH = ".ci-budget/baseline.json"
MEND = (
    "Restore the committed file (`git checkout -- PATH`), or remove it and record the values anew: "
    "`ci-budget check`, then `ci-budget baseline update`."
)

Value = Annotated[int, Field(ge=0, le=MAX_SIZE)]


class BaselineEntry(Stored):
    """The accepted values of one image under one fingerprint: bytes, counts, seconds, by metric name."""

    fingerprint: Fingerprint
    metrics: dict[str, Value] = Field(default_factory=dict)
    stages: dict[str, dict[str, Value]] = Field(default_factory=dict)
    commit: str | None = None
    recorded: str
    bases: list[Base] = Field(default_factory=list)
    image_id: str | None = None
    inventory: str | None = None
    versions: Versions | None = None


class Baseline(Stored):
    """The whole file."""

    schema_version: int = SCHEMA_VERSION
    images: dict[str, list[BaselineEntry]] = Field(default_factory=dict)

    def entries(self, image: str) -> Sequence[BaselineEntry]:
        """The entries of an image; empty when it has none."""
        return self.images.get(image, ())


@dataclass(frozen=True, kw_only=True)
class BaselineMatch:
    """What the baseline says of one metric.

    `value` is in the metric's unit. When entries exist but none can be compared, `entry` is the nearest
    one and `differs` names the fields of the fingerprint that forbid it.
    """

    entry: BaselineEntry
    value: int
    differs: tuple[str, ...] = ()


def parse_baseline(data: bytes, file: str) -> Baseline:
    """Read baseline.json. Raises ConfigError, with what to do, for anything but a whole file of this format."""
    baseline = parse_stored(
        data,
        file=file,
        model=Baseline,
        kind="baseline",
        version=SCHEMA_VERSION,
        mend=MEND.replace("PATH", file),
        largest=LARGEST_FILE,
    )
    for image, entries in baseline.images.items():
        for index, entry in enumerate(entries):
            _check_entry(image, index, entry, entries[:index], text=data.decode("utf-8"), file=file)
    return baseline


def render_baseline(baseline: Baseline) -> str:
    """The file's text: sorted keys, an indentation of two, a newline at the end, so that diffs are readable."""
    images = {
        image: [entry.model_dump(mode="json") for entry in sorted(entries, key=_setup)]
        for image, entries in baseline.images.items()
    }
    document = {"schema_version": baseline.schema_version, "images": images}
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def find_entry(
    entries: Sequence[BaselineEntry], fingerprint: Fingerprint | None, metric: str, stage: str | None = None
) -> BaselineMatch | None:
    """The entry that `metric` (of the image, or of `stage`) is compared with; None where there is no baseline.

    Of several comparable entries the one nearest to the whole fingerprint counts, then the one recorded
    last. An entry that is comparable but lacks the metric means that it has no baseline.
    """
    comparable = [entry for entry in entries if not differing_fields(metric, fingerprint, entry.fingerprint)]
    newest_first = sorted(comparable or entries, key=lambda entry: entry.recorded, reverse=True)
    having = [(entry, stored_value(entry, metric, stage)) for entry in newest_first]
    matches = [
        BaselineMatch(entry=entry, value=value, differs=differing_fields(metric, fingerprint, entry.fingerprint))
        for entry, value in having
        if value is not None
    ]
    return min(matches, key=lambda match: _distance(fingerprint, match.entry.fingerprint), default=None)


def stored_value(entry: BaselineEntry, metric: str, stage: str | None = None) -> int | None:
    """The accepted value of a metric of the image, or of one of its stages."""
    values: Mapping[str, int] = entry.metrics if stage is None else entry.stages.get(stage, {})
    return values.get(metric)


def same_setup(entries: Sequence[BaselineEntry], fingerprint: Fingerprint) -> BaselineEntry | None:
    """The entry recorded under exactly this fingerprint."""
    return next((entry for entry in entries if entry.fingerprint == fingerprint), None)


def _setup(entry: BaselineEntry) -> str:
    return describe(entry.fingerprint)


def _distance(now: Fingerprint | None, then: Fingerprint) -> int:
    if now is None:
        return len(FIELDS)
    return sum(getattr(now, field) != getattr(then, field) for field in FIELDS)


def _check_entry(
    image: str, index: int, entry: BaselineEntry, earlier: Sequence[BaselineEntry], *, text: str, file: str
) -> None:
    place = ("images", image, index)
    if same_setup(earlier, entry.fingerprint) is not None:
        raise ConfigError(
            f"the image '{image}' has two baseline entries for the same setup ({describe(entry.fingerprint)})",
            mend="Remove one of the two; a merge may have kept both.",
            file=file,
            line=line_of(text, place),
        )
    known = {None: METRIC_NAMES} | dict.fromkeys(entry.stages, STAGE_METRIC_NAMES)
    for stage, names in known.items():
        values = entry.metrics if stage is None else entry.stages[stage]
        unknown = sorted(set(values) - set(names))
        if unknown:
            owner = f"image '{image}'" if stage is None else f"stage '{stage}' of the image '{image}'"
            raise ConfigError(
                f"the baseline of the {owner} has a metric that ci-budget does not know: {unknown[0]}",
                mend=f"Known are {', '.join(names)}. {MEND.replace('PATH', file)}",
                file=file,
                line=line_of(text, place),
            )
