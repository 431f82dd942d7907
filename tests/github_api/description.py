"""GitHub's own description of its API (`@octokit/openapi`), cut down to the operations that ci-budget uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TOOLS = Path(__file__).resolve().parents[2] / ".tools" / "github-api"
WHOLE = TOOLS / "node_modules" / "@octokit" / "openapi" / "generated" / "api.github.com.json"

ARCHIVE = "/repos/{owner}/{repo}/actions/artifacts/{artifact_id}/{archive_format}"

OPERATIONS = {
    ("GET", "/user"),
    ("GET", "/repos/{owner}/{repo}/pulls"),
    ("GET", "/repos/{owner}/{repo}/issues/{issue_number}/comments"),
    ("POST", "/repos/{owner}/{repo}/issues/{issue_number}/comments"),
    ("PATCH", "/repos/{owner}/{repo}/issues/comments/{comment_id}"),
    ("DELETE", "/repos/{owner}/{repo}/issues/comments/{comment_id}"),
    ("GET", "/repos/{owner}/{repo}/actions/runs/{run_id}/artifacts"),
    ("GET", ARCHIVE),
    ("GET", "/repos/{owner}/{repo}/issues"),
    ("POST", "/repos/{owner}/{repo}/issues"),
    ("PATCH", "/repos/{owner}/{repo}/issues/{issue_number}"),
}
"""What ci-budget asks GitHub for. Whatever else is asked for, Prism refuses."""


def cut_description() -> dict[str, Any]:
    """The description of these operations alone, with every component that they refer to."""
    whole = json.loads(WHOLE.read_text())
    paths: dict[str, Any] = {}
    for method, path in OPERATIONS:
        entry = whole["paths"][path]
        kept = paths.setdefault(path, {key: value for key, value in entry.items() if key == "parameters"})
        kept[method.lower()] = entry[method.lower()]
    # Prism follows the redirect to the storage by itself, and has to know what comes from there.
    paths[ARCHIVE]["get"]["responses"]["200"] = {"description": "The archive."}
    components: dict[str, dict[str, Any]] = {}
    waiting = [paths]
    while waiting:
        for reference in _references(waiting.pop()):
            _, _, kind, name = reference.split("/")
            if name not in components.setdefault(kind, {}):
                components[kind][name] = whole["components"][kind][name]
                waiting.append(components[kind][name])
    return {"openapi": whole["openapi"], "info": whole["info"], "paths": paths, "components": components}


def example(cut: dict[str, Any], name: str) -> Any:
    """GitHub's own example of an answer."""
    return cut["components"]["examples"][name]["value"]


def _references(value: Any) -> list[str]:
    found: list[str] = []
    if isinstance(value, dict):
        for key, child in value.items():
            found += [child] if key == "$ref" and isinstance(child, str) else _references(child)
    elif isinstance(value, list):
        for child in value:
            found += _references(child)
    return found
