"""Decline: entities, or categories, that fell to a part of what they had just before (METRICS section 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
from pydantic import Field

from tidelake.config import Project
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.gold.dates import Tables
from tidelake.gold.sqltext import real
from tidelake.metrics.answer import NUMBERS, number_fields
from tidelake.metrics.periods import dates_between
from tidelake.metrics.series import OfSeries, Series, daily_series
from tidelake.metrics.status import Status, worst

_EVERY = 1_000_000  # a share is of all values, and the sum of the smaller ones is none of them


class Decline(OfSeries):
    """A decline at t: the lowest of the days after it is at most `share` of the mean of the days before it.

    Attributes:
        before: Days before t that make its base.
        after: Days after t, the lowest of which decides.
        share: How much of the base may be left.
        min_base: Below this base nothing is said.
    """

    before: int = Field(3, ge=1, le=28)
    after: int = Field(7, ge=1, le=28)
    share: float = Field(0.3, ge=0, lt=1)
    min_base: float = Field(1.0, gt=0, allow_inf_nan=False)


def decline(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    definition: Decline | str,
    *,
    by: Sequence[str] = (),
    start: date | None = None,
    end: date | None = None,
    where: str | None = None,
    each: bool = False,
) -> Result:
    """Share of entities, or of a dimension's values, that declined after each date.

    Args:
        by: `entity` for the entities of count facts, or dimensions; none = the metric as a whole.
        each: One row a date and entity that has a label, instead.

    Returns:
        One row a date t: `numerator` of the `denominator` entities with a label declined, `value` their share with
        Wilson's interval. An entity has none where any of the days before and after t was not received or lies before
        its first, or where its base is below `min_base`; on a day on which it is closed it had 0. Status: the worst of
        these days; null where one of them has not ended or was not received. With `each`: `base`, `lowest`, and `value`
        1 or 0.

    Raises:
        UnknownNameError: Unknown metric or dimension.
        DefinitionError: The metric has no daily values.
    """
    asked = definition if isinstance(definition, Decline) else Decline(metric=definition)
    series = daily_series(engine, lake, project, sources, asked.metric, segment_limit=_EVERY, by=by, where=where)
    statuses = {
        day: _status(series, asked, day)
        for day in series.days
        if (start is None or day >= start) and (end is None or day <= end)
    }
    rows: list[dict[str, Any]] = []
    sql, notes = "", list(series.notes)
    if series.rows and statuses:
        labels = labels_sql(series.rows, series.segments, asked)
        sql = (
            labels if each else f"SELECT day, count(*) AS n, sum(declined) AS k FROM ({labels}) AS labels GROUP BY day"
        )
        order = ", ".join(["day", *(series.segments if each else [])])
        found = series.gold.query(f"SELECT * FROM ({sql}) AS found ORDER BY {order}")
        rows = list(_each(series, found, statuses) if each else _shares(found, statuses))
    fields = [
        pa.field("period_start", pa.date32()),
        pa.field("grain", pa.string()),
        *(series.dimension_fields() if each else ()),
        *number_fields(None if each else "share"),
        *((pa.field("base", pa.float64()), pa.field("lowest", pa.float64())) if each else ()),
    ]
    notes.append(
        f"declined: the lowest of the {asked.after} days after is at most {asked.share:.0%} of the mean of the "
        f"{asked.before} before, which is at least {asked.min_base:g}"
    )
    return series.answer(rows, fields, asked, name="decline", title="Decline", sql=sql, notes=notes)


def labels_sql(rows: str, segments: Sequence[str], asked: Decline) -> str:
    """SELECT of day, segments, base, lowest and declined (1 or 0) of those that have a label.

    Args:
        rows: SELECT of day, segments, value and is_closed: one row a day and segment without a gap.
    """
    listed = "".join(f"{name}, " for name in segments)
    window = f"OVER ({f'PARTITION BY {listed[:-2]} ' if segments else ''}ORDER BY day)"
    earlier = [f"b{number}" for number in range(1, asked.before + 1)]
    later = [f"a{number}" for number in range(1, asked.after + 1)]
    shifted = [f"lag(v, {number}) {window} AS {name}" for number, name in enumerate(earlier, start=1)]
    shifted += [f"lead(v, {number}) {window} AS {name}" for number, name in enumerate(later, start=1)]
    value = "CASE WHEN is_closed THEN 0e0 ELSE CAST(value AS DOUBLE) END"
    base = f"safe_divide({' + '.join(earlier)}, {asked.before})"
    lowest = f"least({', '.join(later)})" if len(later) > 1 else later[0]
    known = " AND ".join(f"{name} IS NOT NULL" for name in (*earlier, *later))
    valued = f"SELECT day, {listed}{value} AS v FROM ({rows}) AS series"
    beside = f"SELECT day, {listed}{', '.join(shifted)} FROM ({valued}) AS valued"
    bases = f"SELECT day, {listed}{base} AS base, {lowest} AS lowest FROM ({beside}) AS shifted WHERE {known}"
    return (
        f"SELECT day, {listed}base, lowest, CASE WHEN lowest <= {real(asked.share)} * base THEN 1 ELSE 0 END "
        f"AS declined FROM ({bases}) AS bases WHERE base >= {real(asked.min_base)}"
    )


def _status(series: Series, asked: Decline, day: date) -> Status:
    """The worst of the days before and after, the date itself left out: it plays no part."""
    days = [
        *dates_between(day - timedelta(days=asked.before), day - timedelta(days=1)),
        *dates_between(day + timedelta(days=1), day + timedelta(days=asked.after)),
    ]
    first = min(series.days)
    return worst("partial_left" if one < first else series.days.get(one, "open") for one in days)


def _shares(found: Iterable[Mapping[str, Any]], statuses: Mapping[date, Status]) -> Iterable[dict[str, Any]]:
    from tidelake.metrics.intervals import wilson  # with numpy

    counted = {row["day"]: (int(row["k"]), int(row["n"])) for row in found}
    for day, status in statuses.items():
        declined, labels = counted.get(day, (0, 0))
        numbers: dict[str, Any] = dict.fromkeys(NUMBERS)
        if status in _KNOWN:
            value = declined / labels if labels else None
            numbers = dict(zip(NUMBERS, (value, declined, labels, labels, *wilson(declined, labels)), strict=True))
        yield {"period_start": day, "grain": "day", "status": status, **numbers}


def _each(
    series: Series, found: Iterable[Mapping[str, Any]], statuses: Mapping[date, Status]
) -> Iterable[dict[str, Any]]:
    none = dict.fromkeys(NUMBERS)
    for row in found:
        status = statuses.get(row["day"])
        if status in _KNOWN:
            named = {**series.named(row), "period_start": row["day"]}
            label = {"value": row["declined"], "base": row["base"], "lowest": row["lowest"]}
            yield {**named, **none, **label, "status": status}


_KNOWN = ("complete", "degraded", "partial_left")
