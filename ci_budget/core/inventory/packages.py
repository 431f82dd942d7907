"""The installed packages of an image: what the package managers' own records in it say.

Sizes are those of a package's visible files, not what its record claims. A Python package that dpkg or conda brought
counts as theirs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ci_budget.core.inventory.building import shown_path
from ci_budget.core.inventory.model import SMALLEST_FILE, Manager, PackageRecord
from ci_budget.core.inventory.package_records import (
    PackageFiles,
    parse_apk,
    parse_conda,
    parse_dist_info,
    parse_dpkg,
    parse_node,
)
from ci_budget.core.layers.model import Entry, ImageLayers, Kind

MOST_PACKAGES = 20_000
_LONGEST = 256
_RECORDS = re.compile(
    r"(?P<dpkg>var/lib/dpkg/(?:status|status\.d/[^/]+|info/[^/]+\.list))"
    r"|(?P<apk>(?:usr/)?lib/apk/db/installed)"
    r"|(?P<pip>(?:.*/)?[^/]+\.dist-info/RECORD)"
    r"|(?P<conda>(?:.*/)?conda-meta/[^/]+\.json)"
    r"|(?P<npm>(?:.*/)?node_modules/(?:@[^/]+/)?[^/@]+/package\.json)"
)
_ENDINGS = ("/status", ".list", "/installed", "/RECORD", ".json")
_STATUS = "/status.d/"
_MERGED = ("bin/", "sbin/", "lib/", "lib32/", "lib64/", "libx32/")
_ELSEWHERE = ("/", *_MERGED)
_NODE = re.compile(r"(?:.*/)?node_modules/(?:@[^/]+/)?[^/]+")

Visible = Sequence[tuple[Entry, int]]
Read = Callable[[int, str], bytes | None]


def is_package_record(path: str) -> bool:
    """Whether a file's content is needed to list the packages."""
    return _kind(path) is not None


def survey_packages(
    image: ImageLayers, visible: Visible, read: Read
) -> tuple[list[PackageRecord], dict[str, Manager], dict[str, int]]:
    """The packages, largest first; the visible files whose bytes are in their sizes, with the package's manager; and
    the package of each of these that has a record of its own in an inventory, by its index.

    `visible`: the image's visible entries with their layers' indices; `read`: the content of a file of a layer, None
    where it cannot be had.
    """
    files = {shown[0].path: shown for shown in visible if shown[0].kind is Kind.FILE}
    records: dict[Manager, list[str]] = {manager: [] for manager in Manager}
    for path in [path for path in files if path.endswith(_ENDINGS) or _STATUS in path]:  # all but a few are others
        kind = _kind(path)
        if kind is not None:
            records[kind].append(path)
    owned: dict[str, Manager] = {}
    owners: dict[str, int] = {}
    found: list[PackageRecord] = []
    for package in _system_packages(image, files, records, read):
        found.append(_measure(package, files, owned, _Large(owners, len(found))))
    for path in sorted(records[Manager.PIP]):
        data = read(files[path][1], path)
        if data is not None and path not in owned:
            found.append(_measure(parse_dist_info(data, path), files, owned, _Large(owners, len(found))))
    found += _node_packages(files, records[Manager.NPM], read, owned, _Large(owners, len(found)))
    since = _written_since(image, files, {path for paths in records.values() for path in paths})
    found = [
        one if one.manager is Manager.APK else one.model_copy(update={"layer": since.get(one.path, one.layer)})
        for one in found
    ]
    order = sorted(
        range(len(found)), key=lambda at: (-found[at].size, found[at].manager, found[at].name, found[at].path)
    )[:MOST_PACKAGES]  # fmt: skip
    places = {at: index for index, at in enumerate(order)}
    packages = {path: places[at] for path, at in owners.items() if at in places}
    return [found[at] for at in order], owned, packages


def _kind(path: str) -> Manager | None:
    if not path.endswith(_ENDINGS) and _STATUS not in path:
        return None
    match = _RECORDS.fullmatch(path)
    return Manager(str(match.lastgroup)) if match else None


_Files = dict[str, tuple[Entry, int]]


@dataclass
class _Large:
    """Whose the larger files are: `package` is the number of the one that is looked at."""

    owners: dict[str, int]
    package: int

    def note(self, entry: Entry) -> None:
        if entry.size >= SMALLEST_FILE:
            self.owners[entry.path] = self.package


