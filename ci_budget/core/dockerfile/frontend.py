"""Which frontend a Dockerfile asks for, and a copy of it that the engine's own frontend builds.

Detection follows BuildKit's `DetectSyntax` (`frontend/dockerfile/parser/directives.go`): the build argument
BUILDKIT_SYNTAX, then `# syntax=`, then `// syntax=`, then a JSON object; a `#!` line may come first.

The engine's own frontend may stand in for `docker/dockerfile:1`, `1.N`, `1.N.M` and their `-labs` variants, with or
without `docker.io/` and with or without a digest. Those share one language: what the engine's is too old for, or
lacks of `labs`, it refuses with an error, it never builds it differently. A name without a tag, `latest` or a digest
alone says nothing of the version, and any other image may be any language: these are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ci_budget.core.dockerfile.directives import Directive, read_directives, split_bom
from ci_budget.core.stages.references import parse_reference
from ci_budget.core.text.plain_text import one_line, shorten

_ARGUMENT = "BUILDKIT_SYNTAX"
_OFFICIAL = "docker.io/docker/dockerfile"
_VERSION = re.compile(r"1(?:\.\d{1,4}){0,2}(?:-labs)?")
_LARGEST_JSON = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Frontend:
    """The frontend image asked for, where (`origin`) and, for a file, on which line (1-based)."""

    image: str
    origin: Literal["build argument", "directive", "comment", "json"]
    line: int | None


def detect_frontend(text: bytes, build_args: Mapping[str, str]) -> Frontend | None:
    """The frontend that a Dockerfile or the build argument BUILDKIT_SYNTAX asks for, None for the engine's own."""
    given = build_args.get(_ARGUMENT)
    if given is not None:
        return Frontend(image=given.strip().split(" ", 1)[0], origin="build argument", line=None)
    body, first = _body(text)
    found = _syntax(body, first, b"#")
    if found is not None:
        return Frontend(image=found.value.split(" ", 1)[0], origin="directive", line=found.line)
    found = _syntax(body, first, b"//")
    if found is not None:
        return Frontend(image=found.value.split(" ", 1)[0], origin="comment", line=found.line)
    image = _in_json(body)
    return Frontend(image=image, origin="json", line=first) if image is not None else None


def refuse_builtin(frontend: Frontend) -> str | None:
    """Why the engine's own frontend cannot stand in for this one; None where it can."""
    shown = shorten(one_line(frontend.image), 120)
    if frontend.origin in ("comment", "json"):
        return f"'{shown}' is asked for in a form that only other languages than Dockerfile use"
    try:
        reference = parse_reference(frontend.image)
    except ValueError as error:
        return f"'{shown}' is no image name ({error})"
    if reference.name != _OFFICIAL:
        return f"'{shown}' is not docker/dockerfile: the engine's own frontend may not read the same language"
    written = frontend.image.split("@", 1)[0]
    tag = written.rpartition(":")[2] if ":" in written.rpartition("/")[2] else ""
    if not _VERSION.fullmatch(tag):
        return f"'{shown}' does not say that it is version 1 (docker/dockerfile:1)"
    return None


def neutralise(text: bytes) -> bytes:
    """A copy of a Dockerfile without its `# syntax=`, with the same lines and the same other directives.

    The caller makes sure with `refuse_builtin` that this is right. The line becomes a comment where nothing but
    instructions follows. Before other directives it must not end their block: it becomes `# escape=\\`, the default,
    or where the file has an `escape` of its own it is indented, which hides it from the search for a frontend but not
    from the parser. In the one case left, `check` after it, the two swap places, for `check` must not be indented.
    """
    mark, rest = split_bom(text)
    body, first = _body(text)
    searched = read_directives(body, first_line=first).found
    parsed = read_directives(rest, indented=True).found
    syntax = next((directive.line for directive in searched if directive.name == "syntax"), None)
    if syntax is None:
        return text
    lines = rest.split(b"\n")
    index = syntax - 1
    escapes = [directive.line for directive in (*searched, *parsed) if directive.name == "escape"]
    check = next((directive.line for directive in searched if directive.name == "check"), 0)
    if max(check, *escapes, 0) < syntax:
        lines[index] = b"#" + lines[index]
    elif not escapes:
        lines[index] = b"# escape=\\" + (b"\r" if lines[index].endswith(b"\r") else b"")
    elif check < syntax:
        lines[index] = b" " + lines[index]
    else:
        lines[index], lines[check - 1] = lines[check - 1], b" " + lines[index]
    return mark + b"\n".join(lines)


def _body(text: bytes) -> tuple[bytes, int]:
    """The text without byte order mark and `#!` line, and the number of its first line."""
    _, body = split_bom(text)
    if body.startswith(b"#!"):
        return body.partition(b"\n")[2], 2
    return body, 1


def _syntax(body: bytes, first: int, comment: bytes) -> Directive | None:
    found = read_directives(body, comment=comment, first_line=first).found
    return next((directive for directive in found if directive.name == "syntax"), None)


def _in_json(body: bytes) -> str | None:
    if not body.lstrip().startswith(b"{") or len(body) > _LARGEST_JSON:
        return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    image = found.get("syntax") if isinstance(found, dict) else None
    return image if isinstance(image, str) else None
