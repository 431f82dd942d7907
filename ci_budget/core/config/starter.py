"""A first config for a repository, from the Dockerfiles in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

GENERIC_FOLDERS: Final = {"docker", ".docker", "build", "ci", "container", "containers", "deploy", "deployment", "src"}

_PLAIN = re.compile(r"(?!(?:true|false|null|yes|no|on|off|y|n)\Z)[A-Za-z_.][A-Za-z0-9_./-]*", re.ASCII | re.IGNORECASE)
_HEAD: Final = """\
# What the builds of this repository's images may cost. `ci-budget schema` describes every key.
version: 1

disk:
  mode: auto      # a sandbox where this machine allows one, else the runner's own engine
  budget: 20GB    # what one build may use
  reserve: 5GB    # space that must stay free on the host

defaults:
  # How far above its accepted baseline a value passes.
  tolerance: {peak_disk: 2%, image_size: 1%, layers: 0, context_size: 5%}

images:
"""
_BUDGETS: Final = """\
    # Absolute limits, beside the baseline: take them from what the first `ci-budget check` shows.
    # budgets: {peak_disk: 15GB, image_size: 5GB, layers: 10, context_size: 1MB}
"""


@dataclass(frozen=True, kw_only=True)
class FoundDockerfile:
    """A Dockerfile of the repository. Paths are relative to the root, with `/`; `context` is `.` for the root."""

    path: str
    context: str
    stages: tuple[str, ...]
    named: tuple[bool, ...]

    @property
    def target(self) -> str | None:
        """The last stage's name; None where it has none, or there is only one."""
        return self.stages[-1] if len(self.stages) > 1 and self.named[-1] else None


def render_starter(found: Sequence[FoundDockerfile], repository: str) -> str:
    """The text of a config that gates every found Dockerfile; `repository` names the one at the root."""
    names = image_names([one.path for one in found], repository)
    return _HEAD + "\n".join(_image(name, one) for name, one in zip(names, found, strict=True))


def image_names(paths: Iterable[str], repository: str) -> list[str]:
    """A name of its own for each Dockerfile: its folder's, the repository's at the root, with the file's suffix."""
    names: list[str] = []
    for path in paths:
        name = candidate = _image_name(path, repository)
        number = 2
        while candidate in names:
            candidate, number = f"{name}-{number}", number + 1
        names.append(candidate)
    return names


def _image_name(path: str, repository: str) -> str:
    *folders, file = path.split("/")
    while folders and folders[-1].lower() in GENERIC_FOLDERS:
        folders.pop()
    suffix = _suffix(file)
    base = folders[-1] if folders else ("" if suffix else repository)
    text = re.sub(r"[^a-z0-9._-]+", "-", "-".join(part for part in (base, suffix) if part).lower())
    return text.strip("-._")[:100] or "image"


def _suffix(file: str) -> str:
    """What a file's name adds to its folder's: `gpu` of `Dockerfile.gpu` and of `gpu.Dockerfile`."""
    lower = file.lower()
    for word in ("dockerfile", "containerfile"):
        if lower.startswith(f"{word}."):
            return file[len(word) + 1 :]
        if lower.endswith(f".{word}"):
            return file[: -len(word) - 1]
    return ""


def _image(name: str, found: FoundDockerfile) -> str:
    context = found.context
    depth = 0 if context == "." else context.count("/") + 1
    dockerfile = "/".join(found.path.split("/")[depth:])
    lines = [f"  {_scalar(name)}:", f"    context: {_scalar(context)}", f"    dockerfile: {_scalar(dockerfile)}"]
    if found.target is not None:
        lines.append(f"    target: {_scalar(found.target)}    # stages: {', '.join(found.stages)}")
    return "\n".join(lines) + "\n" + _BUDGETS


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
