"""Sizes, tolerances and durations, read and written."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ci_budget.core.text.units import (
    MAX_SIZE,
    Tolerance,
    format_delta,
    format_distinct,
    format_seconds,
    format_size,
    format_value,
    parse_duration,
    parse_percent,
    parse_size,
    parse_tolerance,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        (0, 0),
        (1234, 1234),
        ("1234", 1234),
        ("1B", 1),
        ("15GB", 15 * 10**9),
        ("15 GB", 15 * 10**9),
        ("15gb", 15 * 10**9),
        (" 15GB ", 15 * 10**9),
        ("15GiB", 15 * 2**30),
        ("0.4MB", 400_000),
        ("1.5KiB", 1536),
        ("2kB", 2000),
        ("1TB", 10**12),
        ("1TiB", 2**40),
        ("1PB", 10**15),
        ("1.000000000000kB", 1000),
        ("1.2GiB", 1_288_490_188),
        ("0.001MiB", 1048),
        (str(MAX_SIZE), MAX_SIZE),
    ],
)
def test_sizes(text: str | int | float, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", " ", "GB", "-1", "-1GB", "1,5GB", "1.5.5GB", "15 apples", "1k", "1G", "1EB", "0x10", "1e9", "1_000", "١GB",
     "½GB", ".5GB", "5.GB", "1GB\n2", "nan", "inf", "off", True, False, float("nan"), float("inf"), 1e300],
)  # fmt: skip
def test_no_sizes(text: str | int | float) -> None:
    with pytest.raises(ValueError, match=r"is not a size; write a number with a unit, such as 15GB or 400MiB$"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0.3B", "1.5", 1.5, "0.0001kB", "1.0000000001kB", "1.2345KiB", f"1.{'1' * 40}PB"])
def test_parts_of_a_byte(text: str | float) -> None:
    with pytest.raises(ValueError, match=r"^'.*' names parts of a byte; write whole bytes, or fewer decimals$"):
        parse_size(text)


@pytest.mark.parametrize("text", [str(MAX_SIZE + 1), "9999999999999999999PB", "8192PiB"])
def test_sizes_beyond_any_filesystem(text: str) -> None:
    with pytest.raises(ValueError, match=f"^'{text}' is larger than any filesystem$"):
        parse_size(text)


def test_a_long_text_is_cut_in_the_message() -> None:
    with pytest.raises(ValueError, match=r"^'x{57}\.\.\.' is not a size"):
        parse_size("x" * 10_000)


@pytest.mark.parametrize(
    ("text", "percent"), [("2%", "2"), ("2 %", "2"), ("0.5%", "0.5"), (" 150% ", "150"), ("0%", "0")]
)
def test_percentages(text: str, percent: str) -> None:
    assert parse_percent(text) == Decimal(percent)


@pytest.mark.parametrize("text", ["2", "%", "-2%", "2%%", "two%", "1e1%", ""])
def test_no_percentages(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a percentage; write a number with a percent sign, such as 2%$"):
        parse_percent(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(0, 0), (90, 90), ("90s", 90), ("2m", 120), ("1h30m", 5400), ("1h2m3s", 3723), (" 1h ", 3600), ("0s", 0)],
)
def test_durations(text: str | int, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "1d", "m", "-1s", "1.5h", "30m1h", "1h1h", "soon", -1, 1.5, True, False])
def test_no_durations(text: str | int | float) -> None:
    with pytest.raises(ValueError, match=r"is not a duration; write 90s, 2m or 1h30m$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("value", "tolerance"),
    [
        ("2%", Tolerance(percent=Decimal(2))),
        ("10MB", Tolerance(amount=10**7)),
        (0, Tolerance()),
        (["2%", "10MB"], Tolerance(percent=Decimal(2), amount=10**7)),
        (["1%", "2%", "1MB", 5], Tolerance(percent=Decimal(2), amount=10**6)),
    ],
)
def test_tolerances(value: str | int | list[str | int | float], tolerance: Tolerance) -> None:
    assert parse_tolerance(value) == tolerance


@pytest.mark.parametrize("value", ["", "lots", "-1%", [], ["2%", "lots"]])
def test_no_tolerances(value: str | list[str | int | float]) -> None:
    with pytest.raises(ValueError, match="write"):
        parse_tolerance(value)


@pytest.mark.parametrize(
    ("percent", "amount", "baseline", "allowance"),
    [
        ("2", 0, 1000, 20),
        ("2", 30, 1000, 30),
        ("2", 30, 10_000, 200),
        ("0", 0, 10**12, 0),
        ("1", 0, 99, 0),
        ("33.3", 0, 10, 3),
        ("100", 0, MAX_SIZE, MAX_SIZE),
    ],
)
def test_allowance_is_the_larger_part_rounded_down(percent: str, amount: int, baseline: int, allowance: int) -> None:
    assert Tolerance(percent=Decimal(percent), amount=amount).allowance(baseline) == allowance


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (1_450_000_000, "1.45 GB"),
        (15_000_000_000, "15.0 GB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (9_994_999, "9.99 MB"),
        (9_998_336, "10.0 MB"),
        (99_960_000, "100 MB"),
        (-2_500_000, "-2.50 MB"),
        (MAX_SIZE, "9.22 EB"),
        (10**21, "1000 EB"),
    ],
)
def test_written_sizes(size: int, text: str) -> None:
    assert format_size(size) == text


def test_written_values() -> None:
    assert format_value(None, "bytes") == "-"
    assert format_value(1_500_000, "bytes") == "1.50 MB"
    assert format_value(1_500_000, "count") == "1,500,000"
    assert format_value(90, "seconds") == "90 s"
    assert [format_delta(delta, "bytes") for delta in (0, 1_900_000_000, -5)] == ["0", "+1.90 GB", "-5 B"]
    assert [format_delta(delta, "count") for delta in (0, 2, -2)] == ["0", "+2", "-2"]


def test_values_that_round_alike_are_told_apart() -> None:
    assert format_distinct([1_450_000_000, 1_500_000_000], "bytes") == ["1.45 GB", "1.50 GB"]
    assert format_distinct([1_450_000_000, 1_450_000_001], "bytes") == ["1,450,000,000 B", "1,450,000,001 B"]
    assert format_distinct([5, 5], "bytes") == ["5 B", "5 B"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (0.44, "0.4 s"), (9.9, "9.9 s"), (42.4, "42 s"), (59.4, "59 s"), (59.6, "1m 00s"), (185, "3m 05s"),
     (3600, "1h 00m"), (7800, "2h 10m")],
)  # fmt: skip
def test_written_seconds(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
