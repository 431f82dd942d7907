"""One row of the history: what one run measured of one image, taken from a report."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ci_budget.core.records.metrics import METRIC_NAMES
from ci_budget.core.records.report import Fingerprint, ImageReport, Report
from ci_budget.core.release.facts import ReleaseFacts
from ci_budget.core.text.plain_text import one_line, shorten
from ci_budget.core.text.units import MAX_SIZE
from ci_budget.errors import ConfigError

LONGEST_NAME: Final = 200
"""Characters of an image's name, a tag or a commit that are kept."""

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the gate. `started`: whole seconds since 1970, UTC. `commit` is empty where none is known."""

    ident: str
    started: int
    commit: str
    tool: str


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one run measured of one image: bytes, counts and seconds by metric name; what is missing was not measured.

    `budgets`: the limits from budgets at that time. `setup`, `budgets` and `bases` are texts in JSON that many rows
    share: the fingerprint (empty: unknown), the budgets, and `{reference: image id}` of the external images.
    """

    image: str
    verdict: str
    image_id: str
    metrics: dict[str, int]
    setup: str
    budgets: str
    bases: str


@dataclass(frozen=True, kw_only=True)
class Released:
    """One image that a release decision let pass. `tag`: the candidate's name; `released`: seconds since 1970."""

    image: str
    platform: str
    tag: str
    released: int
    image_id: str
    metrics: dict[str, int]


def releases_of(facts: ReleaseFacts, file: str) -> list[Released]:
    """What a release decision let pass; empty where it refused. Raises ConfigError for impossible values."""
    if facts.exit_code != 0:
        return []
    return [
        Released(
            image=_name(image.name),
            platform=_name(image.platform),
            tag=_name(facts.candidate),
            released=_moment(facts.checked, "checked", file),
            image_id=_name(image.image_id),
            metrics={
                name: _bounded(metric.value, f"{image.name}: {name}", file)
                for name, metric in image.metrics.named()
                if metric.value is not None
            },
        )
        for image in facts.images
        if image.name is not None
    ]


def run_of(report: Report, file: str) -> Run:
    """The run of a report. The same report gives the same `ident`, so that reading it twice changes nothing.

    Raises ConfigError, naming `file`, when its start is no time.
    """
    moment = _moment(report.started, "started", file)
    commit = _name(report.commit or "")
    key = json.dumps([moment, commit, report.ci_budget])
    return Run(
        ident=hashlib.sha256(key.encode()).hexdigest()[:32], started=moment, commit=commit, tool=_name(report.ci_budget)
    )


def measurements_of(report: Report, file: str) -> list[Measurement]:
    """A row for every image of a report. Raises ConfigError, naming `file`, for impossible values or a name twice."""
    rows = [_measurement(image, file) for image in report.images]
    names = [row.image for row in rows]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise ConfigError(f"the image '{twice}' stands twice in this report", file=file)
    return rows


def read_setup(text: str) -> Fingerprint | None:
    """The fingerprint of a row; None where the run knew none, or the text is not one."""
    try:
        return Fingerprint.model_validate_json(text) if text else None
    except ValueError:
        return None


def read_mapping(text: str) -> dict[str, object]:
    """A row's budgets or bases; empty where the text is no mapping."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _measurement(image: ImageReport, file: str) -> Measurement:
    values: dict[str, int] = {}
    budgets: dict[str, int] = {}
    for name in METRIC_NAMES:
        metric = getattr(image.metrics, name)
        if metric is None:
            continue
        for kept, value in ((values, metric.value), (budgets, metric.budget)):
            if value is not None:
                kept[name] = _bounded(value, f"{image.name}: {name}", file)
    bases = {shorten(one_line(base.reference), LONGEST_NAME): _name(base.image_id or "") for base in image.bases[:50]}
    return Measurement(
        image=_name(image.name),
        verdict=image.verdict.value,
        image_id=_name(image.image_id or ""),
        metrics=values,
        setup=image.fingerprint.model_dump_json() if image.fingerprint is not None else "",
        budgets=json.dumps(budgets, sort_keys=True),
        bases=json.dumps(bases, sort_keys=True),
    )


def _moment(text: str, key: str, file: str) -> int:
    """Whole seconds since 1970. Raises ConfigError, naming `file` and `key`, where the text is no time in UTC."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None or not _EARLIEST < found < _LATEST:
            raise ValueError
    except ValueError:
        raise ConfigError(
            f"`{key}` is '{shorten(one_line(text))}', no time in UTC such as 2026-03-01T10:00:00Z",
            mend="Use the file as ci-budget wrote it.",
            file=file,
        ) from None
    return int(found.timestamp())


def _bounded(value: int, what: str, file: str) -> int:
    if not 0 <= value <= MAX_SIZE:
        raise ConfigError(f"{shorten(one_line(what))} is {value:,}, which nothing can measure", file=file)
    return value


def _name(text: str) -> str:
    """A text that every database takes: printable, and not too long; two long names stay different."""
    line = one_line(text)
    if len(line) <= LONGEST_NAME:
        return line
    return f"{line[: LONGEST_NAME - 12]}~{hashlib.sha256(line.encode()).hexdigest()[:11]}"
