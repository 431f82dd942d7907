"""A build context with what no build needs: `.git`, caches, tests, documents, files that no COPY uses."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ci_budget.core.findings.ignore_lines import propose_lines
from ci_budget.core.findings.rule import LEAST, Evidence, Rule, weigh
from ci_budget.core.records.report import Finding
from ci_budget.core.text.plain_text import one_line
from ci_budget.core.text.units import format_size

_LEAST = 10_000
_SHARE = 50  # a fiftieth of the context
_SHOWN = 6


def _find(evidence: Evidence) -> Iterator[Finding]:
    use, plan = evidence.context, evidence.plan
    if use is None or plan is None:
        return
    lines = propose_lines(use)
    size = sum(line.size for line in lines)
    if size < _LEAST or size * _SHARE < use.measure.size:
        return
    largest = sorted(lines, key=lambda line: (-line.size, line.pattern))
    named = ", ".join(f"{line.pattern} ({line.why}, {format_size(line.size)})" for line in largest[:_SHOWN])
    more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    every = "it" if len(lines) == 1 else f"all {len(lines)} lines"
    patterns = " ".join(shlex.quote(line.pattern) for line in largest[:_SHOWN])
    sweeps = use.sweeps
    mine = next((source for source in sweeps if source in plan.context_sources), None)
    yield Finding(
        rule=RULE.name,
        severity=weigh(size, use.measure.size) if size >= LEAST else "note",  # most of a small context is little
        bytes=size,
        stage=mine.stage if mine is not None else None,
        file=plan.file if mine is not None else use.ignore_file,
        line=mine.line if mine is not None else None,
        message=one_line(
            f"{format_size(size)} of the context's {format_size(use.measure.size)} are of no use to the build: "
            f"{named}{more}."
        ),
        # the line break comes first: the file's last line may lack its own
        mend=one_line(
            f"printf '\\n%s' {patterns} >> {shlex.quote(use.ignore_file)}; or let "
            f"`ci-budget explain {evidence.report.name} --fix-ignore` write {every}."
        ),
    )


RULE = Rule(name="context-ballast", find=_find)
