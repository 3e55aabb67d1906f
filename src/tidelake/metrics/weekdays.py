"""Weekday profiles: how a week is spread over its days (METRICS section 13)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import pyarrow as pa

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.gold.dates import Tables
from tidelake.metrics.answer import number_fields
from tidelake.metrics.levels import by_level
from tidelake.metrics.narrowing import Narrowed
from tidelake.metrics.series import DAYS, OfSeries, Series, daily_series

NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Weekdays(OfSeries):
    """A weekday profile: mean over complete weeks of a day's value by the mean of its week."""


@by_level
def weekdays(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Weekdays | str,
    **narrowed: Unpack[Narrowed],
) -> Result:
    """How far each weekday lies above or below the mean of its week: 1 = as the mean, 1.2 = a fifth above.

    A week counts where all of its seven days are complete and have a value, and their mean is not 0; weeks begin as
    the project's `week_start` says.

    Returns:
        One row a segment and weekday in the order of the week: `value`, `n` = weeks. The seven values of a segment
        add up to 7. Segments without such a week have no rows; a note says how many.

    Raises:
        UnknownNameError: Unknown metric or dimension.
        DefinitionError: The metric has no daily values.
    """
    asked = definition if isinstance(definition, Weekdays) else Weekdays(metric=definition)
    series = daily_series(engine, lake, project, sources, asked.metric, **narrowed)
    rows: list[dict[str, Any]] = []
    notes, sql = ["value: how many times the mean of its week; n: weeks", *series.notes], ""
    if series.rows:
        sql = profile_sql(series, project.week_start)
        order = ", ".join([*series.segments, "place"])
        found = series.gold.query(f"{sql} ORDER BY {order}")
        for row in found:
            name = NAMES[row["weekday"] - 1]
            rows.append({**row, **series.named(row), "weekday": name, "n": row["weeks"], "status": "complete"})
        without = _segments(series) - len(rows) // 7
        if without:
            notes.append(f"{without:,} without a complete week that has values: not shown" if series.by else "No week")
    fields = [*series.fields(), pa.field("weekday", pa.string()), *number_fields(None)]
    return series.answer(rows, fields, asked, name="weekday_profile", title="Weekdays", sql=sql, notes=notes)


def profile_sql(series: Series, week_start: str) -> str:
    """SELECT of the segments, weekday (1 = Monday), place in the week, value and weeks."""
    listed = series.listed
    parts = f"PARTITION BY {listed}week"
    return (
        f"SELECT {listed}weekday, min(place) AS place, avg(safe_divide(value, week_mean)) AS value, "
        "count(*) AS weeks FROM ("
        f"SELECT {listed}day, weekday, days_between(week, day) AS place, value, "
        f"avg(value) OVER ({parts}) AS week_mean, count(*) OVER ({parts}) AS held FROM ("
        f"SELECT {listed}series.day AS day, weekday_iso(series.day) AS weekday, "
        f"week_start(series.day, '{week_start}') AS week, value "
        f"FROM ({series.rows}) AS series JOIN {DAYS} AS days ON days.day = series.day "
        "WHERE days.status = 'complete' AND value IS NOT NULL) AS dated) AS weekly "
        f"WHERE held = 7 AND week_mean <> 0 GROUP BY {listed}weekday"
    )


def _segments(series: Series) -> int:
    if not series.by:
        return 1
    distinct = f"SELECT DISTINCT {', '.join(series.segments)} FROM ({series.rows}) AS series"
    return int(series.gold.query(f"SELECT count(*) AS n FROM ({distinct}) AS segments")[0]["n"])
