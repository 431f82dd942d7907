"""What `check` and `release` leave in the history. Whatever becomes of it, reports are written and exit codes stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ci_budget.core.history.build_view import BuildView, pack_view
from ci_budget.core.history.measurement import measurements_of, releases_of, run_of
from ci_budget.core.records.report import Report
from ci_budget.core.release.facts import ReleaseFacts
from ci_budget.edges.history.address import Address, history_address
from ci_budget.errors import CiBudgetError


def record_check(
    report: Report, views: Mapping[str, BuildView], address: Address, *, repository: str, say: Callable[[str], None]
) -> None:
    """Record a finished run. A history that cannot be written is told by `say`, with what to do."""
    from ci_budget.edges.history.database import open_history  # slow to load

    try:
        run, measured = run_of(report, "report.json"), measurements_of(report, "report.json")
        with open_history(address, repository, write=True) as history:
            history.record(run, measured, packed(views))
    except CiBudgetError as error:
        say(f"this run is not recorded: {error}")


def record_released(
    facts: ReleaseFacts, *, url: str | None, state: Path, repository: str, say: Callable[[str], None]
) -> None:
    """Record what a release decision let pass, for the drift since then. Failures are told by `say`."""
    from ci_budget.edges.history.database import open_history  # slow to load

    try:
        found = releases_of(facts, "release.json")
        if found:
            with open_history(history_address(url, state), repository, write=True) as history:
                history.record_releases(found)
    except CiBudgetError as error:
        say(f"this release is not recorded: {error}")


def packed(views: Mapping[str, BuildView]) -> dict[str, bytes]:
    """Views that show something, as they are stored, by the name that the history knows the image by."""
    return {view.image: pack_view(view) for view in views.values() if view.timeline or view.treemap}
