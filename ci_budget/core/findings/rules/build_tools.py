"""Compilers, linkers and headers in a final image: they served the build, a container never calls them.

Known by their files, whatever installed them: the compiler's own programs (`cc1`, `collect2`), binutils, headers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ci_budget.core.findings.rule import Evidence, Rule, by_layer, make_finding
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size

_TRIPLET = r"(?:[a-z0-9_]+-(?:linux|alpine-linux|redhat-linux)-[a-z0-9]+-)?"
_COMPILER = re.compile(
    r"^usr/lib(?:exec|64)?/gcc/|^usr/lib/llvm-[0-9]+/(?:bin|lib/clang)/"
    rf"|^usr/(?:local/)?bin/{_TRIPLET}(?:gcc|g\+\+|cc|c\+\+|cpp|clang|clang\+\+|gfortran|rustc|cargo|go)(?:-[0-9.]+)?$"
    r"|^usr/local/(?:go|cargo/(?!registry/|git/)|rustup)/"
)
_AROUND = re.compile(
    rf"^usr/(?:local/)?bin/{_TRIPLET}(?:as|ld|ld\.bfd|ld\.gold|gold|dwp|gprof|nm|objcopy|objdump|ranlib|readelf|strip"
    r"|ar|addr2line|make|gmake|cmake|ctest|cpack|ninja|lto-dump|dpkg-buildpackage)(?:-[0-9.]+)?$"
    r"|^usr/share/(?:cmake|gcc|dpkg|perl)[^/]*/|^usr/lib/(?:bfd-plugins|compat-ld|gold-ld)/"
    r"|^usr/lib/[^/]+-linux-gnu/(?:lib(?:bfd|opcodes|ctf|asan|tsan|ubsan|lsan|hwasan|isl|mpc|mpfr|cc1|gprofng|sframe)[-.]"
    r"|[^/]+\.(?:a|o)$)"
)
_ELSE = ("usr/local/lib/", "usr/lib/python", "usr/share/doc/", "usr/share/locale/", "usr/share/man/")  # of no pattern
_HEADERS = re.compile(r"^usr/(?:local/)?include/")
_INSTALLERS = (
    (re.compile(r"\bapt(?:-get)?\b[^;&|]*?\binstall\b([^;&|]*)"), "apt-get purge -y --auto-remove"),
    (re.compile(r"\bapk\b[^;&|]*?\badd\b([^;&|]*)"), "apk del"),
    (re.compile(r"\b(?:dnf|yum|microdnf)\b[^;&|]*?\binstall\b([^;&|]*)"), "dnf remove -y"),
)
_TOOLS = re.compile(
    r"build-essential|build-base|(?:gcc|g\+\+|gfortran|clang|llvm|binutils|golang|rustc|cpp|make)(?:-[a-z0-9.+-]+)?"
    r"|go|cargo|rust|cmake|ninja-build|ninja|meson|autoconf|automake|libtool|bison|flex|nasm|yasm|pkg-config|[a-z0-9.+-]+-dev(?:el)?"
)


def _find(evidence: Evidence) -> Iterator[Finding]:
    system = list(evidence.within(lambda folder: folder.startswith("usr/") and not folder.startswith(_ELSE)))
    compiler = [file for file in system if _COMPILER.search(file.path)]
    layers = {file.layer for file in compiler}
    tools = [
        file
        for file in system
        if _HEADERS.match(file.path)
        or _COMPILER.search(file.path)
        or (file.layer in layers and _AROUND.match(file.path))
    ]
    for group in by_layer(tools):
        place = evidence.place(group.layer)
        headers = sum(file.size for file in tools if file.layer == group.layer and _HEADERS.match(file.path))
        what = "Compilers and headers stay in the image" if group.layer in layers else "Headers stay in the image"
        most = f", {format_size(headers)} of them headers" if headers and group.layer in layers else ""
        yield make_finding(
            evidence,
            RULE.name,
            place,
            size=group.size,
            message=f"{what}: {format_size(group.size)}{most}, by {place.step}, the largest /{group.largest}.",
            mend=f"Build in a stage of its own (FROM {evidence.base} AS builder), and take over "
            "only what it made: COPY --from=builder /opt/app /opt/app. Where a single RUN needs them, remove them in "
            f"that RUN{_removal(place.command)}",
        )


def _removal(command: str) -> str:
    """`: && apt-get purge …` for the build tools that a command installs by name; a full stop where it names none."""
    for installs, removes in _INSTALLERS:
        words = [word for found in installs.finditer(command) for word in found[1].split()]
        tools = [name for word in words if _TOOLS.fullmatch(name := re.split(r"[=:]", word)[0])]
        if tools:
            return f": && {removes} {' '.join(dict.fromkeys(tools))}"
    return "."


RULE = Rule(name="build-tools", find=_find)
