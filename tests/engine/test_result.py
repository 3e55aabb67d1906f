"""Results print so that a reader can trust what stands there."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from tidelake.engine.base import TableVersion
from tidelake.engine.result import Result, plain_lines
from tidelake.engine.tabletext import columns_of, fit, pad, visible, width
from tidelake.errors import UnsupportedError


def _views() -> Result:
    share = pa.field("share", pa.float64())
    table = pa.table(
        {
            "day": pa.array([date(2016, 5, 1), date(2016, 5, 2)]),
            "site": ["en", "日本"],
            "views": pa.array([1234567, None], pa.int64()),
            "share": pa.array([0.5, None]),
        },
        schema=pa.schema([("day", pa.date32()), ("site", pa.string()), ("views", pa.int64()), share]),
    )
    return Result(table, sql="SELECT 1", sources=(TableVersion("gold.entity_day", 3),), title="Views a day")


def test_prints_thousands_percentages_and_nulls() -> None:
    assert str(_views()).splitlines() == [
        "Views a day",
        "",
        "day         site      views  share",
        "──────────  ────  ─────────  ─────",
        "2016-05-01  en    1,234,567  50.0%",
        "2016-05-02  日本          –      –",
    ]


def test_whole_numbers_that_are_names_carry_no_separators() -> None:
    table = pa.table({"file_id": [12345], "year": [2016], "rows": [12345]})
    assert [column.cells[0] for column in columns_of(table)] == ["12345", "2016", "12,345"]


def test_a_small_number_is_never_shown_as_zero() -> None:
    table = pa.table({"value": [1200.5, 0.0004]})
    assert columns_of(table)[0].cells == ("1,200.50", "0.0004")


def test_a_share_that_rounds_to_nothing_has_no_sign() -> None:
    table = pa.table({"play_share": [-0.0003, -0.0006]})
    assert columns_of(table)[0].cells == ("0.0%", "-0.1%")


def test_whole_doubles_and_decimals_print_without_places() -> None:
    table = pa.table({"a": [10412.0], "b": pa.array([Decimal(98765)], pa.decimal128(38, 0))})
    assert [column.cells[0] for column in columns_of(table)] == ["10,412", "98,765"]


def test_instants_are_utc_with_z() -> None:
    table = pa.table({"t": pa.array([datetime(2025, 11, 17, 8, tzinfo=UTC)], pa.timestamp("us", "UTC"))})
    assert columns_of(table)[0].cells == ("2025-11-17 08:00:00Z",)


def test_text_shrinks_and_numbers_stay_whole() -> None:
    table = pa.table({"raw": ["x" * 200], "views": [123456789]})
    lines = plain_lines(Result(table), room=40, limit=None)
    assert all(width(line) <= 40 for line in lines)
    assert "123,456,789" in lines[2]
    assert "…" in lines[2]


def test_columns_that_do_not_fit_are_named() -> None:
    table = pa.table({f"measure_{index:02}": [123456789] for index in range(6)})
    lines = plain_lines(Result(table), room=40, limit=None)
    assert lines[-1] == "3 columns not shown for want of room: measure_03, measure_04, measure_05"
    assert lines[2].split() == ["123,456,789"] * 3


def test_rows_left_out_are_counted() -> None:
    lines = plain_lines(Result(pa.table({"n": list(range(1500))})), room=None, limit=2)
    assert lines[-1] == "2 of 1,500 rows shown"


def test_control_characters_cannot_reach_the_terminal() -> None:
    assert visible("a\x1b[31mred\n") == r"a\x1b[31mred\n"


def test_wide_signs_take_two_cells() -> None:
    assert width("日本") == 4
    assert pad("日本語", 5, right=False) == "日本…"
    assert width(pad("日本語", 4, right=False)) == 4


def test_html_escapes_what_users_sent() -> None:
    text = Result(pa.table({"raw": ["<script>"]}), title="a & b")._repr_html_()
    assert "&lt;script&gt;" in text
    assert "<caption>a &amp; b</caption>" in text


def test_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(UnsupportedError, match="polars"):
        _views().to_polars()


def test_no_column_is_lost_where_there_is_room() -> None:
    columns = columns_of(_views().table)
    assert fit(columns, 200).columns == columns


def test_an_empty_table_says_so() -> None:
    assert str(Result(_views().table.slice(0, 0))).splitlines()[-1] == "no rows"
