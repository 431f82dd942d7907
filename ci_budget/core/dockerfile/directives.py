"""Parser directives: the comment lines at the very top of a Dockerfile (`# syntax=`, `# escape=`, `# check=`).

Follows BuildKit's `frontend/dockerfile/parser/directives.go`. The block ends at the first line that is no
directive with a known name, whatever follows it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BOM = b"\xef\xbb\xbf"
KNOWN = ("syntax", "escape", "check")
_FORM = re.compile(rb"^([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*$")
_BLANKS = re.compile(
    rb"^(?:[\t\n\v\f\r ]|\xc2[\x85\xa0]|\xe1\x9a\x80|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80)+"
)


@dataclass(frozen=True, kw_only=True)
class Directive:
    """One directive: its name in lower case, its value, and its line (1-based)."""

    name: str
    value: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Directives:
    """The block: its directives, and the directive that is there twice, which BuildKit refuses."""

    found: tuple[Directive, ...]
    repeated: Directive | None = None

    def value(self, name: str) -> str | None:
        """The value of a directive, None where the file has none of that name."""
        return next((directive.value for directive in self.found if directive.name == name), None)


def read_directives(text: bytes, *, comment: bytes = b"#", first_line: int = 1, indented: bool = False) -> Directives:
    """The directives at the top of `text` (without its byte order mark), which begins on line `first_line`.

    `indented` lets blanks stand before the comment sign: so the parser reads the block. Where the engine looks for
    a frontend or lint options, blanks end it.
    """
    found: list[Directive] = []
    for number, raw in enumerate(text.split(b"\n"), start=first_line):
        line = _BLANKS.sub(b"", raw) if indented else raw
        if not line.startswith(comment):
            break
        match = _FORM.match(_BLANKS.sub(b"", line[len(comment) :].rstrip(b"\r")))
        name = match[1].decode("ascii").lower() if match else ""
        if match is None or name not in KNOWN:
            break
        directive = Directive(name=name, value=match[2].decode("utf-8", "replace"), line=number)
        if any(earlier.name == name for earlier in found):
            return Directives(found=tuple(found), repeated=directive)
        found.append(directive)
    return Directives(found=tuple(found))


def split_bom(text: bytes) -> tuple[bytes, bytes]:
    """The byte order mark (or nothing) and the rest."""
    return (BOM, text[len(BOM) :]) if text.startswith(BOM) else (b"", text)
