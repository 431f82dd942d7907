"""Names in a build context that a build does not need, and what a Dockerfile says where it needs them after all."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

ANYWHERE: Final = {
    ".git": "history", ".hg": "history", ".svn": "history",
    "__pycache__": "caches", ".pytest_cache": "caches", ".mypy_cache": "caches", ".ruff_cache": "caches",
    ".hypothesis": "caches", ".tox": "caches", ".nox": "caches", ".eggs": "caches", ".ipynb_checkpoints": "caches",
    "htmlcov": "caches", ".gradle": "caches", ".terraform": "caches", ".parcel-cache": "caches", ".turbo": "caches",
    ".venv": "caches", ".direnv": "caches", ".nyc_output": "caches", ".pnpm-store": "caches", ".vagrant": "caches",
    ".serverless": "caches", ".scannerwork": "caches", ".DS_Store": "editors",
    ".idea": "editors", ".vscode": "editors", ".github": "editors", ".gitlab": "editors", ".devcontainer": "editors",
}  # fmt: skip
AT_TOP: Final = {"tests": "tests", "test": "tests", "__tests__": "tests", "docs": "docs", "doc": "docs"}
FILES: Final = ((".pyc", "**/*.pyc", "caches"), (".pyo", "**/*.pyo", "caches"))
RUNNERS: Final = {
    "tests": re.compile(r"\b(?:py\.?test|tox|nox|unittest|ctest|jest|npm (?:run )?test|make (?:check|test)|go test)\b"),
    "docs": re.compile(r"\b(?:mkdocs|sphinx-build|sphinx|docusaurus|make (?:docs|html))\b"),
    "history": re.compile(r"\bgit (?:describe|log|rev-parse|rev-list|status|submodule|show)\b"),
}
SCRIPTS: Final = re.compile(r"(?:\.(?:sh|bash)|(?:^|/)(?:Makefile|makefile|Procfile))$")
VERSIONED: Final = re.compile(
    r"setuptools[-_]scm|hatch[-_]vcs|versioneer|versioningit|dunamai|dynamic-versioning|pbr\b|\.git\b"
)


@dataclass(frozen=True, kw_only=True)
class Remade:
    """Folders that a build makes itself: spare where every stage that takes them along makes them anew.

    `beside`: names of which one lies in the same folder, as the project's own file (none: no need). `makes`: what makes
    them.
    """

    folder: re.Pattern[str]
    beside: Collection[str]
    makes: re.Pattern[str]


_BUILDS = r"\b(?:npm|pnpm|yarn|bun)(?: run)? build\b|\b(?:vite|next|nuxt|ng|webpack|tsup|rollup|astro)\b(?: build)?"
_INSTALLS = r"\bpip3? install\b|\buv (?:sync|pip|build)\b|\b(?:poetry|pdm|hatch|pipx) (?:install|build)\b|\bsetup\.py\b"
REMADE: Final[Sequence[Remade]] = (
    Remade(
        folder=re.compile("node_modules"),
        beside=(),
        makes=re.compile(
            r"\b(?:npm (?:ci|i|install|clean-install)|pnpm (?:i|install)|bun (?:i|install)"
            r"|yarn(?: install| --|\s*(?:&|;|$)))"
            r"|^COPY .*--from=.*\bnode_modules\b",
            re.MULTILINE,
        ),
    ),
    Remade(
        folder=re.compile("target"),
        beside=("Cargo.toml", "pom.xml", "build.sbt"),
        makes=re.compile(r"\bcargo (?:build|b|install|test)\b|\bmvnw? |\bsbt\b"),
    ),
    Remade(folder=re.compile("dist"), beside=("package.json",), makes=re.compile(_BUILDS)),
    Remade(
        folder=re.compile("dist"),
        beside=("pyproject.toml", "setup.py"),
        makes=re.compile(r"\b(?:-m|uv|poetry|hatch) build\b"),
    ),
    Remade(
        folder=re.compile(r"\.(?:next|nuxt|output|svelte-kit|angular)"),
        beside=("package.json",),
        makes=re.compile(_BUILDS),
    ),
    Remade(folder=re.compile(r"[^/]+\.egg-info"), beside=(), makes=re.compile(_INSTALLS)),
)