def _written_since(image: ImageLayers, files: _Files, records: set[str]) -> dict[str, int]:
    """By record: the layer that wrote it. Layers above that hold it in the same size only changed its mode or owner
    (`chmod -R` copies every file), or touched it: they brought no package."""
    since: dict[str, tuple[int, int]] = {}
    for index, layer in enumerate(image.layers):
        for entry in [entry for entry in layer.entries if entry.path in records]:
            size, first = since.get(entry.path, (-1, index))
            same = entry.kind is Kind.FILE and entry.size == size
            since[entry.path] = (entry.size, first if same else index)
    return {path: index for path, (_, index) in since.items() if path in files}


def _system_packages(
    image: ImageLayers, files: _Files, records: dict[Manager, list[str]], read: Read
) -> Iterator[tuple[PackageFiles, int]]:
    yield from _dpkg_packages(files, records[Manager.DPKG], read)
    for path in records[Manager.APK]:
        yield from _apk_packages(image, path, read)
    for path in sorted(records[Manager.CONDA]):
        index = files[path][1]
        package = parse_conda(read(index, path) or b"", path)
        if package is not None:
            yield package, index


def _dpkg_packages(files: _Files, records: list[str], read: Read) -> Iterator[tuple[PackageFiles, int]]:
    """dpkg rewrites a package's list of files when it installs it, so the list's layer is the package's."""
    lists = {path.rsplit("/", 1)[1].removesuffix(".list"): path for path in records if path.endswith(".list")}
    for path in sorted(records):
        if path.endswith(".list"):
            continue
        status = read(files[path][1], path)
        for name, architecture, version in parse_dpkg(status or b""):
            listed = lists.get(name) or lists.get(f"{name}:{architecture}")
            record = listed or path
            content = read(files[record][1], record) if listed else b""
            names = _decode(content or b"").replace("\n/", "\n").removeprefix("/").splitlines()
            package = PackageFiles(Manager.DPKG, name, version, record, tuple(names))
            yield package, files[record][1]


def _apk_packages(image: ImageLayers, path: str, read: Read) -> Iterator[tuple[PackageFiles, int]]:
    """apk has one file for all: a package's layer is the lowest one from which on it is there in this version."""
    since: dict[tuple[str, str], int] = {}
    packages: list[PackageFiles] = []
    for index, layer in enumerate(image.layers):
        if any(entry.path == path and entry.kind is Kind.FILE for entry in layer.entries):
            packages = list(parse_apk(read(index, path) or b"", path))
            since = {(one.name, one.version): since.get((one.name, one.version), index) for one in packages}
    for package in packages:
        yield package, since[package.name, package.version]


def _measure(
    package: tuple[PackageFiles, int] | PackageFiles, files: _Files, owned: dict[str, Manager], large: _Large
) -> PackageRecord:
    """The record with its size; a file that two packages list counts for the first."""
    one, index = package if isinstance(package, tuple) else (package, files[package.record][1])
    size, manager = 0, one.manager
    for name in (*one.files, one.record):
        shown = files.get(name)
        if shown is None and name.startswith(_ELSEWHERE):
            shown = _resolve(name, files)
        if shown is not None:
            entry = shown[0]
            if entry.path not in owned:
                owned[entry.path] = manager
                large.note(entry)
                size += entry.size
    return _record(one, size, index)


def _resolve(name: str, files: _Files) -> tuple[Entry, int] | None:
    """The visible file of a listed name; Debian's lists still say `/bin/x` where `/bin` is a link to `/usr/bin`."""
    path = name.lstrip("/")
    return files.get(path) or (files.get(f"usr/{path}") if path.startswith(_MERGED) else None)


def _node_packages(
    files: _Files, records: list[str], read: Read, owned: dict[str, Manager], large: _Large
) -> Iterator[PackageRecord]:
    """Each file belongs to the innermost package around it."""
    if not records:
        return
    inside: dict[str, list[str]] = {}
    for path in files:
        if "node_modules/" in path and path not in owned:
            found = _NODE.match(path)
            if found:
                inside.setdefault(found[0], []).append(path)
    for path in records:
        if path not in owned:
            index = files[path][1]
            package = parse_node(read(index, path) or b"", path)
            if package is not None:
                names = inside.get(path.removesuffix("/package.json"), [])
                owned.update(dict.fromkeys(names, Manager.NPM))
                for name in names:
                    large.note(files[name][0])
                large.package += 1
                yield _record(package, sum(files[name][0].size for name in names), index)


def _record(package: PackageFiles, size: int, layer: int) -> PackageRecord:
    return PackageRecord(
        manager=package.manager,
        name=shown_path(package.name)[:_LONGEST],
        version=shown_path(package.version)[:_LONGEST],
        size=size,
        layer=layer,
        path=shown_path(package.record),
    )


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
