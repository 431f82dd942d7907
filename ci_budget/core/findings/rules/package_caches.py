"""Caches that package managers keep for a next run, which an image never has.

A cache in its usual place is known by its path, one moved elsewhere (`PIP_CACHE_DIR`, `UV_CACHE_DIR`) by how its
folders are laid out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ci_budget.core.findings.rule import Evidence, OwnFile, Rule, by_layer, make_finding
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size


@dataclass(frozen=True, kw_only=True)
class _Cache:
    manager: str
    path: re.Pattern[str]
    mend: str


def _cache(manager: str, path: str, mend: str) -> _Cache:
    return _Cache(manager=manager, path=re.compile(path), mend=mend)


_HEX = "[0-9a-f]"
_CACHES: Sequence[_Cache] = (
    _cache(
        "pip",
        rf"(?:^|/)\.cache/pip/|(?:^|/)http-v2/{_HEX}/{_HEX}/{_HEX}/{_HEX}/{_HEX}/",
        "Install with `pip install --no-cache-dir`, or mount the cache: RUN --mount=type=cache,target=/root/.cache/pip",
    ),
    _cache(
        "uv",
        r"(?:^|/)\.cache/uv/|(?:^|/)(?:(?:archive|builds)-v0|(?:wheels|simple|sdists)-v[0-9]+/(?:pypi|index|url|git|path)"
        r"|git-v0/(?:db|checkouts))/",
        "Mount the cache: RUN --mount=type=cache,target=/root/.cache/uv; or install with `uv pip install --no-cache`.",
    ),
    _cache(
        "conda",
        r"(?:^|/)(?:conda|[a-z]*conda3|[a-z]*mamba|[a-z]*forge3?)/pkgs/",
        "End this RUN with: && conda clean --all --yes",
    ),
    _cache(
        "npm",
        r"(?:^|/)\.npm/_(?:logs|npx)/|(?:^|/)_cacache/",
        "End this RUN with: && npm cache clean --force; or mount the cache: RUN --mount=type=cache,target=/root/.npm",
    ),
    _cache("yarn", r"(?:^|/)\.cache/yarn/|(?:^|/)\.yarn/(?:berry/)?cache/", "End this RUN with: && yarn cache clean"),
    _cache(
        "pnpm",
        r"(?:^|/)(?:pnpm/store|\.pnpm-store)/",
        "End this RUN with: && pnpm store prune; or mount the store: RUN --mount=type=cache,target=/pnpm/store",
    ),
    _cache("poetry", r"(?:^|/)\.cache/pypoetry/", "End this RUN with: && poetry cache clear --all --no-interaction ."),
    _cache("apk", r"^var/cache/apk/|^etc/apk/cache/", "Install with `apk add --no-cache`."),
    _cache("dnf", r"^var/cache/(?:dnf|yum|libdnf5)/", "End this RUN with: && dnf clean all"),
    _cache(
        "cargo",
        r"(?:^|/)\.?cargo/registry/(?:cache|src|index)/",
        "Mount the registry: RUN --mount=type=cache,target=/usr/local/cargo/registry",
    ),
    _cache(
        "go",
        r"(?:^|/)\.cache/go-build/|(?:^|/)go/pkg/mod/cache/",
        "Mount the caches: RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build",
    ),
    _cache(
        "composer",
        r"(?:^|/)\.composer/cache/|(?:^|/)\.cache/composer/",
        "End this RUN with: && composer clear-cache; or mount the cache: "
        "RUN --mount=type=cache,target=/root/.composer/cache",
    ),
    _cache("maven", r"(?:^|/)\.m2/repository/", "Mount the repository: RUN --mount=type=cache,target=/root/.m2"),
    _cache("gradle", r"(?:^|/)\.gradle/caches/", "Mount the cache: RUN --mount=type=cache,target=/root/.gradle"),
    _cache(
        "bundler",
        r"(?:^|/)bundle/(?:ruby/[^/]+/)?cache/|(?:^|/)ruby/gems/[^/]+/cache/",
        'End this RUN with: && rm -rf "$(gem env gemdir)"/cache/*.gem',
    ),
    _cache(
        "nuget",
        r"(?:^|/)\.nuget/packages/",
        "Mount the packages: RUN --mount=type=cache,target=/root/.nuget/packages",
    ),
    _cache("bun", r"(?:^|/)\.bun/install/cache/", "End this RUN with: && bun pm cache rm"),
    _cache("pdm", r"(?:^|/)\.cache/pdm/", "End this RUN with: && pdm cache clear"),
    _cache("pipenv", r"(?:^|/)\.cache/pipenv/", "End this RUN with: && pipenv --clear"),
    _cache("zypper", r"^var/cache/zypp/", "End this RUN with: && zypper clean --all"),
    _cache("pacman", r"^var/cache/pacman/pkg/", "End this RUN with: && pacman -Scc --noconfirm"),
)
# all at once, tried only where a name begins: there are ten thousand folders
_LIKELY = re.compile(f"(?<![^/])(?:{'|'.join(cache.path.pattern.replace('(?:^|/)', '') for cache in _CACHES)})")

_PROJECT_CACHE = re.compile(r"(?<![^/])\.yarn/cache/")
_MAPS = (".pnp.cjs", ".pnp.js")


def _find(evidence: Evidence) -> Iterator[Finding]:
    held: dict[str, list[OwnFile]] = {}
    for folder in evidence.folders:
        if _LIKELY.search(folder):
            cache = next(cache for cache in _CACHES if cache.path.search(folder))
            if _runs_from_cache(evidence, folder):
                continue
            held.setdefault(cache.manager, []).extend(evidence.in_folder(folder))
    for cache in _CACHES:
        for group in by_layer(held.get(cache.manager, ())):
            place = evidence.place(group.layer)
            where = f"{format_size(group.size)} in /{_folder(cache, group.largest)}"
            yield make_finding(
                evidence,
                RULE.name,
                place,
                size=group.size,
                message=f"{cache.manager} leaves its cache behind {place.step}: {where}.",
                mend=cache.mend,
            )


def _runs_from_cache(evidence: Evidence, folder: str) -> bool:
    """Whether Yarn's Plug'n'Play loads the packages from this folder when the program runs: its map lies beside."""
    found = _PROJECT_CACHE.search(folder)
    beside = evidence.in_folder(folder[: found.start()]) if found else ()
    return any(file.path.rpartition("/")[2] in _MAPS for file in beside)


def _folder(cache: _Cache, path: str) -> str:
    found = cache.path.search(path)
    return path[: found.end()].rstrip("/") if found else path


RULE = Rule(name="package-caches", find=_find)
