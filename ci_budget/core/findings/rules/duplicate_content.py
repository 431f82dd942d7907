"""The same content more than once: copies of files and folders, and CUDA libraries both of the base and of wheels."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ci_budget.core.findings.copies import is_copy, name_line, name_maker, read_copy
from ci_budget.core.findings.rule import LEAST, Evidence, Place, Rule, count_files, make_finding, name_some
from ci_budget.core.findings.rules.package_caches import within_cache
from ci_budget.core.findings.rules.packaged import packaged_together
from ci_budget.core.layers.model import Kind
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size

# wherever they were installed to: `pip install --target /opt/app` as well
_WHEEL = re.compile(r"(?:^|/)nvidia/[^/]+/(?:.*/)?(lib[A-Za-z0-9_]+)\.so[^/]*$")
_THEIRS = 50_000_000
_SYSTEM = re.compile(r"^(?:usr/local/cuda[^/]*|usr/lib)/(?:.*/)?(lib[A-Za-z0-9_]+)\.so[^/]*$")


_PACKAGES = re.compile(r"(?:site|dist)-packages/$")


def _find(evidence: Evidence) -> Iterator[Finding]:
    yield from _find_same(evidence)
    yield from _find_cuda(evidence)


def _find_same(evidence: Evidence) -> Iterator[Finding]:
    """Files and folders whose content is the same, by the layer that brought most of the copies that could go."""
    if evidence.inventory is None or not evidence.inventory.same_content:
        return
    wanted = {path for same in evidence.inventory.same_content for path in same.paths}
    around = {path[: path.rfind("/") + 1] for path in wanted}
    own = {file.path: file.layer for file in evidence.within(around.__contains__) if file.path in wanted}
    own |= _folder_layers(evidence, [path for path in wanted if path.endswith("/")])
    held: dict[int, list[tuple[int, str, str, int]]] = {}
    for same in evidence.inventory.same_content:
        # kept is one copy, of the base image if it has one, else the first that was written; of caches nothing is
        paths = sorted(
            (path for path in same.paths if not within_cache(path)), key=lambda path: (own.get(path, -1), path)
        )
        if len(paths) < 2:
            continue
        first = paths[0].rstrip("/")
        for path in paths[1:]:
            # what two packages bring alike is theirs, unless it is worth to install one of them otherwise
            theirs = same.size < _THEIRS and packaged_together(path.rstrip("/"), first)
            if path in own and not theirs:
                held.setdefault(own[path], []).append((same.size, path, paths[0], same.files))
    for layer, copies in sorted(held.items()):
        size = sum(copy[0] for copy in copies)
        if size < LEAST:
            continue
        copies.sort(key=lambda copy: (-copy[0], copy[1]))
        largest = copies[0]
        place = evidence.place(layer)
        named = name_some([_told(*copy[1:]) for copy in copies])
        yield make_finding(
            evidence,
            RULE.name,
            place,
            size=size,
            message=f"{place.step} brings {format_size(size)} that the image has already: {named}.",
            mend=_mend(evidence, place, largest, whole=size >= evidence.layer_size(layer)),
        )


def _told(path: str, first: str, files: int) -> str:
    if path.endswith("/"):
        return f"{count_files(files)} of /{path} are those of /{first}"
    return f"/{path} is /{first}"


def _mend(evidence: Evidence, place: Place, copied: tuple[int, str, str, int], *, whole: bool) -> str:
    _, path, first, files = copied
    if path.endswith("/"):
        inside = sum(len(evidence.in_folder(folder)) for folder in evidence.folders if folder.startswith(path))
        if _PACKAGES.search(path) and _PACKAGES.search(first):
            return (
                "Where these are pip and setuptools, make the environment without them: python3 -m venv "
                "--without-pip FOLDER && python3 -m pip --python FOLDER/bin/python install PACKAGES; else install once "
                "what both need."
            )
        if inside > files:
            return f"Bring these files once: {inside - files} others lie beside them, so link to them one by one."
    path, first = shlex.quote(f"/{path.rstrip('/')}"), shlex.quote(f"/{first.rstrip('/')}")
    if not is_copy(place):
        removed = f"rm -r {path} && ln -s" if copied[1].endswith("/") else "ln -sf"
        return f"Put a link in its place in this RUN: && {removed} {first} {path}"
    above = posixpath.dirname(path.strip("'"))
    made = f"RUN mkdir -p {shlex.quote(above)} && ln -s {first} {path}" if above != "/" else f"RUN ln -s {first} {path}"
    if whole:
        return f"Copy it once: take {name_line(place)} out, and put a link in its place: {made}"
    copy = read_copy(evidence, place)
    source = copy.source_of(path.strip("'/")) if copy is not None else None
    if copy is not None and copy.stage is not None and source is not None:
        return (
            f"Copy it once: put a link in its place before it is copied, at the end of "
            f"{name_maker(copy.stage, source)}: && rm -r {shlex.quote(source)} && ln -s {first} {shlex.quote(source)}"
        )
    return f"Copy it once: leave {path} out of what {name_line(place)} brings, and put a link in its place: {made}"


def _folder_layers(evidence: Evidence, folders: Sequence[str]) -> dict[str, int]:
    """For each of these folders, the own layer that has most of what is in it; none for what the base brought."""
    found = {}
    for folder in folders:
        sizes: dict[int, int] = {}
        for inner in (path for path in evidence.folders if path.startswith(folder)):
            for file in evidence.in_folder(inner):
                sizes[file.layer] = sizes.get(file.layer, 0) + file.size
        if sizes:
            found[folder] = max(sizes, key=lambda layer: sizes[layer])
    return found


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
