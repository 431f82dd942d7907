"""GitHub's side of a run: the only reader of GITHUB_* and RUNNER_*, and the writer of outputs and summaries.

Variables: https://docs.github.com/actions/reference/workflows-and-actions/variables. Everything in
the event payload is untrusted and may be missing.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci_budget.errors import ConfigError, UnmeasuredError

LARGEST_EVENT = 25 * 1024 * 1024
"""Bytes; GitHub caps a webhook's payload at 25 MB."""

LARGEST_SUMMARY = 1_000_000
"""Bytes; above 1 MiB GitHub drops a step's summary whole."""

LARGEST_OUTPUT = 900_000
"""Bytes; above 1 MB an output fails the step."""

DEFAULT_API = "https://api.github.com"

VARIABLE_PREFIXES = ("GITHUB_", "RUNNER_")
"""How the names of the variables start that are read here; whoever starts us again has to hand them on."""

_FOLDERS = ("RUNNER_TEMP", "GITHUB_WORKSPACE")
_FILES = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_EVENT_PATH")
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MERGE_REF = re.compile(r"refs/pull/\d+/merge")
_OUTPUT_NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, kw_only=True)
class WorkflowRun:
    """The run that started this workflow (event workflow_run). `branch` and `owner` are its head's, maybe a fork's."""

    id: int
    event: str
    conclusion: str
    head_sha: str
    branch: str | None
    owner: str | None


@dataclass(frozen=True, kw_only=True)
class GitHubContext:
    """What GitHub says of this run. Outside GitHub Actions everything is empty and nothing is written."""

    in_actions: bool = False
    event_name: str = ""
    repository: str | None = None
    ref: str | None = None
    sha: str | None = None
    api_url: str = DEFAULT_API
    workspace: Path | None = None
    runner_temp: Path | None = None
    debug: bool = False
    proposes: bool = False
    """True for a pull request or a merge queue's group: the revision is a proposal, its limits do not count."""
    pull_request: int | None = None
    base_sha: str | None = None
    head_sha: str | None = None
    is_fork: bool = False
    labels: tuple[str, ...] = ()
    """The pull request's labels. Whoever may label it may set them, so they ask and never decide."""
    run_url: str | None = None
    """The page of this run; of the run that started this one, where one did."""
    workflow_run: WorkflowRun | None = None
    output_file: Path | None = None
    summary_file: Path | None = None

    def base_revision(self, *, head: str, parents: Sequence[str]) -> str | None:
        """The revision whose limits count, or None where this is no proposal or the base is not known.

        `head` is the commit that is checked out, `parents` are its parents. On a pull request's merge
        commit, which GitHub makes, the first parent is the base; on any other commit it may be the
        proposal's own, and only the payload is believed.
        """
        if not self.proposes:
            return None
        merge = self.ref is not None and _MERGE_REF.fullmatch(self.ref) is not None
        if merge and head == self.sha and len(parents) == 2:
            return parents[0]
        return self.base_sha

    def write_outputs(self, outputs: Mapping[str, str]) -> None:
        """Set the step's outputs. A value above GitHub's limit is left empty.

        The delimiters are random, so no value can end its own entry and start another.
        """
        if self.output_file is None:
            return
        entries: list[str] = []
        for name, value in outputs.items():
            if not _OUTPUT_NAME.fullmatch(name):
                raise ValueError(f"'{name}' is no name for an output")
            fits = value if len(value.encode()) <= LARGEST_OUTPUT else ""
            delimiter = f"ci-budget-{secrets.token_hex(16)}"
            entries.append(f"{name}<<{delimiter}\n{fits}\n{delimiter}\n")
        _append(self.output_file, "".join(entries))

    def write_summary(self, markdown: str) -> None:
        """Add to the step's summary; what is above GitHub's limit is cut at a line, and the cut is named."""
        if self.summary_file is None:
            return
        try:
            before = self.summary_file.stat().st_size
        except OSError:
            before = 0
        _append(self.summary_file, cut_summary(markdown, room=LARGEST_SUMMARY - before))


