"""What apt leaves behind in the step that runs it: package lists, and archives of what it installed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ci_budget.core.findings.copies import end_with
from ci_budget.core.findings.rule import Evidence, Rule, by_layer, make_finding, shell_text
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size

LISTS = "var/lib/apt/lists/"
_CACHE = "var/cache/apt/"
_UPDATES = re.compile(r"\bapt(?:-get)?\b[^;&|]*\bupdate\b")
_INSTALLS = re.compile(r"\bapt(?:-get)?\b[^;&|]*\b(?:install|build-dep|upgrade|dist-upgrade|full-upgrade)\b")
JOIN_UPDATE = (
    "Put the update into the RUN that installs, and end that one with the clean-up: RUN apt-get update && "
    "apt-get install -y --no-install-recommends PACKAGES && rm -rf /var/lib/apt/lists/* /var/cache/apt/*"
)


def only_fetches(command: str) -> bool:
    """Whether a command updates apt's package lists and installs nothing: they are for a later one."""
    return _UPDATES.search(command) is not None and _INSTALLS.search(command) is None


def _find(evidence: Evidence) -> Iterator[Finding]:
    files = list(evidence.within(lambda folder: folder.startswith((LISTS, _CACHE))))
    sizes: dict[tuple[int, str], int] = {}
    for file in files:
        part = LISTS if file.path.startswith(LISTS) else _CACHE
        sizes[file.layer, part] = sizes.get((file.layer, part), 0) + file.size
    for group in by_layer(files):
        place = evidence.place(group.layer)
        parts = {
            "package lists": sizes.get((group.layer, LISTS), 0),
            "archives and caches": sizes.get((group.layer, _CACHE), 0),
        }
        said = " and ".join(f"{format_size(size)} of {name}" for name, size in parts.items() if size)
        if only_fetches(shell_text(evidence.instruction(place)) or place.command):
            mend = JOIN_UPDATE
        else:
            mend = end_with(evidence, place, "rm -rf /var/lib/apt/lists/* /var/cache/apt/*")
        yield make_finding(
            evidence, RULE.name, place, size=group.size, message=f"apt leaves {said} behind {place.step}.", mend=mend
        )


RULE = Rule(name="apt-leftovers", find=_find)
