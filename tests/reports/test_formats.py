"""What other programs read."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
from pyarrow import parquet

from tidelake.engine.base import TableVersion
from tidelake.engine.result import Result
from tidelake.reports.formats import write_csv, write_json, write_parquet

TABLE = pa.table(
    {
        "t": pa.array([datetime(2025, 11, 17, 8, 0, 0, 5, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
        "d": pa.array([date(2025, 11, 17), None]),
        "text": ['say "hi", all', ""],
        "n": pa.array([9007199254740993, None], pa.int64()),
        "x": [0.1, float("nan")],
        "sum": pa.array([Decimal(3), Decimal(4)], pa.decimal128(38, 0)),
        "many": [["a", "b"], None],
    }
)


def test_json_is_one_stable_document() -> None:
    stream = io.BytesIO()
    write_json(Result(TABLE, "SELECT 1", (TableVersion("silver.app", 4),), "T", ("a note",)), stream)
    document = json.loads(stream.getvalue())
    assert list(document) == ["title", "columns", "rows", "sources", "notes", "sql"]
    assert document["columns"][0] == {"name": "t", "type": "timestamp[us, tz=UTC]"}
    assert document["rows"] == [
        {
            "t": "2025-11-17T08:00:00.000005Z",
            "d": "2025-11-17",
            "text": 'say "hi", all',
            "n": 9007199254740993,
            "x": 0.1,
            "sum": 3,
            "many": ["a", "b"],
        },
        {"t": None, "d": None, "text": "", "n": None, "x": "NaN", "sum": 4, "many": None},
    ]
    assert document["sources"] == [{"table": "silver.app", "version": 4}]
    assert (document["notes"], document["sql"], document["title"]) == (["a note"], "SELECT 1", "T")


def test_json_of_no_rows_is_a_document_too() -> None:
    stream = io.BytesIO()
    write_json(Result(TABLE.slice(0, 0)), stream)
    assert json.loads(stream.getvalue())["rows"] == []


def test_csv_tells_null_from_empty_text() -> None:
    stream = io.BytesIO()
    write_csv(Result(TABLE.drop_columns(["x"])), stream)
    assert stream.getvalue().decode().splitlines() == [
        "t,d,text,n,sum,many",
        '"2025-11-17T08:00:00.000005Z",2025-11-17,"say ""hi"", all",9007199254740993,"3","[""a"", ""b""]"',
        ',,"",,"4",',
    ]


def test_parquet_keeps_types() -> None:
    stream = io.BytesIO()
    write_parquet(Result(TABLE), stream)
    assert parquet.read_table(io.BytesIO(stream.getvalue())).schema.field("t").type == pa.timestamp("us", "UTC")
