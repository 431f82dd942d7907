"""The straight line through the daily values, and when it meets the budget."""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import Final

FEWEST_DAYS: Final = 5
"""Days with a value below which no slope is given."""

LONGEST_DAYS: Final = 3650
"""Beyond ten years a forecast says nothing; none is given."""

HOW: Final = (
    "The slope is that of the straight line of least squares through the last value of each day; it needs values of at "
    f"least {FEWEST_DAYS} days. Days until the budget = (budget - last value) / slope, rounded down; none is given "
    f"where the slope is not positive or the answer is beyond {LONGEST_DAYS:,} days."
)
"""The formula for a reader of a report."""


def least_squares(days: Sequence[int], values: Sequence[int]) -> float | None:
    """The slope, in units of `values` a day; None with fewer than FEWEST_DAYS different days.

    slope = (n*sum(xy) - sum(x)*sum(y)) / (n*sum(xx) - sum(x)^2), in exact integers.
    """
    count = len(days)
    if count < FEWEST_DAYS:
        return None
    total = sum(days)
    below = count * sum(map(mul, days, days)) - total * total
    if below <= 0:
        return None
    above = count * sum(map(mul, days, values)) - total * sum(values)
    return float(above / below)


def days_until(budget: int | None, last: int, slope: float | None) -> int | None:
    """Whole days until a value that is `last` now and grows by `slope` a day reaches `budget`; 0: it is reached now."""
    if budget is None:
        return None
    if last >= budget:
        return 0
    if slope is None or slope <= 0:
        return None
    days = (budget - last) / slope
    return int(days) if days <= LONGEST_DAYS else None
