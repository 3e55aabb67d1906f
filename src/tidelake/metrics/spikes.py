"""Spikes: days far from what the same weekday had before, by a rule that spikes do not blind (METRICS section 13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
from pydantic import Field

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.gold.dates import Tables
from tidelake.gold.sqltext import real
from tidelake.metrics.answer import number_fields
from tidelake.metrics.kinds.medians import robust_z_sql
from tidelake.metrics.levels import by_level
from tidelake.metrics.series import DAYS, OfSeries, daily_series


class Spikes(OfSeries):
    """A spike: a day whose robust z passes `z`, against the `history` values before it of the same weekday."""

    z: float = Field(5.0, gt=0, allow_inf_nan=False)
    history: int = Field(8, ge=2, le=26)


@by_level
def spikes(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Spikes | str,
    *,
    by: Sequence[str] = (),
    start: date | None = None,
    end: date | None = None,
    where: str | None = None,
) -> Result:
    """Days that were far above or below the same weekday's previous values.

    Only complete days are judged, and only they are history; what lies before `start` is history too.

    Args:
        by: `entity` for the entities of count facts, or dimensions; none = the metric as a whole.

    Returns:
        One row a spike, by date, the farthest first: `value`, `expected` (the median before, taken on the scale of
        logarithms), `z`, `direction` up or down, `n` = the values compared with. A note says how many days were
        judged, and how many could not be: fewer values before them.

    Raises:
        UnknownNameError: Unknown metric or dimension.
        DefinitionError: The metric has no daily values.
    """
    asked = definition if isinstance(definition, Spikes) else Spikes(metric=definition)
    series = daily_series(engine, lake, project, sources, asked.metric, by=by, end=end, where=where)
    rows: list[dict[str, Any]] = []
    notes, sql = [*series.notes], ""
    if series.rows:
        complete = (
            f"SELECT series.* FROM ({series.rows}) AS series JOIN {DAYS} AS days ON days.day = series.day "
            "WHERE days.status = 'complete' AND value IS NOT NULL"
        )
        every = robust_z_sql(complete, series.segments, history=asked.history)
        within = f"day >= DATE '{start.isoformat()}'" if start is not None else "TRUE"
        is_far = f"{within} AND abs(z) > {real(asked.z)}"
        sql = f"SELECT * FROM ({every}) AS judged WHERE {is_far}"
        # Made before it is filtered: Spark would write the condition out down to the sources, layer within layer.
        series.gold.temp("spikes_judged", every)
        order = "".join(f", {name}" for name in series.segments)
        rows = [
            {
                **row,
                **series.named(row),
                "period_start": row["day"],
                "n": asked.history,
                "direction": "up" if row["z"] > 0 else "down",
                "status": "complete",
            }
            for row in series.gold.query(
                f"SELECT * FROM temp.spikes_judged WHERE {is_far} ORDER BY day, abs(z) DESC{order}"
            )
        ]
        judged = series.gold.query(f"SELECT count(*) AS n FROM temp.spikes_judged WHERE {within} AND z IS NOT NULL")
        held = series.gold.query(f"SELECT count(*) AS n FROM ({complete}) AS held WHERE {within}")
        short = held[0]["n"] - judged[0]["n"]
        notes.append(
            f"{judged[0]['n']:,} values judged; {short:,} not, with fewer than {asked.history} values of their weekday "
            "before them"
        )
    fields = [
        pa.field("period_start", pa.date32()),
        pa.field("grain", pa.string()),
        *series.dimension_fields(),
        *number_fields(series.metric.unit),
        pa.field("expected", pa.float64()),
        pa.field("z", pa.float64()),
        pa.field("direction", pa.string()),
    ]
    return series.answer(rows, fields, asked, name="spikes", title="Spikes", sql=sql, notes=notes)
