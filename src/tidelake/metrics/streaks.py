"""Streaks: how many days in a row an entity had more than a threshold (METRICS section 13)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import pyarrow as pa
from pydantic import Field

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.gold.dates import Tables
from tidelake.gold.sqltext import real
from tidelake.metrics.answer import number_fields
from tidelake.metrics.kinds.runs import kaplan_meier_median, runs_sql
from tidelake.metrics.levels import by_level
from tidelake.metrics.narrowing import Narrowed
from tidelake.metrics.series import DAYS, OfSeries, Series, daily_series

_CENSORED = "NOT (is_start_known AND is_end_known)"


class Streaks(OfSeries):
    """A streak: a maximal run of days with more than `threshold` of a metric."""

    threshold: float = Field(0.0, allow_inf_nan=False)


@by_level
def streaks(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Streaks | str,
    *,
    each: bool = False,
    **narrowed: Unpack[Narrowed],
) -> Result:
    """How long runs of days with a value above the threshold last.

    A missing day, a day that is not complete and the edge of the data (or of the dates asked for) end a streak
    without telling its length: it is `censored`.

    Args:
        each: One row a streak instead of one a segment.
        narrowed: `by` entity for the entities of count facts, or dimensions; none = the metric as a whole.

    Returns:
        One row a segment. `value` is the median length in days: by Kaplan and Meier where a streak is censored (null
        where more than half may last longer than any that ended). `n` streaks, of which `censored`; `mean_days` and
        `median_days` count censored ones by what was seen of them, `..._whole` leave them out; `longest_days`.
        Beside them `zero_days`, `missing_days`, and the longest run of days with nothing (`longest_gap_days`) between
        two days of the segment's life; `is_gap_censored` where it may have been longer. With `each`: `first_date`,
        `last_date`, `value` = days, `is_censored`, `is_start_known`, `is_end_known`.

    Raises:
        UnknownNameError: Unknown metric or dimension.
        DefinitionError: The metric has no daily values.
    """
    asked = definition if isinstance(definition, Streaks) else Streaks(metric=definition)
    series = daily_series(engine, lake, project, sources, asked.metric, **narrowed)
    return _each(series, asked) if each else _summary(series, asked)


def _runs(series: Series, asked: Streaks) -> str:
    return runs_sql(series.rows, series.segments, f"value > {real(asked.threshold)}", days=DAYS)


def _each(series: Series, asked: Streaks) -> Result:
    sql = ""
    rows: list[dict[str, Any]] = []
    if series.rows:
        sql = f"SELECT *, {_CENSORED} AS is_censored FROM ({_runs(series, asked)}) AS runs"
        order = "".join(f", {name}" for name in series.segments)
        found = series.gold.query(f"{sql} ORDER BY length_days DESC, first_date{order}")
        rows = [
            {**row, **series.named(row), "value": row["length_days"], "n": row["length_days"], "status": series.status}
            for row in found
        ]
    fields = [
        *series.fields(),
        pa.field("first_date", pa.date32()),
        pa.field("last_date", pa.date32()),
        *number_fields("days"),
        *(pa.field(name, pa.bool_()) for name in ("is_censored", "is_start_known", "is_end_known")),
    ]
    return _answered(series, asked, rows, fields, sql)


def _summary(series: Series, asked: Streaks) -> Result:
    if not series.rows:
        return _answered(series, asked, [], _summary_fields(series), "")
    listed = series.listed
    sql = (
        f"SELECT {listed}length_days, {_CENSORED} AS is_censored, count(*) AS streaks "
        f"FROM ({_runs(series, asked)}) AS runs GROUP BY {listed}length_days, {_CENSORED}"
    )
    lengths: dict[tuple[Any, ...], tuple[Counter[int], Counter[int]]] = {}
    for row in series.gold.query(sql):
        whole, censored = lengths.setdefault(_key(series, row), (Counter(), Counter()))
        (censored if row["is_censored"] else whole)[row["length_days"]] += row["streaks"]
    gaps = _gaps(series)
    rows = []
    for row in series.gold.query(_days_sql(series)):
        key = _key(series, row)
        numbers = lengths_summary(*lengths.get(key, (Counter(), Counter())))
        longest, is_censored = gaps.get(key, (0, False))
        rows.append(
            {
                **series.named(row),
                **numbers,
                "zero_days": row["zero_days"],
                "missing_days": row["missing_days"],
                "longest_gap_days": longest,
                "is_gap_censored": is_censored,
                "status": series.status,
            }
        )
    return _answered(series, asked, rows, _summary_fields(series), sql)


def _key(series: Series, row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in series.segments)


def _known_zeros(series: Series) -> str:
    """SELECT of the series without the zeros of days that are not complete: more may come of them."""
    return (
        f"SELECT {series.listed}series.day AS day, is_closed, value IS NULL AND NOT is_closed AS is_missing, "
        "CASE WHEN value <> 0 OR days.status = 'complete' THEN value END AS value "
        f"FROM ({series.rows}) AS series JOIN {DAYS} AS days ON days.day = series.day"
    )


def _days_sql(series: Series) -> str:
    grouped = f"GROUP BY {', '.join(series.segments)} ORDER BY {', '.join(series.segments)}" if series.by else ""
    return (
        f"SELECT {series.listed}count(*) FILTER (WHERE value = 0) AS zero_days, "
        "count(*) FILTER (WHERE is_missing) AS missing_days "
        f"FROM ({_known_zeros(series)}) AS known {grouped}"
    )


def _gaps(series: Series) -> dict[tuple[Any, ...], tuple[int, bool]]:
    """The longest run of days with 0 of each segment, and whether it may have been longer."""
    runs = runs_sql(_known_zeros(series), series.segments, "value = 0", days=DAYS, is_final=True)
    grouped = f"GROUP BY {', '.join([*series.segments, 'length_days'])}"
    found: dict[tuple[Any, ...], tuple[int, bool]] = {}
    sql = (
        f"SELECT {series.listed}length_days, count(*) FILTER (WHERE NOT ({_CENSORED})) AS whole "
        f"FROM ({runs}) AS runs {grouped}"
    )
    for row in series.gold.query(sql):
        key = _key(series, row)
        found[key] = max(found.get(key, (0, False)), (row["length_days"], row["whole"] == 0))
    return found


def lengths_summary(whole: Mapping[int, int], censored: Mapping[int, int]) -> dict[str, Any]:
    """Mean, median and longest of runs by their length in days; nulls where there is none."""
    every = Counter(whole) + Counter(censored)
    median = _median(every)
    return {
        "value": kaplan_meier_median(whole, censored) if censored else median,
        "n": every.total(),
        "censored": sum(censored.values()),
        "longest_days": max(every, default=None),
        "mean_days": _mean(every),
        "mean_days_whole": _mean(whole),
        "median_days": median,
        "median_days_whole": _median(whole),
    }


def _mean(lengths: Mapping[int, int]) -> float | None:
    count = sum(lengths.values())
    return sum(length * times for length, times in lengths.items()) / count if count else None


def _median(lengths: Mapping[int, int]) -> float | None:
    """Mean of the two middle lengths; None for none."""
    count, seen = sum(lengths.values()), 0
    middle: list[int] = []
    for length in sorted(lengths):
        before, seen = seen, seen + lengths[length]
        middle += [length for place in ((count - 1) // 2, count // 2) if before <= place < seen]
    return sum(middle) / 2 if middle else None


def _summary_fields(series: Series) -> list[pa.Field]:
    counts = ("zero_days", "missing_days", "longest_gap_days")
    return [
        *series.fields(),
        *number_fields("days"),
        pa.field("censored", pa.int64()),
        pa.field("longest_days", pa.int64()),
        *(pa.field(f"{name}_days{rest}", pa.float64()) for name in ("mean", "median") for rest in ("", "_whole")),
        *(pa.field(name, pa.int64()) for name in counts),
        pa.field("is_gap_censored", pa.bool_()),
    ]


def _answered(
    series: Series, asked: Streaks, rows: list[dict[str, Any]], fields: Sequence[pa.Field], sql: str
) -> Result:
    notes = [*series.notes, *([f"a streak is days with more than {asked.threshold:g}"] if series.rows else ())]
    if any(row["value"] is None and row["n"] for row in rows):
        notes.append("no value (median by Kaplan and Meier): half of the streaks or more had not ended when last seen")
    return series.answer(rows, fields, asked, name="streaks", title="Streaks", sql=sql, notes=notes)
