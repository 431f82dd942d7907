"""Compilers, linkers and headers in a final image: they served the build, a container never calls them.

Known by their files, whatever installed them: the compiler's own programs (`cc1`, `collect2`), binutils, headers.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from ci_budget.core.findings.rule import LEAST, Evidence, OwnFile, Place, Rule, by_layer, make_finding, shell_text
from ci_budget.core.findings.rules.compilers import (
    ToolPaths,
    is_called_later,
    is_compilers_image,
    size_of_base,
    starts,
)
from ci_budget.core.findings.shell import only_installs
from ci_budget.core.inventory.model import Manager
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size

_INSTALLERS = (
    (re.compile(r"\bapt(?:-get)?\b[^;&|]*?\binstall\b([^;&|]*)"), "apt-mark manual", "apt-get purge -y --auto-remove"),
    (re.compile(r"\bapk\b[^;&|]*?\badd\b([^;&|]*)"), "apk add --no-cache", "apk del"),
    (re.compile(r"\b(?:dnf|yum|microdnf)\b[^;&|]*?\binstall\b([^;&|]*)"), "dnf mark install", "dnf remove -y"),
)
_TOOLS = re.compile(
    r"build-essential|build-base|(?:gcc|g\+\+|gfortran|clang|llvm|binutils|golang|rustc|cpp|make)(?:-[a-z0-9.+-]+)?"
    r"|go|cargo|rust|cmake|ninja-build|ninja|meson|autoconf|automake|libtool|bison|flex|nasm|yasm|pkg-config|[a-z0-9.+-]+-dev(?:el)?"
)


# what comes with compilers and is of no use to a program
_COMPILERS_OWN = re.compile(
    r"lib(?:[atul]san|hwasan|ubsan|itm|cc1|isl|mpc|mpfr|binutils|ctf|gprofng|sframe|jansson|llvm|clang|perl|gdbm|dpkg"
    r"|js-|file-|algorithm-|fakeroot|std-rust)[a-z0-9.+-]*|lib[a-z0-9.+-]*-(?:dev|perl|bin|doc|data|common)"
)
# what compilers bring that their programs are linked with
_COMPILED_WITH = re.compile(r"lib(?:gomp|atomic|quadmath|gfortran|stdc\+\+|gcc-s|gcc)[0-9]*")
_THEIR_DEV = re.compile(r"(?:lib(?:c6?|stdc\+\+|gcc)|linux-libc|linux-headers|musl|python3?)[0-9.-]*-dev(?:el)?")
_VERSION = re.compile(r"[=:<>~]")  # begins behind a name
_MOST_KEPT = 40


def _find(evidence: Evidence) -> Iterator[Finding]:
    starting, for_compilers = starts(evidence), is_compilers_image(evidence.base)
    if starting == "tools" or (for_compilers and starting == "nothing"):
        return  # the image is there to compile
    paths = ToolPaths(evidence.folders)
    kinds = {file: kind for file in evidence.within(paths.may_hold) if (kind := paths.tool(file.path))}
    layers = {file.layer for file, kind in kinds.items() if kind == "compiler"}
    tools = [file for file, kind in kinds.items() if kind != "around" or file.layer in layers]
    later = is_called_later(evidence) if tools else False
    for group in by_layer(tools):
        place = evidence.place(group.layer)
        headers = sum(size for (_, size, layer), kind in kinds.items() if (layer, kind) == (group.layer, "headers"))
        what = "Compilers and headers stay in the image" if group.layer in layers else "Headers stay in the image"
        most = f", {format_size(headers)} of them headers" if headers and group.layer in layers else ""
        alone = only_installs(shell_text(evidence.instruction(place)))
        wanted = later and alone
        why = " The image has Triton or torch.compile, which call a compiler in the container." if wanted else ""
        yield make_finding(
            evidence,
            RULE.name,
            place,
            size=group.size,
            message=f"{what}: {format_size(group.size)}{most}, by {place.step}, the largest /{group.largest}.{why}",
            mend=f"{'Keep it if the program compiles at run time; else b' if wanted else 'B'}uild in a stage of its "
            f"own (FROM {evidence.base} AS builder), and take over only what it made: COPY --from=builder /opt/app "
            f"/opt/app. {_WHERE_ALONE if alone else _WHERE}"
            f"{_removal(evidence, group.layer, place.command) or _deletion(paths, group.layer, tools)}",
            quiet=wanted or for_compilers,
        )
    if for_compilers:
        yield from _find_in_base(evidence)


_WHERE = "Where a single RUN needs them, remove them in that RUN"
_WHERE_ALONE = "Where a single RUN needs them, join this one with it, and remove them at its end"


def _find_in_base(evidence: Evidence) -> Iterator[Finding]:
    """The compilers of a base image that is there for them, below a program that is none."""
    size = size_of_base(evidence)
    if size < LEAST or not evidence.chain:
        return
    lowest = evidence.chain[0]
    yield make_finding(
        evidence,
        RULE.name,
        Place(stage=lowest.name, line=lowest.line, command=f"FROM {evidence.base}"),
        size=size,
        message=f"The image starts from {evidence.base}, which brings {format_size(size)} of compilers and headers, "
        "and starts a program that is none of them.",
        mend=f"Make this stage the builder (FROM {evidence.base} AS builder), and end with a stage of what the program "
        "needs: FROM debian:stable-slim, COPY --from=builder PROGRAM PROGRAM, and the CMD.",
        quiet=True,
    )


def _removal(evidence: Evidence, layer: int, command: str) -> str:
    """`: && apt-get purge …` for the build tools that a command installs by name; nothing where it names none."""
    for installs, keeps, removes in _INSTALLERS:
        names = [_VERSION.split(word)[0] for found in installs.finditer(command) for word in found[1].split()]
        tools = [name for name in names if _TOOLS.fullmatch(name)]
        if tools:
            kept = _libraries(evidence, layer, set(names))
            keep = f"{keeps} {' '.join(kept)} && " if kept else ""
            emptied = " && rm -rf /var/cache/apt/*" if removes.startswith("apt-get") else ""  # it fills its cache again
            return f": && {keep}{removes} {' '.join(dict.fromkeys(tools))}{emptied}"
    return ""


def _deletion(paths: ToolPaths, layer: int, tools: Sequence[OwnFile]) -> str:
    """`: && rm -rf …` for the folders of toolchains that no package manager installed; a full stop where none are."""
    roots = {root for file in tools if file.layer == layer and (root := paths.root(file.path))}
    return f": && rm -rf {' '.join(shlex.quote(f'/{root}') for root in sorted(roots))}" if roots else "."


def _libraries(evidence: Evidence, layer: int, named: set[str]) -> list[str]:
    """The libraries that came with the build tools and that a program may have been linked with: they would go too."""
    more = any(word.endswith(("-dev", "-devel")) and not _THEIR_DEV.fullmatch(word) for word in named)
    packages = evidence.inventory.packages if evidence.inventory is not None else ()
    found = [
        one.name
        for one in packages
        if one.layer == layer
        and one.manager in (Manager.DPKG, Manager.APK)
        and one.name.startswith("lib")
        and not _COMPILERS_OWN.fullmatch(one.name)
        and one.name not in named
        and (more or _COMPILED_WITH.fullmatch(one.name))
    ]
    return sorted(set(found)) if len(found) <= _MOST_KEPT else []


RULE = Rule(name="build-tools", find=_find)
