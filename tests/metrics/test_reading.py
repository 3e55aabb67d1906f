"""A metric's table says once what is the same everywhere, and loses nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from tidelake.engine.result import Result
from tidelake.engine.tabletext import columns_of, fit
from tidelake.metrics.answer import Answer
from tidelake.metrics.measure import MeasureResult
from tidelake.metrics.reading import both_ends, for_reading

ROWS = pa.table(
    {
        "metric": ["dau", "dau"],
        "period_start": ["2025-11-10", "2025-11-17"],
        "value": [10.0, 11.0],
        "numerator": pa.array([None, None], pa.float64()),
        "n": pa.array([3, None], pa.int64()),
        "status": ["complete", "open"],
        "grain": ["week", "week"],
    }
)


def test_constant_columns_are_said_once() -> None:
    made = for_reading(Result(ROWS, notes=("a note",)))
    assert made.table.column_names == ["period_start", "value", "n", "status"]
    assert made.notes == ("a note", "metric dau, grain week")
    assert made.table.column("value").to_pylist() == [10.0, 11.0]


def test_the_unit_of_the_value_is_said() -> None:
    field = pa.field("value", pa.float64(), metadata={"unit": "seconds"})
    table = pa.table([["watch"], [3.5]], schema=pa.schema([("metric", pa.string()), field]))
    assert for_reading(Result(table)).notes == ("value in seconds, metric watch",)


def test_columns_that_differ_stay() -> None:
    two = ROWS.set_column(0, "metric", [pa.array(["dau", "events"])])
    assert "metric" in for_reading(Result(two)).table.column_names


def test_no_rows_have_a_short_header() -> None:
    empty = for_reading(Result(ROWS.slice(0, 0)))
    assert (len(empty), empty.table.column_names) == (0, ["period_start", "value", "status"])


def test_one_period_of_all_rows_is_said_once() -> None:
    rows = {"period_start": ["2025-11-10"] * 2, "period_end": ["2025-11-16"] * 2, "segment": ["a", "b"]}
    made = for_reading(Result(pa.table({**rows, "value": [1.0, 2.0]})))
    assert (made.table.column_names, made.notes) == (["segment", "value"], ("2025-11-10 to 2025-11-16",))


def test_where_room_is_short_details_go_and_the_status_and_verdict_stay() -> None:
    names = ("segment", "value", "numerator", "no_watch_share", "difference", "p_value", "verdict", "status")
    texts = {"segment": "a", "verdict": "abnormal", "status": "complete"}
    made = for_reading(Result(pa.table({name: [texts.get(name, number)] for number, name in enumerate(names)})))
    layout = fit(columns_of(made.table), 52)
    assert [column.name for column in layout.columns] == ["segment", "value", "difference", "verdict", "status"]
    assert layout.left_out == ("numerator", "no_watch_share", "p_value")


def test_bounds_of_a_share_are_percentages_and_differences_of_shares_are_points() -> None:
    """9.4 % to 15.0 % is 5.6 points, and not 5.6 %, which would be 9.9 %."""
    share = pa.field("value", pa.float64(), metadata={"unit": "share"})
    fields = [share, pa.field("ci_low", pa.float64()), pa.field("difference", pa.float64())]
    made = for_reading(Result(pa.table([[0.15], [0.1431], [0.056]], schema=pa.schema(fields))))
    assert [column.cells for column in columns_of(made.table)] == [("15.0%",), ("14.3%",), ("+5.6 pp",)]


def test_an_answer_in_a_notebook_is_the_table_for_people() -> None:
    made = Answer(ROWS)
    assert repr(made) == str(made) == str(for_reading(Result(ROWS)))
    assert "definition_version" not in made._repr_html_()
    assert repr(MeasureResult(ROWS)) == repr(made)


def test_a_watermark_is_said_to_the_second() -> None:
    late = datetime(2025, 11, 16, 22, 57, 7, 536698, tzinfo=UTC)
    made = for_reading(Result(pa.table({"value": [1.0], "watermark": pa.array([late], pa.timestamp("us", "UTC"))})))
    assert made.notes == ("watermark 2025-11-16 22:57:07Z",)


def test_a_long_result_shows_both_ends_and_says_so() -> None:
    made = both_ends(Result(pa.table({"n": list(range(100))})))
    assert made.table.column("n").to_pylist() == [0, 1, 2, 3, 92, 93, 94, 95, 96, 97, 98, 99]
    assert made.notes == ("the first 4 and the last 8 of 100 rows",)


def test_what_repeats_the_value_is_left_out() -> None:
    table = pa.table({"value": [3.0, 4.0], "numerator": [3.0, 4.0], "n": [3, 5], "status": ["open", "complete"]})
    assert for_reading(Result(table)).table.column_names == ["value", "n", "status"]


def test_a_share_of_none_keeps_the_part_above_the_line() -> None:
    table = pa.table({"value": [0.0], "numerator": [0.0], "denominator": [3088.0], "status": ["complete"]})
    assert for_reading(Result(table)).table.column_names == ["value", "numerator", "denominator", "status"]
