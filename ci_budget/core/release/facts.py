"""The stored facts of a release decision, `release.json`: what the gate relied on, so that others can follow it.

`schema_version` is raised whenever a reader of the old format would misread a new file. Sizes are bytes.
"""

from __future__ import annotations

from pydantic import Field

from ci_budget.core.records.report import Approval, Metrics, Stored, Verdict

SCHEMA_VERSION = 1


class UsedReport(Stored):
    """A report that was read: the hash of its report.json, and what it says of its run."""

    file: str
    sha256: str
    started: str
    commit: str | None
    verdict: Verdict
    exit_code: int


class LastRelease(Stored):
    """What the candidate was compared with: an image of a registry, or the report of one."""

    reference: str
    digest: str | None = None
    report_sha256: str | None = None
    image_ids: list[str] = Field(default_factory=list)


class ReleasedImage(Stored):
    """The candidate for one platform. `name`: in the config; `report`: which of `reports` measured it, from 0.

    `refused`: why it may not be released, whatever its metrics say.
    """

    platform: str
    manifest_digest: str
    image_id: str
    name: str | None = None
    report: int | None = None
    verdict: Verdict
    exit_code: int
    metrics: Metrics = Metrics()
    approvals: list[Approval] = Field(default_factory=list)
    refused: str | None = None
    notes: list[str] = Field(default_factory=list)


class ReleaseFacts(Stored):
    """The decision. `digest`: of the candidate's manifest or index, which `candidate` led to when it was asked."""

    schema_version: int = SCHEMA_VERSION
    ci_budget: str
    verdict: Verdict
    exit_code: int
    checked: str
    candidate: str
    digest: str
    reports: list[UsedReport] = Field(default_factory=list)
    last: LastRelease | None = None
    images: list[ReleasedImage] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)

    @property
    def pinned(self) -> str:
        """The candidate by digest: the name to release it by."""
        name = self.candidate.partition("@")[0]
        head, colon, tag = name.rpartition(":")
        return f"{head if colon and '/' not in tag else name}@{self.digest}"
