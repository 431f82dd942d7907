"""The report folder: written atomically, cleared only of an earlier report of its own, read back with suspicion."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ci_budget.core.records.report import SCHEMA_VERSION, Report
from ci_budget.core.records.stored import parse_stored
from ci_budget.core.release.facts import SCHEMA_VERSION as RELEASE_VERSION
from ci_budget.core.release.facts import ReleaseFacts
from ci_budget.edges.files.config_file import read_bounded
from ci_budget.edges.files.whole_file import replace_file
from ci_budget.edges.signals import shielded
from ci_budget.errors import ConfigError, UnmeasuredError

MARKER = ".ci-budget-report"
REPORT_NAME = "report.json"
RELEASE_NAME = "release.json"
INVENTORY_NAME = "inventory.json.zst"
LOG_FOLDER = "logs"
OWN_NAMES = (
    REPORT_NAME,
    "report.md",
    "report.html",
    INVENTORY_NAME,
    "junit.xml",
    "report.sarif",
    RELEASE_NAME,
)
LARGEST_REPORT = 64_000_000
MOST_REPORTS = 100_000

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 80
_DRAFT = ".draft-"
_MEND = "Name a folder that you may write, on a disk with room, with --report."
_MARKER_TEXT = "This folder holds a report of ci-budget; the next run into it replaces the report's files.\n"


@dataclass(frozen=True, kw_only=True)
class ReportFolder:
    """A folder that is ready for one report."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> ReportFolder:
        """Make the folder and clear it of an earlier report; whatever else lies there stays.

        Raises ConfigError when it cannot be used, or when files with a report's names lie in it that no earlier
        run wrote.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not _is_ours(path):
                foreign = [name for name in (*OWN_NAMES, LOG_FOLDER) if os.path.lexists(path / name)]
                if foreign:
                    raise ConfigError(
                        f"{path} holds {foreign[0]}, which is no report of ci-budget",
                        mend="Move it away, or name another folder with --report.",
                    )
            _clear(path)
            marker = path / MARKER
            marker.unlink(missing_ok=True)
            with marker.open("x", encoding="utf-8") as stream:
                stream.write(_MARKER_TEXT)
        except OSError as error:
            raise _unwritable(path, error) from error
        return cls(path=path)

    def write(self, name: str, content: str | bytes) -> Path:
        """Put one file of the report in place, whole or not at all; a link in its place is replaced, not followed.

        `name` is one of `OWN_NAMES`. Raises UnmeasuredError when it cannot be written.
        """
        if name not in OWN_NAMES:
            raise ValueError(f"'{name}' is no file of a report")
        data = content.encode("utf-8", "replace") if isinstance(content, str) else content
        target = self.path / name
        with shielded():  # a signal waits until the file stands in its place
            try:
                replace_file(target, data, draft=_DRAFT)
            except OSError as error:
                raise UnmeasuredError(
                    f"the report cannot be written to {target}: {error.strerror}", mend=_MEND
                ) from error
        return target

    def log_folder(self, image: str) -> Path:
        """Where the build logs of an image are kept: a folder with a name of plain characters, made by its user."""
        return self.path / LOG_FOLDER / _plain_name(image)


def read_report(path: Path) -> Report:
    """A report, from its folder or its report.json.

    Raises ConfigError, with what to do, when there is none, or it is not a whole report of this format.
    """
    file = path / REPORT_NAME if path.is_dir() else path
    if not os.path.lexists(file):
        raise ConfigError(f"there is no report {file}", mend="`ci-budget check --report FOLDER` writes one.")
    return parse_report(read_bounded(file, LARGEST_REPORT), str(file))


def parse_report(data: bytes, file: str) -> Report:
    """A report from its bytes, believed in nothing: its size, its version and its shape are checked."""
    return parse_stored(
        data,
        file=file,
        model=Report,
        kind="report",
        version=SCHEMA_VERSION,
        mend="Run `ci-budget check` again; it writes the report anew.",
        largest=LARGEST_REPORT,
    )


def read_release(folder: Path) -> ReleaseFacts | None:
    """The release decision beside a report; None where there is none. Raises ConfigError for one that is damaged."""
    file = folder / RELEASE_NAME
    if not os.path.lexists(file):
        return None
    return parse_stored(
        read_bounded(file, LARGEST_REPORT),
        file=str(file),
        model=ReleaseFacts,
        kind="release decision",
        version=RELEASE_VERSION,
        mend="Run `ci-budget release` again; it writes the decision anew.",
        largest=LARGEST_REPORT,
    )


def find_reports(path: Path) -> list[Path]:
    """The report.json files that `path` stands for: itself, the one in this folder, or all below it.

    Links to folders are not followed. Raises ConfigError where there is none, or more than MOST_REPORTS.
    """
    if not path.is_dir():
        return [path]
    if os.path.lexists(path / REPORT_NAME):
        return [path / REPORT_NAME]
    found = []
    for folder, folders, names in os.walk(path):
        folders.sort()
        if REPORT_NAME in names:
            found.append(Path(folder, REPORT_NAME))
        if len(found) > MOST_REPORTS:
            raise ConfigError(f"{path} holds more than {MOST_REPORTS:,} reports", mend="Import it folder by folder.")
    if not found:
        raise ConfigError(f"there is no {REPORT_NAME} in {path} or below", mend="Name a report's folder or file.")
    return found


def _is_ours(folder: Path) -> bool:
    """Whether an earlier run marked the folder: with a plain file, never a link."""
    try:
        status = (folder / MARKER).lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode)


def _clear(folder: Path) -> None:
    _remove_files(folder / name for name in OWN_NAMES)
    _remove_files(folder.glob(f"{_DRAFT}*"))  # of a run that was killed while it wrote
    logs = folder / LOG_FOLDER
    if logs.is_symlink():
        logs.unlink()
    elif logs.is_dir():
        shutil.rmtree(logs)  # follows no links (shutil.rmtree.avoids_symlink_attacks)


def _remove_files(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _plain_name(text: str) -> str:
    """The text as a file name; two texts never get the same one."""
    plain = _UNSAFE.sub("-", text).strip(".-")[:_LONGEST_NAME] or "unnamed"
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"the report cannot be written to {path}: {error.strerror}",
        mend=_MEND,
    )
