"""Types of sampled columns, and personal data suspected in them."""

from __future__ import annotations

from typing import Any

import pytest

from tidelake.sources.infer.columns import MISSING, is_label, profile_column, words
from tidelake.sources.infer.privacy import suspect


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("quantity", ["1", "-20", "0"], "integer"),
        ("price", ["265.60", "66.05", "10"], "number"),
        ("ratio", ["1e-3", ".5"], "number"),
        ("retained", ["TRUE", "False"], "boolean"),
        ("amount", ["007", "12"], "string"),  # a digit would be lost
        ("level", ["1.1", "1.10", "1.2"], "string"),  # 1.1 and 1.10 differ
        ("app_version", ["1.2", "1.3"], "string"),
        ("user_id", ["116", "172"], "string"),
        ("big", ["99999999999999999999", "1"], "string"),
        ("score", ["1", "NA", "3"], "string"),
        ("score", ["1", "x", "3"], "string"),
        ("signup_date", ["2025-03-16", "2025-12-15"], "date"),
        ("timestamp", ["2025-07-15 00:05:34"], "timestamp"),
        ("flag", ["0", "1"], "integer"),
        ("answer", ["yes", "no"], "string"),
        ("nothing", ["", ""], "string"),
    ],
)
def test_types_from_text(name: str, values: list[str], expected: str) -> None:
    assert profile_column(name, values, textual=True).type == expected


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("value", [1, 2.5, None], "number"),
        ("value", [1, 2], "integer"),
        ("app_version", ["1.10", "1.9"], "string"),
        ("zip", ["12345", "00123"], "string"),
        ("count", ["1", "2"], "string"),  # text in JSON stays text
        ("value", [1, "a"], "string"),
        ("value", [True, 1], "string"),
        ("flag", [True, False], "boolean"),
        ("props", [{"a": 1}, None], "json"),
        ("items", [["p1"]], "json"),
        ("mixed", ["a", {"b": 1}], "json"),
        ("big", [2**63, 1], "string"),
        ("ts", [1541105830796, 1541106106796.0], "timestamp"),
        ("registration", [1540919166796.0], "timestamp"),
        ("status", [200, 307], "integer"),
        ("timestamp", ["2024-12-10T00:01:29.378Z", 1733788889378], "timestamp"),
    ],
)
def test_types_from_json(name: str, values: list[Any], expected: str) -> None:
    assert profile_column(name, values, textual=False).type == expected


def test_missing_null_and_empty_are_counted_apart() -> None:
    profile = profile_column("userId", ["39", "", None, MISSING, "39"], textual=False)
    assert (profile.rows, profile.missing, profile.nulls, profile.empties, profile.filled) == (5, 1, 1, 1, 2)
    assert (profile.distinct, profile.unique, profile.always) == (1, False, False)


def test_true_is_not_one() -> None:
    assert profile_column("x", [True, 1, 1.0], textual=False).distinct == 2


def test_iso_and_epoch_in_one_field_are_read_by_auto() -> None:
    profile = profile_column("timestamp", ["2024-12-10T00:01:29Z", 1733788889378], textual=False)
    assert profile.time is not None
    assert profile.time.format == "auto"


def test_few_bad_values_in_a_large_sample_do_not_change_the_type() -> None:
    profile = profile_column("amount", [str(number) for number in range(500)] + ["oops"], textual=True)
    assert (profile.type, profile.misfits) == ("integer", 1)


def test_words_of_a_name() -> None:
    assert words("userAgent") == "user_agent"
    assert words("Desktop site") == "desktop_site"
    assert words("InvoiceNo") == "invoice_no"
    assert words("HTTPStatus") == "http_status"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("user_id", True), ("userId", True), ("StockCode", True), ("app_version", True), ("idle", False), ("paid", False)],
)
def test_label_names(name: str, expected: bool) -> None:
    assert is_label(name) is expected


@pytest.mark.parametrize(
    ("name", "values", "privacy", "active"),
    [
        ("email", ["a@example.org"], "hash", True),
        ("contact", ["a@example.org", "b@example.org"], "hash", True),
        ("ip", ["10.115.219.217"], "truncate_ip", True),
        ("origin", ["2001:db8::1", "10.0.0.1"], "truncate_ip", True),
        ("firstName", ["Walter"], "drop", True),
        ("phone", ["0123"], "hash", True),
        ("number_called", ["+49 30 901820"], "hash", True),
        ("userAgent", ["Mozilla/5.0"], "hash", False),
        ("client", ['"Mozilla/5.0 (X11)"'], "hash", False),
        ("date_of_birth", ["1980-01-01"], "drop", False),
    ],
)
def test_personal_data(name: str, values: list[str], privacy: str, active: bool) -> None:
    found = suspect(profile_column(name, values, textual=False))
    assert found is not None
    assert (found.privacy, found.active) == (privacy, active)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("event_name", ["watch_time"]),
        ("artist_name", ["Des'ree"]),
        ("product_name", ["Lamp"]),
        ("app_version", ["1.2.3"]),
        ("build_version", ["1.2.3.4"]),
        ("tip", ["1"]),
        ("timestamp", ["2025-01-01T10:00:00Z"]),
        ("shipping", ["fast"]),
    ],
)
def test_what_is_not_personal(name: str, values: list[str]) -> None:
    assert suspect(profile_column(name, values, textual=False)) is None
