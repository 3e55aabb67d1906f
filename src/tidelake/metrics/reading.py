"""A metric's rows for a reader: what is the same in every row is said once, below the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from tidelake.engine.result import Result
from tidelake.engine.tabletext import cell, is_share

SAID_ONCE = ("metric", "definition_version", "grain", "cohort_grain", "cohort_source", "unit", "watermark", "engine")
LEFT_OUT_WHEN_NULL = ("numerator", "denominator", "n", "ci_low", "ci_high", "cohort_start", "sessions_needed")
LEFT_OUT_WHEN = {"currency": "(unknown)", "is_below_min_n": False, "is_biased": False}
LEFT_OUT_WHEN |= dict.fromkeys(("numerator_so_far", "possibly_old", "unpriced", "at_present_price"), 0)
SAME_AS = (
    *(("numerator", "value"), ("n", "value"), ("gross_revenue", "value"), ("n", "denominator")),
    *(("denominator", "eligible"), ("eligible", "size"), ("period_label", "period")),
)
KEPT = ("value", "status", "verdict", "difference", "relative_difference")  # stay where room is short
DETAILS = (  # go first where room is short, in this order
    *("heterogeneity_p", "is_below_min_n", "no_watch_share", "p_value", "cohort_source", "compared_status"),
    *("difference_low", "difference_high", "retained_ci_low", "retained_ci_high", "seconds_p90", "is_gap_censored"),
    *("mean_days_whole", "median_days_whole", "numerator_so_far", "possibly_old", "uses", "triers_observed"),
    *("days_to_adopt_median", "n", "compared_start"),
    *("denominator", "numerator"),
)
NOT_SAID = ("definition_version", "cohort_grain", "unit")  # for programs that compare runs; titles say the others
_UNITS = {"s": "seconds"}


def for_reading(result: Result) -> Result:
    """The same rows with fewer columns; JSON, CSV and Parquet keep them all.

    A column of SAID_ONCE goes to the notes where it has one value, and so does the period where all rows have the same;
    one of LEFT_OUT_WHEN_NULL goes where it has none, one of LEFT_OUT_WHEN where it has only that, and one of SAME_AS
    where it repeats the other in every row. What stays knows what may go first where room is short.
    """
    table = result.table
    if not table.num_rows:
        gone = [name for name in (*SAID_ONCE, *LEFT_OUT_WHEN_NULL) if name in table.column_names]
        return replace(result, table=table.drop_columns(gone)) if len(gone) < table.num_columns else result
    said, gone = [], []
    for name in SAID_ONCE:
        if name in table.column_names and len(values := table.column(name).unique()) == 1:
            gone.append(name)
            if (value := values[0].as_py()) is not None and name not in NOT_SAID:
                said.append(f"{name} {cell(_to_the_second(value))}")
    if table.num_rows > 1 and {"period_start", "period_end"} <= set(table.column_names):
        first, last = (table.column(name).unique().to_pylist() for name in ("period_start", "period_end"))
        if len(first) == len(last) == 1 and None not in (*first, *last):
            gone += ["period_start", "period_end"]
            said.insert(0, f"{cell(first[0])} to {cell(last[0])}")
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
        for name, only in LEFT_OUT_WHEN.items()
        if name in table.column_names and table.column(name).unique().to_pylist() == [only]
    ]
    if getattr(getattr(result, "metric", None), "kind", None) == "sum" and "n" in table.column_names:
        gone.append("n")  # the rows that were added up: more than what was counted in them, and so easily misread
    for name, other in SAME_AS:
        if {name, other} <= set(table.column_names) and _same(table, name, other):
            if name == "numerator" and "denominator" in table.column_names and "denominator" not in gone:
                continue  # 0 of 3,088 is 0 %: not the number again, but one of its parts
            gone.append(name)
    gone = list(dict.fromkeys(gone))
    if len(gone) == len(table.column_names):
        return result
    notes = (*result.notes, ", ".join(said)) if said else result.notes
    ranks = dict.fromkeys(KEPT, 1) | {name: place - len(DETAILS) for place, name in enumerate(DETAILS)}
    return Result(ranked(_with_units(table.drop_columns(gone)), ranks), result.sql, result.sources, result.title, notes)


def ranked(table: pa.Table, ranks: Mapping[str, int]) -> pa.Table:
    """The same table, whose columns know which stay (above 0) and which go first (below) where room is short."""
    fields = [
        field.with_metadata({**(field.metadata or {}), b"rank": str(ranks[field.name]).encode()})
        if field.name in ranks
        else field
        for field in table.schema
    ]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields))


def _with_units(table: pa.Table) -> pa.Table:
    """Bounds of a share as percentages like itself, and differences of shares in points: 9.4 % to 15.0 % is 5.6 pp."""
    if "value" not in table.column_names or not is_share(table.schema.field("value")):
        return table
    units = dict.fromkeys(("ci_low", "ci_high"), b"share")
    units |= dict.fromkeys(("difference", "difference_low", "difference_high"), b"points")
    fields = [
        field.with_metadata({**(field.metadata or {}), b"unit": units[field.name]}) if field.name in units else field
        for field in table.schema
    ]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields))


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


def _same(table: pa.Table, name: str, other: str) -> bool:
    kind = "string" if pa.types.is_string(table.schema.field(name).type) else "double"
    return bool(table.column(name).cast(kind) == table.column(other).cast(kind))


def _to_the_second(value: Any) -> Any:
    return value.replace(microsecond=0) if isinstance(value, datetime) else value
