"""What a workflow run left behind, taken as data: one file out of one archive, in memory, bounded.

Nothing is unpacked to the disk, so no name and no link in the archive leads anywhere.
"""

from __future__ import annotations

import io
import zipfile
import zlib

from ci_budget.edges.files.report_files import LARGEST_REPORT, REPORT_NAME
from ci_budget.edges.web.github_api import GitHubApi
from ci_budget.edges.web.pull_requests import Answer, read_answer
from ci_budget.errors import ConfigError

READ = "actions: read"
LARGEST_ARTIFACT = 256 * 1024 * 1024
"""Bytes of an archive that is read; build logs lie in it as well."""

MOST_FILES = 20_000


class _Artifact(Answer):
    id: int
    name: str
    size_in_bytes: int
    expired: bool


def read_run_report(api: GitHubApi, run: int, name: str) -> bytes | None:
    """The report.json in the newest artifact of this name of a run; None where the run left none of that name.

    Raises ConfigError for an archive or a file in it that is not as a gate leaves it.
    """
    listed = api.pages(f"actions/runs/{run}/artifacts", right=READ, within="artifacts", name=name)
    found = [artifact for item in listed if (artifact := read_answer(_Artifact, item)).name == name]
    usable = [artifact for artifact in found if not artifact.expired]
    if not usable:
        return None
    newest = max(usable, key=lambda artifact: artifact.id)  # a job that was run again leaves another
    what = f"artifact '{name}' of run {run}"
    if newest.size_in_bytes > LARGEST_ARTIFACT:
        raise ConfigError(f"the {what} has {newest.size_in_bytes:,} bytes; at most {LARGEST_ARTIFACT:,} are read")
    data = api.download(f"actions/artifacts/{newest.id}/zip", right=READ, most=LARGEST_ARTIFACT)
    return read_archived_report(data, what)


def read_archived_report(data: bytes, what: str) -> bytes:
    """The bytes of report.json at the top of a zip archive. Raises ConfigError; `what` names the archive in it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if len(names) > MOST_FILES:
                raise ConfigError(f"the {what} holds {len(names):,} files; at most {MOST_FILES:,} are looked at")
            if names.count(REPORT_NAME) != 1:
                raise ConfigError(f"the {what} has {names.count(REPORT_NAME)} files {REPORT_NAME} at its top, not one")
            with archive.open(REPORT_NAME) as stream:
                report = stream.read(LARGEST_REPORT + 1)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ConfigError(f"the {what} is no archive that can be read: {error}") from error
    if len(report) > LARGEST_REPORT:
        raise ConfigError(f"{REPORT_NAME} in the {what} is larger than {LARGEST_REPORT:,} bytes")
    return report
