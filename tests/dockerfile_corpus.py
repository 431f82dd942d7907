"""The Dockerfiles under `tests/fixtures/dockerfiles`: `built/` ones build, `refused/` ones do not."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ci_budget.core.dockerfile.instructions import Dockerfile, parse_dockerfile
from ci_budget.core.stages.planning import StagePlan, plan_stages

CORPUS = Path(__file__).parent / "fixtures" / "dockerfiles"
CONTEXT = CORPUS / "context"
_OPTIONS: dict[str, dict[str, Any]] = tomllib.loads((CORPUS / "options.toml").read_text())


@dataclass(frozen=True, kw_only=True)
class Case:
    """One Dockerfile with the options of its build."""

    name: str
    file: Path
    target: str | None = None
    build_args: dict[str, str] = field(default_factory=dict)
    contexts: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> bytes:
        """The file's bytes."""
        return self.file.read_bytes()

    def parse(self) -> Dockerfile:
        """The file, parsed; its name in messages is `Dockerfile`."""
        return parse_dockerfile(self.text, "Dockerfile")

    def plan(self) -> StagePlan:
        """The plan of building it for linux/amd64."""
        return plan_stages(
            self.parse(),
            target=self.target,
            build_args=self.build_args,
            platform="linux/amd64",
            build_contexts=self.contexts.keys(),
        )


def cases(folder: str) -> list[Case]:
    """The Dockerfiles of `built` or `refused`, by name."""
    return [
        Case(name=file.stem, file=file, **_OPTIONS.get(file.stem, {}))
        for file in sorted((CORPUS / folder).glob("*.Dockerfile"))
    ]
