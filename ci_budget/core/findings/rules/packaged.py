"""Where installed Python packages lie."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from ci_budget.core.findings.rule import LEAST, Evidence

_ROOT = re.compile(r"^(?:.*/)?(?:site-packages|dist-packages)/")


def within_packages(path: str) -> bool:
    """Whether a path lies in a folder of installed packages."""
    return _ROOT.match(path) is not None


def packaged_together(path: str, other: str) -> bool:
    """Whether both lie in one folder of installed packages."""
    found, beside = _ROOT.match(path), _ROOT.match(other)
    return found is not None and beside is not None and found[0] == beside[0]


def package_roots(paths: Iterable[str]) -> str:
    """The package folders of these paths as arguments of a shell command: `/usr/lib/python3/dist-packages`."""
    roots = {found[0].rstrip("/") for path in paths if (found := _ROOT.match(path))}
    return " ".join(shlex.quote(f"/{root}") for root in sorted(roots))


def worth_a_trade(evidence: Evidence) -> int:
    """Bytes from which it is worth to lose something for them (a quick start, a package's own tests): a tenth of the
    image, or 100 MB."""
    return max(LEAST, min(100_000_000, evidence.image_size // 10))