def read_context(environ: Mapping[str, str]) -> GitHubContext:
    """The context of this run from the environment and the event's payload.

    Never raises: a payload that cannot be read leaves `base_sha` None and `is_fork` True, and then
    nothing can be taken for a trusted base.
    """
    if environ.get("GITHUB_ACTIONS") != "true":
        return GitHubContext(runner_temp=_path(environ, "RUNNER_TEMP"))
    event = environ.get("GITHUB_EVENT_NAME", "")
    payload = _read_payload(_path(environ, "GITHUB_EVENT_PATH"))
    repository = environ.get("GITHUB_REPOSITORY") or None
    base_sha = head_sha = None
    number = None
    is_fork = False
    labels: tuple[str, ...] = ()
    proposes = event in ("pull_request", "pull_request_target", "merge_group")
    if event == "merge_group":
        base_sha = _sha(_at(payload, "merge_group", "base_sha"))
        head_sha = _sha(_at(payload, "merge_group", "head_sha"))
    elif proposes:
        base_sha = _sha(_at(payload, "pull_request", "base", "sha"))
        head_sha = _sha(_at(payload, "pull_request", "head", "sha"))
        found = _at(payload, "pull_request", "number")
        number = found if isinstance(found, int) and not isinstance(found, bool) else None
        origin = _at(payload, "pull_request", "head", "repo", "full_name")
        labels = _names(_at(payload, "pull_request", "labels"))
        is_fork = not isinstance(origin, str) or repository is None or origin.casefold() != repository.casefold()
    started_by = _workflow_run(payload) if event == "workflow_run" else None
    return GitHubContext(
        in_actions=True,
        event_name=event,
        repository=repository,
        ref=environ.get("GITHUB_REF") or None,
        sha=_sha(environ.get("GITHUB_SHA")),
        api_url=(environ.get("GITHUB_API_URL") or DEFAULT_API).rstrip("/"),
        workspace=_path(environ, "GITHUB_WORKSPACE"),
        runner_temp=_path(environ, "RUNNER_TEMP"),
        debug=environ.get("RUNNER_DEBUG") == "1",
        proposes=proposes,
        pull_request=number,
        base_sha=base_sha,
        head_sha=head_sha,
        is_fork=is_fork,
        labels=labels,
        run_url=_run_page(environ, started_by.id if started_by is not None else environ.get("GITHUB_RUN_ID", "")),
        workflow_run=started_by,
        output_file=_path(environ, "GITHUB_OUTPUT"),
        summary_file=_path(environ, "GITHUB_STEP_SUMMARY"),
    )


def read_token(environ: Mapping[str, str]) -> str:
    """The token for GitHub's API. Raises ConfigError, with what to do, where there is none."""
    token = environ.get("GITHUB_TOKEN", "").strip()
    if not token:
        mend = "In a workflow: `env: {GITHUB_TOKEN: ${{ github.token }}}`, and the permission to write what is written."
        raise ConfigError("there is no token for GitHub: the variable GITHUB_TOKEN is empty", mend=mend)
    return token


def runner_folders(environ: Mapping[str, str]) -> list[Path]:
    """The folders of the job that a run elsewhere on this machine (in a container) must see under the same paths."""
    folders = [Path(environ[name]) for name in _FOLDERS if environ.get(name)]
    return folders + [Path(environ[name]).parent for name in _FILES if environ.get(name)]


def cut_summary(markdown: str, *, room: int) -> str:
    """The Markdown, ended by a line break, in at most `room` bytes: whole lines, and a last one that names the cut."""
    text = markdown if markdown.endswith("\n") else f"{markdown}\n"
    data = text.encode("utf-8", "replace")
    if len(data) <= room:
        return text
    notice = "\n\n**The summary is cut here: GitHub shows at most 1 MiB. The whole report is in the report folder.**\n"
    kept = data[: max(0, room - len(notice.encode()))]
    kept = kept[: kept.rfind(b"\n") + 1]
    return kept.decode("utf-8", "ignore") + notice if kept else ""


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8", errors="replace", newline="") as file:
            file.write(text)
    except OSError as error:
        raise UnmeasuredError(f"cannot write to GitHub's file {path}: {error.strerror}") from error


def _read_payload(path: Path | None) -> object:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_EVENT + 1)
        return json.loads(data) if len(data) <= LARGEST_EVENT else None
    except (OSError, ValueError, RecursionError):
        return None


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _names(labels: Any) -> tuple[str, ...]:
    found = [_at(label, "name") for label in labels] if isinstance(labels, list) else []
    return tuple(name for name in found if isinstance(name, str))


def _run_page(environ: Mapping[str, str], run: str | int) -> str | None:
    server, repository = (environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY"))
    return f"{server.rstrip('/')}/{repository}/actions/runs/{run}" if server and repository and str(run) else None


def _workflow_run(payload: object) -> WorkflowRun | None:
    run = _at(payload, "workflow_run")
    ident, sha = _at(run, "id"), _sha(_at(run, "head_sha"))
    if not isinstance(ident, int) or isinstance(ident, bool) or sha is None:
        return None
    event, conclusion, branch, owner = (
        found if isinstance(found, str) else None
        for found in (
            _at(run, "event"),
            _at(run, "conclusion"),
            _at(run, "head_branch"),
            _at(run, "head_repository", "owner", "login"),
        )
    )
    return WorkflowRun(
        id=ident, event=event or "", conclusion=conclusion or "", head_sha=sha, branch=branch, owner=owner
    )


def _sha(value: object) -> str | None:
    """A full commit id, or None: nothing else may reach git's command line."""
    return value if isinstance(value, str) and _SHA.fullmatch(value) else None


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(name)
    return Path(value) if value else None
