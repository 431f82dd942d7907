"""Checks of upkeep: something prunes on a schedule, and nothing of a killed run lies about."""

from __future__ import annotations

from collections.abc import Sequence

from ci_budget.core.health.facts import Leftovers, Schedule
from ci_budget.core.health.finding import Finding, Status

_SHOWN = 3


def check_schedule(schedules: Sequence[Schedule]) -> Finding:
    """A systemd timer or a cron entry gives disk back regularly."""
    active = [one for one in schedules if one.enabled]
    if active:
        text = f"{active[0].where} runs `{active[0].command}`"
        more = f", and {len(active) - 1} more" if len(active) > 1 else ""
        return Finding(check="prune-schedule", status=Status.OK, message=f"{text}{more}")
    if schedules:
        return Finding(
            check="prune-schedule",
            status=Status.WARN,
            message=f"{schedules[0].where} would run `{schedules[0].command}`, but is not switched on",
            mend=f"sudo systemctl enable --now {schedules[0].where.rpartition('/')[2]}",
        )
    return Finding(
        check="prune-schedule",
        status=Status.WARN,
        message="nothing prunes on a schedule: no systemd timer, no cron entry that this user can see",
        mend="install docs/prune/ci-budget-prune.timer and .service: sudo systemctl enable --now ci-budget-prune.timer",
    )


def check_leftovers(leftovers: Leftovers) -> Finding:
    """Killed runs left nothing behind."""
    if leftovers.found:
        count = len(leftovers.found)
        shown = ", ".join(leftovers.found[:_SHOWN]) + (", ..." if count > _SHOWN else "")
        return Finding(
            check="leftovers",
            status=Status.WARN,
            message=f"killed runs left {count} {'thing' if count == 1 else 'things'} behind: {shown}",
            mend="ci-budget prune",
        )
    if leftovers.unseen is not None:
        return Finding(check="leftovers", status=Status.SKIPPED, message=f"not looked at: {leftovers.unseen}")
    return Finding(check="leftovers", status=Status.OK, message="no killed run left anything behind")
