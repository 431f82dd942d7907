"""All checks over one host's facts, in the order in which a person would look."""

from __future__ import annotations

from ci_budget.core.health.daemon import check_cache, check_logs
from ci_budget.core.health.disk import check_inodes, check_largest_image, check_level, check_partition
from ci_budget.core.health.engine import (
    check_buildkit,
    check_buildx,
    check_engine,
    check_gpu,
    check_loop,
    check_sandbox,
)
from ci_budget.core.health.facts import HostFacts, Thresholds
from ci_budget.core.health.finding import Finding, Status
from ci_budget.core.health.upkeep import check_leftovers, check_schedule


def diagnose(facts: HostFacts, thresholds: Thresholds) -> tuple[Finding, ...]:
    """Every check's finding."""
    return (
        check_engine(facts.engine),
        check_buildx(facts.buildx),
        check_buildkit(facts.buildkit, facts.engine),
        check_partition(facts.engine, thresholds),
        *(check_level(disk, thresholds) for disk in facts.disks),
        *(check_inodes(disk, thresholds) for disk in facts.disks),
        check_largest_image(facts.engine, thresholds),
        check_logs(facts.engine, facts.daemon),
        check_cache(facts.engine, facts.daemon),
        check_schedule(facts.schedules),
        check_sandbox(facts.sandbox),
        check_loop(facts.loop),
        check_leftovers(facts.leftovers),
        check_gpu(facts.gpu, facts.gpu_wishes),
        *_config(facts.config_problem),
    )


def _config(problem: str | None) -> tuple[Finding, ...]:
    if problem is None:
        return ()
    return (Finding(check="config", status=Status.CRITICAL, message=problem, mend="ci-budget validate"),)
