r"""A result as JSON, CSV or Parquet.

The JSON form is stable: one object with

    title, columns [{name, type, unit?}], rows [{column: value}], totals? [{column: value}], power? [{column: value}],
    sources [{table, version}], notes, sql

`totals` are there where rows are cut by what an actor may be several of: the whole beside the sum of the rows. `power`
is there for the power-user curve: the power users of each segment, and their share.
Instants are ISO 8601 in UTC with `Z`, dates ISO, durations seconds, exact decimals and bytes (hexadecimal) text,
and numbers that JSON does not know the texts "NaN", "Infinity", "-Infinity". Nulls are null.

CSV has a header and `\\n` line ends; texts and instants are quoted, numbers and dates are not; a null is empty, an
empty text is `""`. Nested values are JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, BinaryIO, Literal, get_args

import pyarrow as pa

from tidelake.engine.result import Result
from tidelake.engine.tabletext import instant

Format = Literal["table", "json", "csv", "parquet"]
FORMATS: tuple[str, ...] = get_args(Format)


def plain(value: Any) -> Any:
    """A value as JSON knows it, without losing what it is."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
        case datetime():
            return instant(value)
        case date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return int(value) if value == value.to_integral_value() else str(value)
        case bytes():
            return value.hex()
        case list() | tuple():
            return [plain(item) for item in value]
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case _:
            return str(value)


def json_pieces(result: Result) -> Iterator[str]:
    """The JSON document in pieces, one row a line, so that a large result needs no second copy in memory."""
    head = json.dumps({"title": result.title, "columns": _columns(result.table.schema)}, ensure_ascii=False)
    yield head[:-1] + ', "rows": ['
    first = True
    for batch in result.table.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            yield ("\n" if first else ",\n") + json.dumps(plain(row), ensure_ascii=False)
            first = False
    beside = {name: getattr(result, name, None) for name in ("totals", "power")}  # of metrics, and of some questions
    tail: dict[str, Any] = {
        name: [plain(row) for row in table.to_pylist()] for name, table in beside.items() if table is not None
    }
    tail |= {
        "sources": [{"table": source.table, "version": source.version} for source in result.sources],
        "notes": list(result.notes),
        "sql": result.sql,
    }
    yield "\n], " + json.dumps(tail, ensure_ascii=False)[1:] + "\n"


def _columns(schema: pa.Schema) -> list[dict[str, str]]:
    return [
        {"name": field.name, "type": str(field.type)}
        | ({"unit": unit.decode()} if (unit := (field.metadata or {}).get(b"unit")) else {})
        for field in schema
    ]


def write_json(result: Result, stream: BinaryIO) -> None:
    """Write the JSON document as UTF-8; an explanation has one of its own (docs/explain.md)."""
    whole = getattr(result, "document", None)
    if whole is not None:
        stream.write((json.dumps(plain(whole()), ensure_ascii=False, indent=1) + "\n").encode())
        return
    stream.writelines(piece.encode("utf-8", errors="surrogatepass") for piece in json_pieces(result))


def write_csv(result: Result, stream: BinaryIO) -> None:
    """Write CSV as UTF-8."""
    from pyarrow import csv

    arrays = [_for_csv(column) for column in result.table.columns]
    names = result.table.column_names
    table = pa.Table.from_arrays(
        arrays, schema=pa.schema(list(zip(names, (item.type for item in arrays), strict=True)))
    )
    head = ",".join(_quoted(name) for name in names) + "\n"
    stream.write(head.encode())
    csv.write_csv(table, _Writing(stream), csv.WriteOptions(include_header=False, quoting_style="needed"))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if any(sign in name for sign in ',"\r\n') else name


def _for_csv(values: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = values.type
    simple = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if simple or pa.types.is_string(kind) or pa.types.is_date32(kind):
        return values
    return pa.chunked_array([pa.array([_csv_text(value) for value in values.to_pylist()], pa.string())])


def _csv_text(value: Any) -> str | None:
    value = plain(value)
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def write_parquet(result: Result, stream: BinaryIO) -> None:
    """Write one Parquet file, compressed with zstd."""
    from pyarrow import parquet

    parquet.write_table(result.table, _Writing(stream), compression="zstd")


class _Writing:
    """A binary stream that its writer may not close."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        return self._stream.write(data)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self._stream.flush()
