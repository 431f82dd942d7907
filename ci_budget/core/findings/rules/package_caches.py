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
        r"(?:^|/)\.cache/uv/|(?:^|/)(?:archive|wheels|simple|builds|sdists|git|interpreter)-v[0-9]+/",
        "Mount the cache: RUN --mount=type=cache,target=/root/.cache/uv; or install with `uv pip install --no-cache`.",
    ),
    _cache(
        "conda",
        r"(?:^|/)(?:conda|[a-z]*conda3|[a-z]*mamba|[a-z]*forge3?)/pkgs/",
        "End this RUN with: && conda clean --all --yes",
    ),
    _cache(
        "npm",
        r"(?:^|/)\.npm/_(?:cacache|logs|npx)/",
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
        r"(?:^|/)\.cache/go-build/|^go/pkg/mod/cache/",
        "Mount the cache: RUN --mount=type=cache,target=/root/.cache/go-build",
    ),
)
# all at once, tried only where a name begins: there are ten thousand folders
_LIKELY = re.compile(f"(?<![^/])(?:{'|'.join(cache.path.pattern.replace('(?:^|/)', '') for cache in _CACHES)})")


def _find(evidence: Evidence) -> Iterator[Finding]:
    held: dict[str, list[OwnFile]] = {}
    for folder, files in evidence.folders.items():
        if _LIKELY.search(folder):
            cache = next(cache for cache in _CACHES if cache.path.search(folder))
            held.setdefault(cache.manager, []).extend(files)
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


def _folder(cache: _Cache, path: str) -> str:
    found = cache.path.search(path)
    return path[: found.end()].rstrip("/") if found else path


RULE = Rule(name="package-caches", find=_find)
