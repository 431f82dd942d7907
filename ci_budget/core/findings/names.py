"""The names of the rules, for the config and for what speaks of a finding without looking for any."""

from __future__ import annotations

from typing import Final, Literal, get_args

RuleName = Literal[
    "model-weights",
    "apt-leftovers",
    "package-caches",
    "build-tools",
    "permission-copies",
    "deleted-later",
    "overwritten-later",
    "duplicate-content",
    "venv-copy",
    "temporary-peak",
    "static-libraries",
    "packaged-tests",
    "bytecode",
    "context-ballast",
    "mergeable-steps",
    "base-not-pinned",
]

RULE_NAMES: Final[tuple[RuleName, ...]] = get_args(RuleName)
"""In the order in which findings of equal bytes are shown."""
