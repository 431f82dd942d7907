"""Reads the records that package managers keep in an image. They are untrusted: what cannot be read gives no package.

Formats: deb-status and dpkg's `info/*.list`; apk's `installed` (wiki.alpinelinux.org/wiki/Apk_spec); RECORD of the
binary distribution format (packaging.python.org); `conda-meta/*.json`; npm's `package.json`.
"""

from __future__ import annotations

import csv
import json
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ci_budget.core.inventory.model import Manager

_FIRST_FIELDS = re.compile(r"^[^,\r\n]+", re.MULTILINE)
_TITLE = re.compile(r"(.+?)-(v?[0-9].*|[^-]*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PackageFiles:
    """A package as its record has it. `record`: the record's path in the image; `files`: paths, with or without a
    leading slash."""

    manager: Manager
    name: str
    version: str
    record: str
    files: tuple[str, ...]


def parse_dpkg(data: bytes) -> Iterator[tuple[str, str, str]]:
    """Name, architecture and version of every package that is unpacked or installed."""
    for paragraph in re.split(r"\n[ \t]*\n", data.decode("utf-8", "surrogateescape")):
        found = dict(
            line.split(": ", 1)
            for line in paragraph.splitlines()
            if line.startswith(("Package: ", "Status: ", "Architecture: ", "Version: "))
        )
        name, version = found.get("Package"), found.get("Version")
        there = found.get("Status", "install ok installed").endswith((" installed", " unpacked", "-configured"))
        if name and version and there and not found.get("Status", "").endswith("not-installed"):
            yield name.strip(), found.get("Architecture", "").strip(), version.strip()


def parse_apk(data: bytes, record: str) -> Iterator[PackageFiles]:
    """The packages of apk's list, one paragraph each: `P:` name, `V:` version, `F:` folder, `R:` file in it."""
    for paragraph in data.decode("utf-8", "surrogateescape").split("\n\n"):
        name = version = folder = ""
        files = []
        for line in paragraph.split("\n"):
            key, value = line[:2], line[2:]
            if key == "P:":
                name = value
            elif key == "V:":
                version = value
            elif key == "F:":
                folder = value
            elif key == "R:":
                files.append(posixpath.join(folder, value))
        if name and version:
            yield PackageFiles(Manager.APK, name, version, record, tuple(files))


def parse_dist_info(data: bytes, record: str) -> PackageFiles:
    """A Python package from its RECORD, named as its `NAME-VERSION.dist-info` folder."""
    folder = posixpath.dirname(record)
    base = posixpath.dirname(folder)
    title = posixpath.basename(folder).removesuffix(".dist-info")
    found = _TITLE.fullmatch(title)  # old tools left dashes in names
    name, version = (found[1], found[2]) if found else (title, "")
    text = data.decode("utf-8", "surrogateescape")
    # a hundred thousand lines: one by one only where some are quoted
    paths = [_first_field(line) for line in text.splitlines()] if '"' in text else _FIRST_FIELDS.findall(text)
    inside = f"{base}/" if base else ""
    files = [path if path.startswith("/") else inside + path for path in paths if path]
    if ".." in text or "//" in text:
        files = [posixpath.normpath(path) if ".." in path or "//" in path else path for path in files]
    return PackageFiles(Manager.PIP, re.sub(r"[-_.]+", "-", name).lower(), version, record, tuple(files))


def parse_conda(data: bytes, record: str) -> PackageFiles | None:
    """A package from its `conda-meta/NAME-VERSION-BUILD.json`; None for anything else there."""
    found = _object(data)
    name, version, files = found.get("name"), found.get("version"), found.get("files")
    if not (isinstance(name, str) and isinstance(version, str) and isinstance(files, list)):
        return None
    prefix = posixpath.dirname(posixpath.dirname(record))
    paths = (posixpath.join(prefix, one) for one in files if isinstance(one, str))
    return PackageFiles(Manager.CONDA, name, version, record, tuple(paths))


def parse_node(data: bytes, record: str) -> PackageFiles | None:
    """A package from its `package.json`; None where that names none."""
    found = _object(data)
    name, version = found.get("name"), found.get("version")
    if not (isinstance(name, str) and name and isinstance(version, str)):
        return None
    return PackageFiles(Manager.NPM, name, version, record, ())


def _first_field(line: str) -> str:
    try:
        row = next(csv.reader([line]), [])
    except csv.Error:
        return ""
    return row[0] if row else ""


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
