"""The one issue about drift: which images are over the threshold, and why. Everything untrusted is escaped."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from ci_budget.core.render.escape import code, escape_markdown
from ci_budget.core.text.plain_text import shorten
from ci_budget.errors import ConfigError

MARKER = "<!-- ci-budget-drift -->"
LARGEST_TRENDS = 64_000_000
"""Bytes of `ci-budget report --format json` that are read."""

_LARGEST = 60_000
_LONGEST = 300


class _Image(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    name: str
    platform: str
    offences: list[str]


class _Trends(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    schema_version: int
    until: str
    days: int
    threshold: float
    images: list[_Image]


@dataclass(frozen=True, kw_only=True)
class DriftIssue:
    """The issue's title and text; `crossed`: whether any image is over the threshold."""

    title: str
    body: str
    crossed: bool


def read_drift(data: bytes, file: str, *, address: str | None) -> DriftIssue:
    """The issue of what `ci-budget report --format json` printed. Raises ConfigError for anything else.

    `address`: where the whole report can be had.
    """
    try:
        trends = _Trends.model_validate_json(data)
    except ValidationError as error:
        raise ConfigError(
            "this is no report of trends", mend="`ci-budget report --format json` prints one.", file=file
        ) from error
    if trends.schema_version != 1:
        raise ConfigError(f"its format is version {trends.schema_version}, and this one reads version 1", file=file)
    worst = [image for image in trends.images if image.offences]
    plural = "images" if len(worst) != 1 else "image"
    title = f"ci-budget: {len(worst)} {plural} over the threshold" if worst else "ci-budget: nothing over the threshold"
    head = (
        f"Of {len(trends.images):,} images, {len(worst):,} grew or drifted by {trends.threshold:g} % or more, failed, "
        f"or will soon reach a budget ({trends.days} days until {escape_markdown(trends.until)})."
    )
    lines: list[str] = []
    room = _LARGEST
    for image in worst:
        why = "; ".join(escape_markdown(shorten(text, _LONGEST)) for text in image.offences[:5])
        line = f"- {code(shorten(image.name, _LONGEST))} ({escape_markdown(shorten(image.platform))}): {why}"
        room -= len(line.encode()) + 1
        if room < 0:
            lines.append(f"- and {len(worst) - len(lines):,} more")
            break
        lines.append(line)
    parts = [f"{MARKER}\n{head}", "\n".join(lines), f"The whole report: {address}" if address else ""]
    return DriftIssue(title=title, body="\n\n".join(part for part in parts if part) + "\n", crossed=bool(worst))


def is_drift_issue(body: str) -> bool:
    """Whether an issue's text begins with the marker."""
    return body.replace("\r\n", "\n").split("\n", 1)[0] == MARKER
