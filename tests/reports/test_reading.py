"""A metric's table says once what is the same everywhere, and loses nothing else."""

from __future__ import annotations

import pyarrow as pa

from tidelake.engine.result import Result
from tidelake.reports.reading import for_reading

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


def test_columns_that_differ_stay() -> None:
    two = ROWS.set_column(0, "metric", [pa.array(["dau", "events"])])
    assert "metric" in for_reading(Result(two)).table.column_names


def test_no_rows_stay_no_rows() -> None:
    empty = Result(ROWS.slice(0, 0))
    assert for_reading(empty) == empty
