"""Where the steps of a build stand, as BuildKit's own provenance says (SLSA v0.2 with BuildKit's extensions).

`--metadata-file` has it with BUILDX_METADATA_PROVENANCE=max: `buildConfig.digestMapping` leads from the digest of a
vertex to its number in the build, `metadata."https://mobyproject.org/buildkit@v1#metadata".source.locations` from there
to lines of the Dockerfile. It is absent for builds that failed, and from builders that do not know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Lines = tuple[int, int]
"""First and last line, 1-based and inclusive."""

_KEY = "buildx.build.provenance"
_BUILDKIT = "https://mobyproject.org/buildkit@v1#metadata"
_MOST_LINES = 1_000_000


def step_lines(metadata: Mapping[str, Any]) -> dict[str, tuple[Lines, ...]]:
    """The places of each vertex by its digest: as many as there are instructions that ask for the same step.

    Empty where the metadata has no provenance, or one of another shape.
    """
    provenance = _mapping(metadata.get(_KEY))
    source = _mapping(_mapping(_mapping(provenance.get("metadata")).get(_BUILDKIT)).get("source"))
    places = _mapping(source.get("locations"))
    found: dict[str, tuple[Lines, ...]] = {}
    for digest, step in _mapping(_mapping(provenance.get("buildConfig")).get("digestMapping")).items():
        locations = _mapping(places.get(step) if isinstance(step, str) else None).get("locations")
        lines = tuple(
            span for one in (locations if isinstance(locations, list) else ()) if (span := _span(one)) is not None
        )
        if lines:
            found[str(digest)] = lines
    return found


def _span(location: object) -> Lines | None:
    ranges = _mapping(location).get("ranges")
    edges = [(_line(one, "start"), _line(one, "end")) for one in (ranges if isinstance(ranges, list) else ())]
    if not edges or any(not 0 < start <= end <= _MOST_LINES for start, end in edges):
        return None
    return min(start for start, _ in edges), max(end for _, end in edges)


def _line(found: object, edge: str) -> int:
    line = _mapping(_mapping(found).get(edge)).get("line")
    return line if isinstance(line, int) else 0


def _mapping(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}
