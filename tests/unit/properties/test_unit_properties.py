"""Sizes, tolerances and durations: whatever is written is read or refused, and what is read is exact."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ci_budget.core.text.units import (
    MAX_SIZE,
    Tolerance,
    format_delta,
    format_distinct,
    format_size,
    parse_duration,
    parse_percent,
    parse_size,
    parse_tolerance,
)

FACTORS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
ANYTHING = st.text(max_size=30) | st.text("0123456789.%kKMGiBhms -+e", max_size=12) | st.integers() | st.floats()
SIZES = st.integers(0, MAX_SIZE)


@given(ANYTHING)
def test_anything_is_a_size_or_refused(value: str | int | float) -> None:
    try:
        size = parse_size(value)
    except ValueError as error:
        assert len(str(error)) < 200
        return
    assert 0 <= size <= MAX_SIZE


@given(ANYTHING)
def test_anything_is_a_duration_or_refused(value: str | int | float) -> None:
    try:
        assert parse_duration(value) >= 0
    except ValueError as error:
        assert str(error).endswith("is not a duration; write 90s, 2m or 1h30m")


@given(ANYTHING | st.lists(ANYTHING, max_size=4))
def test_anything_is_a_tolerance_or_refused(value: str | int | float | list[str | int | float]) -> None:
    try:
        tolerance = parse_tolerance(value)
    except ValueError:
        return
    assert tolerance.percent >= 0
    assert tolerance.amount >= 0


@given(st.integers(0, 10**9), st.sampled_from(sorted(FACTORS)))
def test_whole_sizes_are_exact(number: int, unit: str) -> None:
    expected = number * FACTORS[unit]
    if expected <= MAX_SIZE:
        assert parse_size(f"{number}{unit}") == parse_size(f"{number} {unit.lower()}") == expected


@given(st.decimals(0, 10**6, places=3), st.sampled_from(["kB", "MB", "GB", "TB"]))
def test_decimal_sizes_are_exact(number: Decimal, unit: str) -> None:
    assert parse_size(f"{number}{unit}") == number * FACTORS[unit]


@given(st.integers(0, 99), st.integers(0, 10**4), st.integers(0, 10**4))
def test_durations_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds


@given(st.decimals(0, 1000, places=3))
def test_percentages_are_exact(number: Decimal) -> None:
    assert parse_percent(f"{number}%") == number


@given(SIZES, st.decimals(0, 100, places=2), SIZES)
def test_an_allowance_never_exceeds_its_larger_part(baseline: int, percent: Decimal, amount: int) -> None:
    allowance = Tolerance(percent=percent, amount=amount).allowance(baseline)
    exact = baseline * int(percent * 100) // 10_000
    assert allowance == max(exact, amount)


@given(st.integers(-(10**18), 10**18))
def test_a_written_size_is_near_its_value(size: int) -> None:
    number, unit = format_size(size).split()
    factor = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15, "EB": 10**18}[unit]
    assert abs(Decimal(number) * factor - size) <= Decimal("0.005") * abs(size)


@given(st.integers(-(10**15), 10**15))
def test_a_difference_has_a_sign(delta: int) -> None:
    text = format_delta(delta, "bytes")
    assert text[0] == ("+" if delta > 0 else "-" if delta < 0 else "0")


@given(st.lists(SIZES, min_size=2, max_size=4))
def test_different_values_look_different(values: list[int]) -> None:
    texts = format_distinct(values, "bytes")
    assert len(set(texts)) == len(set(values))
