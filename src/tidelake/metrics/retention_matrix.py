"""Retention for a reader: cohorts as rows and periods as columns, or the long rows with fewer columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from tidelake.engine.result import Result
from tidelake.metrics.reading import for_reading, ranked
from tidelake.metrics.retention import RetentionResult

OPEN, PART, BEGUN, GAP, SMALL = "…", "~", "◧", "!", "°"
_MARKS = {"partial_cohort": PART, "partial_left": BEGUN, "degraded": GAP}
_SAID = {
    OPEN: "not ended yet for anybody",
    PART: "ended for a part of the cohort: the share is of those",
    BEGUN: "begins before history for some: the share is of the others",
    GAP: "days without data inside",
    SMALL: "fewer than {min_n} members",
}
NOBODY = "Nobody entered in the dates and among the rows that were asked for."
_ALWAYS_SAID = ("cohort_grain", "unit", "denominator", "n", "is_biased")


def matrix(result: RetentionResult) -> Result:
    """One row a cohort, source and segment, a column a period; the last rows are pooled over complete cells.

    A cell is the share as text with the marks that a note explains; nothing stands where nothing was received.
    """
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    labels: list[str] = []
    marks: set[str] = set()
    sources = {row["cohort_source"] for row in result.to_dicts()}
    for row in result.to_dicts():
        start = row["cohort_start"].isoformat() if row["cohort_start"] else "–"
        key = (start, row["cohort_source"], *(row[name] for name in result.by))
        held = rows.setdefault(key, {**dict(zip(_keys(result), key, strict=True)), "size": row["size"]})
        if row["period_label"] is None:
            continue
        if row["period_label"] not in labels:
            labels.append(row["period_label"])
        held[row["period_label"]], used = _cell(row)
        marks |= used
    for row in result.averages.to_pylist() if result.averages is not None else []:
        key = ("pooled", row["cohort_source"], *(row[name] for name in result.by))
        held = rows.setdefault(key, {**dict(zip(_keys(result), key, strict=True)), "size": None})
        held[row["period_label"]] = None if row["pooled"] is None else f"{row['pooled']:.1%}"
        if row["set_changes"] and row["pooled"] is not None:
            held[row["period_label"]] = f"|{held[row['period_label']]}"
            marks.add("|")
    names = [name for name in _keys(result) if name != "cohort_source" or len(sources) > 1]
    fields = [pa.field(name, pa.string()) for name in names]
    fields += [pa.field("size", pa.int64()), *(pa.field(label, pa.string()) for label in labels)]
    table = pa.Table.from_pylist(list(rows.values()), schema=pa.schema(fields))
    said = {**_SAID, "|": "pooled over other cohorts than the column before: draw no line across it"}
    smallest = result.definition.min_n if result.definition is not None else 0
    legend = [f"{sign} {said[sign].format(min_n=smallest)}" for sign in said if sign in marks]
    notes = (*result.notes, f"{'; '.join(legend)}.") if legend else result.notes
    return Result(table, result.sql, result.sources, result.title, notes)


def _keys(result: RetentionResult) -> tuple[str, ...]:
    return ("cohort_start", "cohort_source", *result.by)


def _cell(row: Mapping[str, Any]) -> tuple[str | None, set[str]]:
    """One cell's text, and the marks in it."""
    if row["value"] is None:
        return (OPEN, {OPEN}) if row["status"] == "open" else (None, set())
    signs = [_MARKS[row["status"]]] if row["status"] in _MARKS else []
    signs += [SMALL] if row["is_below_min_n"] else []
    return f"{row['value']:.1%}{''.join(signs)}", set(signs)


def reading(result: RetentionResult) -> Result:
    """The long rows without what the title says or every row repeats."""
    rows = result.to_dicts()
    gone = [*_ALWAYS_SAID, *_repeated(rows)]
    gone.append("eligible" if all(row["eligible"] == row["size"] for row in rows) else "")
    table = result.table.drop_columns([name for name in gone if name])
    notes = result.notes if rows else (*result.notes, NOBODY)
    plain = Result(table, result.sql, result.sources, result.title, notes)
    return for_reading(plain)


def _repeated(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Columns that say nothing: labels that are the numbers, or numbers that labels name; a source of all rows."""
    numbered = all(row["period_label"] in (None, str(row["period"])) for row in rows)
    gone = ["period_label" if numbered else "period"]
    return [*gone, "cohort_source"] if len({row["cohort_source"] for row in rows}) < 2 else gone


def curve_for_reading(result: RetentionResult) -> Result:
    """The averages without what every row repeats."""
    made = curve(result)
    table = made.table.drop_columns(_repeated(made.to_dicts()))
    return replace(made, table=ranked(table, {"pooled": 1, "set_changes": 1, "simple": -1}))


def curve(result: RetentionResult) -> Result:
    """The averages over complete cohorts, one row a period."""
    assert result.averages is not None
    return replace(
        Result(result.averages, result.sql, result.sources, f"{result.title}, average of complete cohorts"),
        notes=(*result.notes, "set_changes: other cohorts stand behind it than behind the row before."),
    )
