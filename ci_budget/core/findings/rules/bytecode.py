"""Python byte code compiled while packages were installed: Python makes it again when it wants it."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence

from ci_budget.core.findings.copies import Copy, end_with, read_copy
from ci_budget.core.findings.rule import Evidence, Place, Rule, by_layer, count_files, make_finding, shell_text
from ci_budget.core.findings.rules.packaged import worth_a_trade
from ci_budget.core.records.report import Finding
from ci_budget.core.text.units import format_size

_LONGEST = 8000
# who writes one of these wants the byte code: a quick start, or a file system that cannot be written to
_WANTED = re.compile(
    r"\bpip3?\b[^;&|]*\s--compile\b(?!-)|--compile-bytecode\b|\b(?:compileall|py_compile|py3?compile)\b"
    r"|\bUV_COMPILE_BYTECODE\s*[= ]\s*['\"]?(?:1|true|yes|on)\b|\bpoetry\b[^;&|]*\s--compile\b",
    re.IGNORECASE,
)


def _find(evidence: Evidence) -> Iterator[Finding]:
    if any(_WANTED.search(text) for text in _texts(evidence)):
        return
    files = evidence.ending_in(".pyc")
    for group in by_layer(files, least=worth_a_trade(evidence)):
        place = evidence.place(group.layer)
        mend = _mend(evidence, place, [file.path for file in files if file.layer == group.layer])
        yield make_finding(
            evidence,
            RULE.name,
            place,
            size=group.size,
            message=f"{place.step} leaves {format_size(group.size)} of Python byte code in {count_files(group.count)}.",
            mend=f"{mend}; set ENV PYTHONDONTWRITEBYTECODE=1 before it. The first start of a container is slower for "
            "it.",
            quiet=True,
        )


def _mend(evidence: Evidence, place: Place, paths: Sequence[str]) -> str:
    copy = read_copy(evidence, place)
    if copy is not None and copy.origin is None:
        return "Name it in the ignore file: **/__pycache__ and **/*.pyc"
    if re.search(r"\bpip3? install\b", shell_text(evidence.instruction(place))):
        return "Install with `pip install --no-compile`"
    tops = sorted({f"/{path.split('/', 1)[0]}" for path in paths} if copy is None else {_top(copy, paths)})
    where = " ".join(shlex.quote(top) for top in tops)
    return end_with(evidence, place, f"find {where} -xdev -depth -name __pycache__ -exec rm -rf '{{}}' +")


def _top(copy: Copy, paths: Sequence[str]) -> str:
    return (copy.target or "").rstrip("/") or f"/{posixpath.commonpath(paths)}"


def _texts(evidence: Evidence) -> Iterator[str]:
    """What may say that byte code is wanted: all instructions, of stages that are copied from as well."""
    if evidence.dockerfile is not None:
        for stage in evidence.dockerfile.stages:
            for one in stage.instructions:
                yield shell_text(one) or one.original[:_LONGEST]
    elif evidence.image is not None:
        yield from (step.created_by for step in evidence.image.history)


RULE = Rule(name="bytecode", find=_find)
