"""The program texts of a build context: what might name a folder that nothing else names."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ci_budget.core.context.measured import ContextMeasure

MOST_BYTES: Final = 8 * 2**20
MOST_FILES: Final = 2_000
LARGEST: Final = 256 * 1024

_PROGRAM: Final = re.compile(
    r"(?:^|/)(?:Makefile|makefile|Procfile|Rakefile|Gemfile|\.env)$"
    r"|\.(?:py|pyi|js|mjs|cjs|jsx|ts|tsx|json|toml|cfg|ini|conf|sh|bash|ya?ml|go|rs|java|kt|scala|rb|php|c|cc|cpp|h|hpp"
    r"|cs|fs|ex|exs|erl|lua|pl|r|R|jl|sql|html|jinja2?|j2|tmpl|vue|svelte|css|scss|xml|gradle|properties|mk|cmake|env)$"
)


def read_program_texts(root: Path, measure: ContextMeasure) -> Mapping[str, str] | None:
    """The program texts of a measured context by path; None where they are too many, or too large, to be read.

    What cannot be read any more is left out. Symbolic links are not followed.
    """
    wanted = [(path, size) for path, size in measure.listing() if _PROGRAM.search(path)]
    if len(wanted) > MOST_FILES or any(size > LARGEST for _, size in wanted) or _total(wanted) > MOST_BYTES:
        return None
    texts: dict[str, str] = {}
    for path, _ in wanted:
        try:
            handle = os.open(root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        with os.fdopen(handle, "rb") as stream:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                texts[path] = stream.read(LARGEST).decode("utf-8", "replace")
    return texts


def _total(files: list[tuple[str, int]]) -> int:
    return sum(size for _, size in files)
