"""Caches that package managers keep for a next run, which an image never has.

A cache in its usual place is known by its path, one moved elsewhere (`PIP_CACHE_DIR`, `XDG_CACHE_HOME`, a store of
pnpm's) by how its folders are laid out. Its folder is what to remove: a manager's own command would not find that one.
A file that is linked to from outside of the cache, as uv and pnpm install, would stay without it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ci_budget.core.findings.copies import end_with, is_copy
from ci_budget.core.findings.rule import Evidence, Group, OwnFile, Place, Rule, by_layer, make_finding
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size


@dataclass(frozen=True, kw_only=True)
class _Cache:
    """`path`: up to the folder that is the cache. `mend`: with `{mounts}` and `{paths}` for its folders, `{tool}` for
    the first of `tools` that the step names."""

    manager: str
    path: re.Pattern[str]
    mend: str
    tools: Sequence[str]


def _cache(manager: str, path: str, mend: str, *tools: str) -> _Cache:
    return _Cache(manager=manager, path=re.compile(path), mend=mend, tools=tools)


_HEX = "[0-9a-f]"
_MOUNT = "ount the cache: RUN {mounts}"
_REMOVE = "End this RUN with: && rm -rf {paths}"
_CACHES: Sequence[_Cache] = (
    _cache(
        "pip",
        rf"(?:^|/)\.cache/pip/|(?:^|/)(?=http(?:-v2)?/{_HEX}/{_HEX}/{_HEX}/{_HEX}/{_HEX}/|wheels/{_HEX}{{2}}/{_HEX}{{2}}/{_HEX}{{2}}/{_HEX}+/)",
        f"Install with `pip install --no-cache-dir`, or m{_MOUNT}",
    ),
    _cache(
        "uv",
        r"(?:^|/)\.cache/uv/|(?:^|/)(?=(?:archive|builds)-v0/|(?:wheels|simple|sdists)-v[0-9]+/(?:pypi|index|url|git|path)/"
        r"|git-v0/(?:db|checkouts)/)",
        f"M{_MOUNT}; or set ENV UV_NO_CACHE=1.",
    ),
    _cache(
        "conda",
        r"(?:^|/)\.?(?:[a-z]*conda3?|[a-z]*mamba|[a-z]*forge3?)/pkgs/",
        "End this RUN with: && {tool} clean --all --yes",
        "micromamba",
        "mamba",
        "conda",
    ),
    _cache(
        "npm",
        r"(?:^|/)\.npm/(?=_(?:logs|npx)/)|(?:^|/)(?=_cacache/)",
        f"{_REMOVE}; or m{_MOUNT}",
    ),
    _cache(
        "yarn",
        r"(?:^|/)\.cache/yarn/|(?:^|/)\.yarn/(?:berry/)?cache/|(?:^|/)(?=v[0-9]+/npm-[^/]+-integrity/)",
        f"{_REMOVE}; or m{_MOUNT}",
    ),
    _cache(
        "pnpm",
        rf"(?:^|/)(?:pnpm/store|\.pnpm-store)/|(?:^|/)(?=v[0-9]+/files/{_HEX}{{2}}/)",
        f"{_REMOVE}; or m{_MOUNT}",
    ),
    # beside them lie virtual environments, which are no cache
    _cache(
        "poetry",
        rf"(?:^|/)pypoetry/(?:artifacts|cache)/"
        rf"|(?:^|/)(?=artifacts/{_HEX}{{2}}/{_HEX}{{2}}/{_HEX}{{2}}/{_HEX}{{50,}}/|cache/repositories/[^/]+/(?:_http/|{_HEX}))",
        _REMOVE,
    ),
    _cache("apk", r"^var/cache/apk/|^etc/apk/cache/", "Install with `apk add --no-cache`, and leave `apk update` out."),
    _cache(
        "dnf",
        r"^var/cache/(?:dnf|yum|tdnf|libdnf5)/",
        "End this RUN with: && {tool} clean all",
        "microdnf",
        "tdnf",
        "yum",
        "dnf",
    ),
    _cache(
        "cargo",
        r"(?:^|/)\.?cargo/registry/(?=(?:cache|src|index)/)|(?:^|/)\.?cargo/git/(?=(?:db|checkouts)/)"
        rf"|(?:^|/)registry/(?=(?:cache|src|index)/(?:index\.crates\.io|github\.com)-{_HEX}{{16}}/)",
        f"M{_MOUNT}",
    ),
    _cache(
        "go",
        r"(?:^|/)\.cache/go-build/|(?:^|/)go-build/|(?:^|/)go/pkg/mod/"
        r"|(?:^|/)(?=(?:cache/download/)?(?:[a-z0-9-]+\.)+[a-z]+/(?:[^/@]+/)*(?:[^/@]+@v[0-9]|@v/)"
        rf"|{_HEX}{{2}}/{_HEX}{{64}}-[ad]$)",
        f"M{_MOUNT}",
    ),
    _cache(
        "composer",
        r"(?:^|/)\.composer/cache/|(?:^|/)\.cache/composer/",
        f"End this RUN with: && composer clear-cache; or m{_MOUNT}",
    ),
    _cache("maven", r"(?:^|/)\.m2/repository/", f"M{_MOUNT}"),
    _cache("gradle", r"(?:^|/)\.gradle/caches/", f"M{_MOUNT}"),
    _cache(
        "bundler",
        r"(?:^|/)bundle/(?:ruby/[^/]+/)?cache/|(?:^|/)ruby/gems/[^/]+/cache/",
        'End this RUN with: && rm -rf "$(gem env gemdir)"/cache/*.gem',
    ),
    _cache("nuget", r"(?:^|/)\.nuget/packages/", f"M{_MOUNT}"),
    _cache("bun", r"(?:^|/)\.bun/install/cache/", "End this RUN with: && bun pm cache rm"),
    _cache("pdm", r"(?:^|/)\.cache/pdm/", "End this RUN with: && pdm cache clear"),
    _cache("pipenv", r"(?:^|/)\.cache/pipenv/", "End this RUN with: && pipenv --clear"),
    _cache("zypper", r"^var/cache/zypp/", "End this RUN with: && zypper clean --all"),
    _cache("pacman", r"^var/cache/pacman/pkg/", "End this RUN with: && pacman -Scc --noconfirm"),
    _cache("ccache", r"(?:^|/)(?:\.ccache|\.cache/s?ccache)/", f"M{_MOUNT}"),
    _cache("the CUDA driver", r"(?:^|/)\.nv/ComputeCache/", _REMOVE),
)
_GO_BUILD = re.compile(rf"(?:^|/){_HEX}{{2}}/$")
# all at once, tried only where a name begins: there are ten thousand folders
_LIKELY = re.compile(f"(?<![^/])(?:{'|'.join(cache.path.pattern.replace('(?:^|/)', '') for cache in _CACHES)})")

_MOST_FOLDERS = 4

_PROJECT_CACHE = re.compile(r"(?<![^/])\.yarn/cache/")
_MAPS = (".pnp.cjs", ".pnp.js")


def within_cache(path: str) -> bool:
    """Whether a file, or a folder with a slash at its end, lies in a package manager's cache."""
    return _LIKELY.search(path[: path.rfind("/") + 1]) is not None


