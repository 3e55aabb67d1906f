"""A metric's table says once what is the same everywhere, and loses nothing else."""

from __future__ import annotations

import pyarrow as pa

from tidelake.engine.result import Result
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


def test_no_rows_stay_no_rows() -> None:
    empty = Result(ROWS.slice(0, 0))
    assert for_reading(empty) == empty


def test_a_long_result_shows_both_ends_and_says_so() -> None:
    made = both_ends(Result(pa.table({"n": list(range(100))})))
    assert made.table.column("n").to_pylist() == [0, 1, 2, 3, 92, 93, 94, 95, 96, 97, 98, 99]
    assert made.notes == ("the first 4 and the last 8 of 100 rows",)


def test_what_repeats_the_value_is_left_out() -> None:
    table = pa.table({"value": [3.0, 4.0], "numerator": [3.0, 4.0], "n": [3, 5], "status": ["open", "complete"]})
    assert for_reading(Result(table)).table.column_names == ["value", "n", "status"]
