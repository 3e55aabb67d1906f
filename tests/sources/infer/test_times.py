"""Detection of how instants are written; expected values worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tidelake.sources.infer.times import detect_time_number, detect_time_text, says_time


def texts(*values: str) -> dict[str, int]:
    return dict.fromkeys(values, 1)


@pytest.mark.parametrize(
    ("values", "form", "kind", "zone"),
    [
        (("2025-07-15 00:05:34", "2025-12-20 06:49:05"), "iso", "timestamp", "none"),
        (("2025-09-19T11:05:34.658870", "2025-09-19T11:05:34"), "iso", "timestamp", "none"),
        (("2024-12-10T00:01:29.378Z", "2024-12-10T00:01:29+05:30"), "iso", "timestamp", "all"),
        (("2024-12-10T00:01:29Z", "2024-12-10T00:01:29"), "iso", "timestamp", "some"),
        (("2025-03-16", "2024-02-29"), "iso", "date", "none"),
        (("13/01/2025", "01/12/2025"), "%d/%m/%Y", "date", "none"),
        (("01/13/2025", "12/01/2025"), "%m/%d/%Y", "date", "none"),
        (("12/1/10 8:26", "6/21/11 17:05"), "%m/%d/%y %H:%M", "timestamp", "none"),
        (("31.12.2025 23:59:01",), "%d.%m.%Y %H:%M:%S", "timestamp", "none"),
        (("2025/07/04",), "%Y/%m/%d", "date", "none"),
        (("1/13/2025 8:26 PM", "1/14/2025 11:00 AM"), "%m/%d/%Y %I:%M %p", "timestamp", "none"),
        (("10/Oct/2000:13:55:36 -0700",), "%d/%b/%Y:%H:%M:%S %z", "timestamp", "all"),
        (("15-Jul-2025",), "%d-%b-%Y", "date", "none"),
    ],
)
def test_text_forms(values: tuple[str, ...], form: str, kind: str, zone: str) -> None:
    found = detect_time_text(texts(*values), named=False)
    assert found is not None
    assert (found.format, found.type, found.zone, found.misfits) == (form, kind, zone, 0)


@pytest.mark.parametrize(
    ("values", "candidates"),
    [
        (("01/02/2025", "12/11/2025"), {"%d/%m/%Y", "%m/%d/%Y"}),
        (("01/02/2025 10:00", "12/11/2025 09:30"), {"%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"}),
        (("01.02.2025",), {"%d.%m.%Y", "%m.%d.%Y"}),
        # Two digits for the year: it could stand first, too.
        (("01/02/03",), {"%y/%m/%d", "%d/%m/%y", "%m/%d/%y"}),
    ],
)
def test_day_and_month_are_never_guessed(values: tuple[str, ...], candidates: set[str]) -> None:
    found = detect_time_text(texts(*values), named=True)
    assert found is not None
    assert found.ambiguous
    assert set(found.candidates) == candidates
    assert found.first is None


def test_one_value_past_twelve_decides_the_order() -> None:
    found = detect_time_text(texts("01/02/2025", "03/04/2025", "25/04/2025"), named=True)
    assert found is not None
    assert found.format == "%d/%m/%Y"
    assert found.first == datetime(2025, 2, 1, tzinfo=UTC)
    assert found.last == datetime(2025, 4, 25, tzinfo=UTC)


def test_both_orders_mixed_are_no_time() -> None:
    mixed = texts(*[f"{day}/01/2025" for day in range(13, 32)], *[f"01/{day}/2025" for day in range(13, 32)])
    assert detect_time_text(mixed, named=True) is None


def test_impossible_dates_are_no_dates() -> None:
    assert detect_time_text(texts("2025-02-30"), named=True) is None


@pytest.mark.parametrize("values", [("1.2.3", "1.10.0"), ("hello",), ("10:15",), ("2025",), ("192.168.0.1",)])
def test_what_is_no_time(values: tuple[str, ...]) -> None:
    found = detect_time_text(texts(*values), named=False)
    assert found is None or found.ambiguous


def test_a_few_values_that_do_not_fit_are_counted() -> None:
    found = detect_time_text({"2025-01-01T00:00:00Z": 500, "2025-01-02T00:00:00Z": 498, "yesterday": 2}, named=True)
    assert found is not None
    assert (found.format, found.misfits) == ("iso", 2)


def test_many_values_that_do_not_fit_make_it_text() -> None:
    assert detect_time_text({"2025-01-01T00:00:00Z": 50, "yesterday": 50}, named=True) is None


@pytest.mark.parametrize(
    ("value", "form"),
    [(1082040961, "epoch_s"), (1541105830796, "epoch_ms"), (1541105830796000, "epoch_us")],
)
def test_epoch_units_by_size(value: int, form: str) -> None:
    found = detect_time_number({value: 1}, named=True)
    assert found is not None
    assert found.format == form


def test_epoch_seconds_as_an_instant() -> None:
    found = detect_time_number({1082040961: 1}, named=True)
    assert found is not None
    assert found.first == datetime(2004, 4, 15, 14, 56, 1, tzinfo=UTC)


def test_ten_digits_without_a_name_that_says_time_are_a_number() -> None:
    assert detect_time_number({1541105830: 1}, named=False) is None
    assert detect_time_number({1541105830796: 1}, named=False) is not None


def test_bare_digits_need_a_name() -> None:
    assert detect_time_text(texts("19970101", "19971212"), named=False) is None
    found = detect_time_text(texts("19970101", "19971212"), named=True)
    assert found is not None
    assert (found.format, found.type) == ("%Y%m%d", "date")
    assert detect_time_text(texts("19971301"), named=True) is None  # there is no thirteenth month


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("timestamp", True),
        ("ts", True),
        ("event_time", True),
        ("createdAt", True),
        ("InvoiceDate", True),
        ("Date", True),
        ("registration", False),
        ("status", False),
        ("format", False),
        ("amount", False),
        ("category", False),
    ],
)
def test_names_that_say_time(name: str, expected: bool) -> None:
    assert says_time(name) is expected