def _find(evidence: Evidence) -> Iterator[Finding]:
    held: dict[str, list[OwnFile]] = {}
    for folder in evidence.folders:
        sample = _sample(evidence, folder)
        if _LIKELY.search(sample):
            cache = next(cache for cache in _CACHES if cache.path.search(sample))
            if _runs_from_cache(evidence, folder):
                continue
            held.setdefault(cache.manager, []).extend(evidence.in_folder(folder))
    for cache in _CACHES:
        files = held.get(cache.manager, ())
        for group in by_layer(_without_linked(evidence, files)):
            place = evidence.place(group.layer)
            folders = [_folder(cache, file.path) for file in files if file.layer == group.layer]
            where = f"{format_size(group.size)} in /{_folder(cache, group.largest)}"
            yield make_finding(
                evidence,
                RULE.name,
                place,
                size=group.size,
                message=f"{cache.manager} leaves its cache behind {place.step}: {where}.",
                mend=_mend(evidence, cache, place, folders, owner=_owner(evidence, group)),
            )


def _sample(evidence: Evidence, folder: str) -> str:
    """What tells of a folder whether it is a cache's: its path, or, where Go's cache may be, that of a file in it."""
    files = evidence.in_folder(folder) if _GO_BUILD.search(folder) else ()
    return files[0].path if files else folder


def _runs_from_cache(evidence: Evidence, folder: str) -> bool:
    """Whether Yarn's Plug'n'Play loads the packages from this folder when the program runs: its map lies beside."""
    found = _PROJECT_CACHE.search(folder)
    beside = evidence.in_folder(folder[: found.start()]) if found else ()
    return any(file.path.rpartition("/")[2] in _MAPS for file in beside)


def _without_linked(evidence: Evidence, files: Sequence[OwnFile]) -> Iterator[OwnFile]:
    """The files, without those that a name outside of the cache has as well."""
    held: dict[int, set[str]] = {}
    for file in files:
        held.setdefault(file.layer, set()).add(file.path)
    kept = {
        (index, entry.same_as)
        for index, paths in held.items()
        for entry in evidence.entries(index)
        if entry.same_as in paths and entry.path not in paths
    }
    return (file for file in files if (file.layer, file.path) not in kept)


def _owner(evidence: Evidence, group: Group) -> int:
    """The user whose cache it is, who could not write to a mounted one of root's."""
    return next((entry.uid for entry in evidence.entries(group.layer) if entry.path == group.largest), 0)


def _mend(evidence: Evidence, cache: _Cache, place: Place, folders: Sequence[str], *, owner: int) -> str:
    user = f",uid={owner}" if owner else ""
    paths = [shlex.quote(f"/{folder}") for folder in sorted(set(folders))[:_MOST_FOLDERS]]
    if is_copy(place):
        return end_with(evidence, place, f"rm -rf {' '.join(paths)}")
    named = (tool for tool in cache.tools if re.search(rf"\b{tool}\b", place.command))
    return cache.mend.format(
        mounts=" ".join(f"--mount=type=cache,target={path}{user}" for path in paths),
        paths=" ".join(paths),
        tool=next(named, cache.tools[-1] if cache.tools else ""),
    )


def _folder(cache: _Cache, path: str) -> str:
    found = cache.path.search(path)
    return path[: found.end()].rstrip("/") if found else path


RULE = Rule(name="package-caches", find=_find)
