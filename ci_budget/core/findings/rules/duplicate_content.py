"""The same content more than once: copies of a file, and CUDA libraries both of the base image and of wheels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from ci_budget.core.findings.rule import LEAST, Evidence, Place, Rule, make_finding, name_some
from ci_budget.core.findings.rules.packaged import within_packages
from ci_budget.core.layers.model import Kind
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size

_WHEEL = re.compile(r"(?:site-packages|dist-packages)/nvidia/(?:.*/)?(lib[A-Za-z0-9_]+)\.so[^/]*$")
_THEIRS = 50_000_000
_SYSTEM = re.compile(r"^(?:usr/local/cuda[^/]*|usr/lib)/(?:.*/)?(lib[A-Za-z0-9_]+)\.so[^/]*$")


def _find(evidence: Evidence) -> Iterator[Finding]:
    yield from _find_same(evidence)
    yield from _find_cuda(evidence)


def _find_same(evidence: Evidence) -> Iterator[Finding]:
    """Files whose content is the same, by the layer that brought most of the copies that could go."""
    if evidence.inventory is None:
        return
    own = {file.path: file.layer for file in evidence.files}
    held: dict[int, list[tuple[int, str, str]]] = {}
    for same in evidence.inventory.same_content or ():
        # kept is one copy, of the base image if it has one, else the first that was written
        paths = sorted(same.paths, key=lambda path: (own.get(path, -1), path))
        for path in paths[1:]:
            # what two packages bring alike is theirs, unless it is worth to install one of them otherwise
            theirs = within_packages(path) and within_packages(paths[0]) and same.size < _THEIRS
            if path in own and not theirs:
                held.setdefault(own[path], []).append((same.size, path, paths[0]))
    for layer, copies in sorted(held.items()):
        size = sum(copy[0] for copy in copies)
        if size < LEAST:
            continue
        copies.sort(key=lambda copy: (-copy[0], copy[1]))
        largest = copies[0]
        place = evidence.place(layer)
        named = name_some([f"/{path} is /{first}" for _, path, first in copies])
        link = f"ln -sf /{largest[2]} /{largest[1]}"
        copied = place.command.upper().startswith(("COPY", "ADD"))
        mend = (
            f"Copy it once, and put a link in place of the other: RUN {link}"
            if copied
            else f"Put links in place of the copies in this RUN: && {link}"
        )
        yield make_finding(
            evidence,
            RULE.name,
            place,
            size=size,
            message=f"{place.step} brings {format_size(size)} that the image has already: {named}.",
            mend=mend,
        )


def _find_cuda(evidence: Evidence) -> Iterator[Finding]:
    """Libraries of CUDA that `nvidia-*` wheels bring though the base image has them; other versions count as well."""
    wheels = {
        found[1] for file in evidence.within(lambda folder: "/nvidia/" in folder) if (found := _WHEEL.search(file.path))
    }
    if not wheels or evidence.image is None:
        return
    size, names = 0, set[str]()
    for layer in evidence.image.layers[: evidence.image.inherited]:
        for entry in layer.entries:
            found = _SYSTEM.match(entry.path) if entry.kind is Kind.FILE else None
            if found and found[1] in wheels:
                size += entry.size
                names.add(found[1])
    if size < LEAST:
        return
    place = Place(stage=None, line=None, command=f"FROM {evidence.base}")
    if evidence.chain:
        place = replace(place, stage=evidence.chain[0].name, line=evidence.chain[0].line)
    yield make_finding(
        evidence,
        RULE.name,
        place,
        size=size,
        message=f"The base image brings {format_size(size)} of CUDA libraries that the nvidia-* wheels bring again: "
        f"{name_some(sorted(names))}.",
        mend="The wheels use their own: start from an image without CUDA, such as FROM python:3.11-slim "
        f"instead of FROM {evidence.base}.",
    )


RULE = Rule(name="duplicate-content", find=_find)
