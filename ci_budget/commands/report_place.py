"""Where `check` puts its report, and where the last one is found again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ci_budget.commands.check_options import CheckOptions
from ci_budget.edges.github import GitHubContext
from ci_budget.edges.sites.state import state_directory
from ci_budget.errors import ConfigError


def report_folder(options: CheckOptions, github: GitHubContext, contexts: Sequence[Path]) -> Path:
    """Where the report goes. Raises ConfigError for a folder inside an image's context, which it would change."""
    if options.report is not None:
        folder = options.report.resolve()
        for context in contexts:
            if folder.is_relative_to(context.resolve()):
                raise ConfigError(
                    f"--report {options.report} lies inside the context {context}, which it would change",
                    mend="Name a folder outside of every image's context.",
                )
        return folder
    return default_report_folder(github)


def default_report_folder(github: GitHubContext) -> Path:
    """Where the report goes unless --report says it; so the last one is found again."""
    if github.runner_temp is not None and os.environ.get("CI"):
        return github.runner_temp / "ci-budget-report"
    return state_directory() / "report"
