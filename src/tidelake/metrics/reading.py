"""A metric's rows for a reader: what is the same in every row is said once, below the table."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from tidelake.engine.result import Result
from tidelake.engine.tabletext import cell

SAID_ONCE = ("metric", "definition_version", "grain", "watermark", "engine")
LEFT_OUT_WHEN_NULL = ("numerator", "denominator", "n", "ci_low", "ci_high")
SAME_AS_VALUE = ("numerator", "n")
NOT_SAID = ("definition_version",)  # for programs that compare runs
_UNITS = {"s": "seconds"}


def for_reading(result: Result) -> Result:
    """The same rows with fewer columns; JSON, CSV and Parquet keep them all.

    A column of SAID_ONCE goes to the notes where it has one value; one of LEFT_OUT_WHEN_NULL goes where it has none,
    and one of SAME_AS_VALUE where it repeats `value` in every row.
    """
    table = result.table
    if not table.num_rows:
        return result
    said, gone = [], []
    for name in SAID_ONCE:
        if name in table.column_names and len(values := table.column(name).unique()) == 1:
            gone.append(name)
            if (value := values[0].as_py()) is not None and name not in NOT_SAID:
                said.append(f"{name} {cell(value)}")
    unit = _unit(result)
    if unit:
        said.insert(0, f"value in {unit}")
    gone += [
        name
        for name in LEFT_OUT_WHEN_NULL
        if name in table.column_names and table.column(name).null_count == table.num_rows
    ]
    gone += [
        name
        for name in SAME_AS_VALUE
        if name in set(table.column_names) - set(gone) and table.column(name).cast("double") == _value(result)
    ]
    if len(gone) == len(table.column_names):
        return result
    notes = (*result.notes, ", ".join(said)) if said else result.notes
    return Result(table.drop_columns(gone), result.sql, result.sources, result.title, notes)


def both_ends(result: Result, *, first: int = 4, last: int = 8) -> Result:
    """The first and the last rows of a long result, with a note that says so."""
    table = result.table
    if table.num_rows <= first + last + 3:  # a gap that saves so little is not worth its note
        return result
    ends = pa.concat_tables([table.slice(0, first), table.slice(table.num_rows - last)])
    note = f"the first {first} and the last {last} of {table.num_rows:,} rows"
    return replace(result, table=ends, notes=(note, *result.notes))


def _unit(result: Result) -> str:
    """What `value` is counted in, where its column says so."""
    schema = result.table.schema
    metadata = (schema.field("value").metadata or {}) if "value" in schema.names else {}
    unit = metadata.get(b"unit", b"").decode()
    return "" if unit == "share" else _UNITS.get(unit, unit)


def _value(result: Result) -> pa.ChunkedArray | None:
    return result.table.column("value").cast("double") if "value" in result.table.column_names else None
