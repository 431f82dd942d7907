"""A step whose temporary files raise the peak of the whole build: what it wrote there and gave back at its end."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ci_budget.core.findings.rule import LEAST, Evidence, Place, Rule, make_finding, shell_text
from ci_budget.core.records.report import Finding, StepReport
from ci_budget.core.text.units import format_size
from ci_budget.errors import ExitCode

_SHARE = 10  # a tenth of the peak; below it hardly anything can be won
_MENDS = (
    (
        re.compile(r"(?<!\buv )\bpip3?\b[^;&|]*\binstall\b"),
        "pip keeps every wheel until the last one is there. uv unpacks while it downloads: RUN pip install "
        "--no-cache-dir uv && export UV_CACHE_DIR=/tmp/uv UV_LINK_MODE=hardlink && uv pip install --system PACKAGES "
        "&& rm -rf /tmp/uv && pip uninstall -y uv",
    ),
    (
        re.compile(r"\b(?:curl|wget)\b[\s\S]*\b(?:tar|unzip|bsdtar|dpkg)\b"),
        "Unpack while it downloads: curl -fsSL URL | tar -xz -C TARGET",
    ),
    (
        re.compile(r"\b(?:npm|yarn|pnpm)\b"),
        "Mount the cache, so that it is on the disk once: RUN --mount=type=cache,target=/root/.npm npm ci",
    ),
    (
        re.compile(r"\b(?:conda|mamba|micromamba)\b"),
        "Install in parts, each with its clean-up: conda install --yes PACKAGES && conda clean --all --yes",
    ),
)
# tools that a step brings and takes away again, and what a system's package manager works with, have to be there
_TAKES_AWAY = re.compile(
    r"\b(?:apt(?:-get)?|dnf|yum|microdnf)\b[^;&|]*\b(?:purge|remove|autoremove)\b|\bapk\b[^;&|]*\bdel\b"
)
_SYSTEM = re.compile(r"\b(?:apt(?:-get)?|dnf|yum|microdnf|apk)\b")
_OF_A_SYSTEMS = 400_000_000
"""Bytes below which they may all be a system's package manager's: its lists, their index, and its archives."""
_ELSE = "Work in parts and remove the files of each part before the next begins, or stream instead of storing."


def _find(evidence: Evidence) -> Iterator[Finding]:
    report = evidence.report
    peak = report.metrics.peak_disk
    if peak is None or peak.observed is None or peak.at_least or not report.timeline:
        return
    top = max(report.timeline, key=lambda point: point.used)
    running = [report.steps[index] for index in top.steps if index < len(report.steps)]
    step = max(running, key=lambda step: step.start_ms, default=None)
    if step is None or step.line is None or step.added is None or report.exit_code == ExitCode.BUILD:
        return  # what a step leaves that fails is given back for that alone
    before = max((point for point in report.timeline if point.t_ms <= step.start_ms), key=lambda point: point.t_ms,
                 default=report.timeline[0])  # fmt: skip
    given_back = top.used - (before.used + step.added)
    if given_back < LEAST or given_back * _SHARE < peak.observed:
        return
    place = _place(evidence, step)
    text = shell_text(evidence.instruction(place))
    mend = next((mend for pattern, mend in _MENDS if pattern.search(text)), None)
    if _TAKES_AWAY.search(text) or (_SYSTEM.search(text) and (mend is None or given_back < _OF_A_SYSTEMS)):
        return
    yield make_finding(
        evidence,
        RULE.name,
        place,
        size=given_back,
        of=peak.observed,
        message=f"The peak of {format_size(peak.observed)} is reached in {place.step}, of which "
        f"{format_size(given_back)} are temporary files that it gives back at its end.",
        mend=mend or _ELSE,
    )


def _place(evidence: Evidence, step: StepReport) -> Place:
    place = Place(stage=step.stage, line=step.line, command=step.name)
    instruction = evidence.instruction(place)
    return place if instruction is None else Place(stage=step.stage, line=step.line, command=instruction.original)


RULE = Rule(name="temporary-peak", find=_find)
