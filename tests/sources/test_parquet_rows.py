"""Parquet: each row once, with numbers, times and texts that mean the same."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.conftest import Reading, reader_of
from tidelake.errors import BusyError, ContractError
from tidelake.sources.base import Take
from tidelake.sources.parquet_rows import row_texts

UTC = dt.UTC


def test_values_by_type_as_worked_out_by_hand() -> None:
    batch = pa.RecordBatch.from_pydict(
        {
            "big": pa.array([2**63 - 1, None], pa.int64()),
            "unsigned": pa.array([2**64 - 1, 0], pa.uint64()),
            "price": pa.array([Decimal("1.10"), Decimal("-0.05")], pa.decimal128(5, 2)),
            "share": pa.array([0.1, math.nan]),
            "yes": pa.array([True, None]),
            "text": pa.array(['a "b"\\\n\x01é', None]),
            "day": pa.array([dt.date(2025, 11, 17), None]),
            "at": pa.array(
                [dt.datetime(2025, 11, 17, 23, 59, 59, 123456, UTC), None], pa.timestamp("us", "America/New_York")
            ),
            "local": pa.array([dt.datetime.fromisoformat("2025-11-17T01:02:03"), None], pa.timestamp("ms")),
            "list": pa.array([[1, None], None], pa.list_(pa.int32())),
            "deep": pa.array([{"a": 1.5, "b": [Decimal("2.50")]}, None]),
            "code": pa.array(["x", "y"]).dictionary_encode(),
            "bytes": pa.array([b"\xff\x00", None]),
            "none": pa.nulls(2),
        }
    )
    first, second = row_texts(batch).to_pylist()
    assert first == (
        '{"big":9223372036854775807,"unsigned":18446744073709551615,"price":1.10,"share":0.1,"yes":true,'
        '"text":"a \\"b\\"\\\\\\n\\u0001é","day":"2025-11-17","at":"2025-11-17T23:59:59.123456Z",'
        '"local":"2025-11-17T01:02:03.000","list":[1,null],"deep":{"a":1.5,"b":[2.50]},"code":"x",'
        '"bytes":"ff00","none":null}'
    )
    assert second == (
        '{"big":null,"unsigned":0,"price":-0.05,"share":"NaN","yes":null,"text":null,"day":null,"at":null,'
        '"local":null,"list":null,"deep":null,"code":"y","bytes":null,"none":null}'
    )


@settings(max_examples=150)
@given(
    rows=st.lists(
        st.tuples(
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.floats(allow_nan=False, allow_infinity=False),
            st.none() | st.text(max_size=10),
        ),
        max_size=20,
    )
)
def test_rows_are_those_that_were_written(rows: list[tuple[Any, ...]]) -> None:
    names = ["n", 'we"ird', "text"]
    types = [pa.int64(), pa.float64(), pa.string()]
    columns = [pa.array([row[index] for row in rows], types[index]) for index in range(3)]
    texts = row_texts(pa.RecordBatch.from_arrays(columns, names=names), '"site":"x"').to_pylist()
    assert [json.loads(text) for text in texts] == [{"site": "x", **dict(zip(names, row, strict=True))} for row in rows]


def test_positions_hash_and_groups(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": range(200_000), "name": ["some name"] * 200_000}), path, row_group_size=50_000)
    reading = Reading(reader_of(path), group_bytes=2_000_000)
    assert reading.groups > 2
    assert reading.column("source_position") == list(range(1, 200_001))
    assert [json.loads(raw)["id"] for raw in reading.column("raw")] == list(range(200_000))
    assert reading.only.content_hash == hashlib.sha256(path.read_bytes()).hexdigest()
    assert reading.lines == {"a.parquet": 200_000}
    assert reading.bytes_read == path.stat().st_size


def test_required_column_is_looked_for(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1]}), tmp_path / "a.parquet")
    reader = reader_of(tmp_path, contract={"fields": {"name": {"required": True}}})
    with pytest.raises(ContractError, match="lacks the column 'name'"):
        reader.groups([Take(look) for look in reader.looks()], group_bytes=1)


def test_what_is_no_parquet_is_said(write: Callable[..., Path], read: Callable[..., Reading]) -> None:
    with pytest.raises(ContractError, match="cannot be read as Parquet"):
        read(write("a.parquet", b"PAR1 and nothing more"))
    with pytest.raises(ContractError, match="cannot be read as Parquet"):
        read(write("b.parquet", b"text"), format="parquet")


def test_file_replaced_before_it_is_read_is_not_half_old(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": [1]}), path)
    reader = reader_of(path)
    takes = [Take(look) for look in reader.looks()]
    pq.write_table(pa.table({"id": [1, 2, 3]}), path)
    with pytest.raises(BusyError, match="changed while it was read"):
        list(reader.groups(takes, group_bytes=1 << 20))


def test_real_shop_lines_are_those_of_pyarrow(shared_data: Callable[[str], Path], read: Callable[..., Reading]) -> None:
    (path,) = shared_data("online_retail_uci").rglob("*.parquet")
    table = pq.read_table(path)
    reading = read(path, group_bytes=8 << 20)
    assert len(reading.rows) == table.num_rows == 240_007
    step = 997
    want = table.take(list(range(0, table.num_rows, step))).to_pylist()
    for raw, row in zip(reading.column("raw")[::step], want, strict=True):
        got = json.loads(raw)
        for name, value in row.items():
            if isinstance(value, dt.datetime):
                assert dt.datetime.fromisoformat(got[name]) == value
            else:
                assert got[name] == value
