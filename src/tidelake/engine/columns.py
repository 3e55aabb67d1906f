"""Columns on their way between DuckDB, Arrow and Delta: type names, instants in UTC, statistics of a file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from tidelake.errors import EngineError

_STATISTIC_TEXT = 32  # longest text that statistics hold: longer ones are cut by readers anyway
_SQL_TYPES = {
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
    pa.date32(): "DATE",
    pa.timestamp("us", "UTC"): "TIMESTAMPTZ",
    pa.timestamp("us"): "TIMESTAMP",
    pa.null(): "INTEGER",
}


def sql_type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type.

    Raises:
        EngineError: DuckDB tables of Tidelake have no such type.
    """
    if kind in _SQL_TYPES:
        return _SQL_TYPES[kind]
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view():
        return "VARCHAR"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ" if kind.tz else "TIMESTAMP"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return "STRUCT(" + ", ".join(f"{_quoted(item.name)} {sql_type(item.type)}" for item in kind) + ")"
    if pa.types.is_map(kind):
        return f"MAP({sql_type(kind.key_type)}, {sql_type(kind.item_type)})"
    raise EngineError(f"No SQL type for {kind}.", hint="Cast the column in the SELECT.")


_ARROW_TYPES = {
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "VARCHAR": pa.string(),
    "DATE": pa.date32(),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
}


def arrow_type(name: str) -> pa.DataType | None:
    """The Arrow type in which `in_utc` hands on one of DuckDB's plain types; None for all others."""
    return _ARROW_TYPES.get(name)


def in_utc(table: pa.Table) -> pa.Table:
    """The rows with timestamps in UTC microseconds and integers that Delta has."""
    for index, field in enumerate(table.schema):
        kind = field.type
        if pa.types.is_timestamp(kind) and kind.tz is not None and kind != pa.timestamp("us", "UTC"):
            kind = pa.timestamp("us", "UTC")
        elif pa.types.is_decimal(kind) and kind.scale == 0 and kind.precision == 38:
            kind = pa.int64()
        elif kind == pa.string_view() or pa.types.is_large_string(kind):
            kind = pa.string()
        if kind != field.type:
            table = table.set_column(index, pa.field(field.name, kind), table.column(index).cast(kind))
    return table


def file_statistics(count: int, columns: Mapping[str, Mapping[str, str]], schema: pa.Schema) -> str:
    """Delta's statistics of one file, from what DuckDB returns of it."""
    minimum: dict[str, Any] = {}
    maximum: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for quoted, found in columns.items():
        name = quoted.strip('"').replace('""', '"')
        if '"."' in quoted or name not in schema.names:
            continue
        if "null_count" in found:
            nulls[name] = int(found["null_count"])
        if found.get("min_is_exact") == "false" or found.get("max_is_exact") == "false":
            continue
        low, high = (_statistic(found.get(edge), schema.field(name).type) for edge in ("min", "max"))
        if low is not None and high is not None:
            minimum[name], maximum[name] = low, high
    return json.dumps({"numRecords": count, "minValues": minimum, "maxValues": maximum, "nullCount": nulls})


def _statistic(text: str | None, kind: pa.DataType) -> Any:
    """A minimum or maximum as Delta writes it; None where it is left out (nested, boolean, long text)."""
    if text is None:
        return None
    if pa.types.is_integer(kind):
        return int(text)
    if pa.types.is_floating(kind):
        return float(text) if math.isfinite(float(text)) else None
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        # Full microseconds: a maximum that is cut to milliseconds would prune files that hold it.
        return text.removesuffix("+00").replace(" ", "T") + "Z" if text.endswith("+00") else None
    if pa.types.is_date(kind):
        return text if len(text) == len("2024-01-01") else None
    return text if pa.types.is_string(kind) and len(text) <= _STATISTIC_TEXT else None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
