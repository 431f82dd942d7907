"""What `prune` would free, or freed: one line a class, what each is made of, and where the disk stands afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ci_budget.core.prune_plan import PruneDone, PruneKind, PruneStep
from ci_budget.core.render.escape import escape_terminal, silence_commands
from ci_budget.core.text.units import format_size

_SHOWN = 8


def render_prune_plan(steps: Sequence[PruneStep], available: Mapping[str, int], target: int | None) -> str:
    """The dry run: what would go, class by class, in the order in which it would."""
    lines = []
    for kind in PruneKind:
        mine = [step for step in steps if step.kind is kind]
        if mine:
            lines.append(f"{kind.value}: {len(mine)}, about {format_size(sum(step.size for step in mine))}")
            lines += _labels([f"{step.label} ({format_size(step.size)})" for step in mine])
    total = sum(step.size for step in steps)
    lines.append(f"would free about {format_size(total)}" if steps else "there is nothing to take away")
    return _text(lines + _levels(available, target))


def render_prune_done(
    done: Sequence[PruneDone], before: Mapping[str, int], after: Mapping[str, int], target: int | None
) -> str:
    """What went and what stayed, and what the filesystems have now."""
    lines = []
    for kind in PruneKind:
        gone = [one.step for one in done if one.step.kind is kind and one.kept is None]
        if gone:
            lines.append(f"{kind.value}: removed {len(gone)}")
            lines += _labels([step.label for step in gone])
    for one in done:
        if one.kept is not None:
            lines.append(f"kept {one.step.label}: {one.kept}")
    freed = sum(max(0, after[disk] - before.get(disk, 0)) for disk in after)
    lines.append(f"freed {format_size(freed)}" if done else "there was nothing to take away")
    return _text(lines + _levels(after, target))


def _labels(labels: Sequence[str]) -> list[str]:
    shown = [f"  {label}" for label in labels[:_SHOWN]]
    return [*shown, f"  and {len(labels) - _SHOWN} more"] if len(labels) > _SHOWN else shown


def _levels(available: Mapping[str, int], target: int | None) -> list[str]:
    wanted = f" (target {format_size(target)})" if target is not None else ""
    return [f"{disk}: {format_size(free)} available{wanted}" for disk, free in available.items()]


def _text(lines: Sequence[str]) -> str:
    return silence_commands("".join(f"{escape_terminal(line)}\n" for line in lines))
