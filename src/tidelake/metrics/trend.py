"""Whether a metric rises or falls, and how fast: a robust slope over its last complete days (METRICS section 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from tidelake.config import Project, Settings
from tidelake.contracts.source import Source
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables
from tidelake.metrics.actor_days import SEGMENT_LIMIT, Segment, definition_of, last_complete, of_segment
from tidelake.metrics.answer import Answer, answer, number_fields, version_of
from tidelake.metrics.appearances import FIRST, write_appearances
from tidelake.metrics.catalogue import Metric, catalogue, metric_named
from tidelake.metrics.intervals import benjamini_hochberg
from tidelake.metrics.kinds.slopes import LEAST_DAYS, Slope, weekly_slope
from tidelake.metrics.knowing import leaves_of
from tidelake.metrics.measure import measure
from tidelake.metrics.status import observe

LEVEL = 0.05
Verdict = Literal["rising", "falling", "no trend", "cannot be told"]


class Trend(Settings):
    """What is asked.

    Attributes:
        metric: A metric of a day.
        days: The last dates that are looked at; eight weeks.
        min_change: From so great a relative change a week on it is called a trend.
    """

    metric: str = "dau"
    days: int = Field(56, ge=LEAST_DAYS, le=3660)
    min_change: float = Field(0.01, gt=0, lt=1)
    by: tuple[str, ...] = ()
    where: str | None = None


@dataclass(frozen=True)
class TrendResult(Answer):
    """One row a segment."""


def trend(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    metric: str = "dau",
    *,
    days: int = 56,
    at: date | None = None,
    by: Sequence[str] | str = (),
    where: str | None = None,
    min_change: float = 0.01,
    segment_limit: int = SEGMENT_LIMIT,
) -> TrendResult:
    """How a metric of a day changes from week to week.

    Args:
        engine: Runs the SELECT.
        lake: Versions and file lists of the tables.
        project: Settings.
        sources: The project's sources by name.
        metric: Name or alias; `dau` where none is named.
        days: How many dates are looked at.
        at: The last of them; None = the last complete date.
        by: Dimensions.
        where: Condition over silver's columns (session metrics: over those of sessions).
        min_change: From so great a relative change a week on it is called a trend.
        segment_limit: Values of a dimension that get rows of their own.

    Returns:
        One row a segment. `value` = relative change a week without the weekly rhythm (0.02 = 2 % more each week),
        with its 95 % interval; `n` = complete days behind it since the segment first appeared, others are left out;
        `level` = the metric in the middle of the days without the rhythm; `change` = what `value` makes of it a week.
        Null for fewer than 14 complete days. `q_value` = the p-value of no slope, adjusted for the segments
        (Benjamini-Hochberg). `verdict` is rising or falling where it is at most 0.05 and the change at least
        `min_change`, no trend where the whole 90 % interval lies within ± `min_change`, else cannot be told.

    Raises:
        UnknownNameError: Unknown metric or dimension.
        DefinitionError: The metric is none of a day, or fewer than 14 days are asked for.
    """
    definition = definition_of(Trend, metric=metric, days=days, min_change=min_change, by=by, where=where)
    gold = open_gold(engine, lake, project, sources)
    known = catalogue(project, sources)
    found = metric_named(metric, known)
    events = [source.name for source in gold.events.sources]
    named = [found.source] if found.source else events
    observed = observe(gold, named)
    if observed.first is None or observed.last is None:
        last = at or date.min + timedelta(days=days)
    else:
        last = at or last_complete(observed, observed.first, observed.last)
    first = last - timedelta(days=days - 1)
    begin = first if observed.first is None else min(max(first, observed.first), last)
    daily = measure(
        engine,
        lake,
        project,
        sources,
        metric,
        by=definition.by,
        start=first if observed.first is None else max(first, observed.first),
        end=last if observed.first is None else max(last, observed.first),
        where=where,
        segment_limit=segment_limit,
    )
    firsts = _first_days(gold, found, known, daily, definition.by, last)
    series = _series(daily, definition.by, (first, last), firsts)
    most = max((len(values) for values in series.values()), default=0)
    slopes = [weekly_slope(list(values), list(values.values())) for values in series.values()]
    q_values = benjamini_hochberg([None if slope is None else slope.p_value for slope in slopes])
    rows = [
        {
            "period_start": begin,
            "period_end": last,
            "grain": "day",
            **dict(zip(definition.by, segment, strict=True)),
            **_numbers(slope, len(values), q_value, min_change),
            "status": observed.of_window(last, days),
        }
        for (segment, values), slope, q_value in zip(series.items(), slopes, q_values, strict=True)
    ]
    fields = [
        pa.field("period_start", pa.date32()),
        pa.field("period_end", pa.date32()),
        pa.field("grain", pa.string()),
        *(pa.field(name, pa.string()) for name in definition.by),
        *number_fields("share"),
        pa.field("level", pa.float64()),
        pa.field("change", pa.float64()),
        pa.field("q_value", pa.float64()),
        pa.field("verdict", pa.string()),
    ]
    plain = answer(
        gold,
        rows,
        fields,
        name=f"{found.name}_trend",
        version=version_of(gold, definition),
        observed=observed,
        sql=daily.sql,
        tables=[source.table for source in daily.sources],
        title=f"Trend of {found.name}" + (f" by {', '.join(definition.by)}" if definition.by else ""),
        notes=[
            f"value: relative change a week over the {most} complete of the {days} days to {last}, weekdays evened out."
            + (f" The data begin on {begin}." if begin > first else "")
            if observed.first is not None
            else "The lake holds no rows for this metric yet.",
            *(note for note in daily.notes if " values: " in note),
        ],
    )
    return TrendResult(plain.table, plain.sql, plain.sources, plain.title, plain.notes)


def verdict_of(slope: Slope | None, q_value: float | None, min_change: float) -> Verdict:
    """What the slope says, with its p-value adjusted for the others that were looked at."""
    if slope is None or q_value is None:
        return "cannot be told"
    if q_value <= LEVEL and abs(slope.weekly) >= min_change:
        return "rising" if slope.weekly > 0 else "falling"
    low, high = slope.bounds[0.9]
    return "no trend" if -min_change <= low and high <= min_change else "cannot be told"


def _first_days(
    gold: Gold, metric: Metric, known: Mapping[str, Metric], daily: Result, by: Sequence[str], last: date
) -> dict[Segment, date]:
    """When each segment first appeared; none without dimensions."""
    if not by or not daily.table.num_rows:
        return {}
    write_appearances(gold, leaves_of(metric, known), by, daily.table, end=last)
    names = [f"s{index}" for index in range(len(by))]
    return {of_segment(row, names): row["first_day"] for row in gold.query(f"SELECT * FROM {FIRST}")}


def _series(
    daily: Result, by: Sequence[str], span: tuple[date, date], firsts: Mapping[Segment, date]
) -> dict[Segment, dict[date, float]]:
    """The values of complete days by segment, from its first appearance on."""
    found: dict[Segment, dict[date, float]] = {}
    for row in daily.to_dicts():
        segment = of_segment(row, by)
        values = found.setdefault(segment, {})
        first = max(span[0], firsts.get(segment, span[0]))
        if row["status"] == "complete" and row["value"] is not None and first <= row["period_start"] <= span[1]:
            values[row["period_start"]] = row["value"]
    return found


def _numbers(slope: Slope | None, days: int, q_value: float | None, min_change: float) -> dict[str, Any]:
    bounds = (None, None) if slope is None else slope.bounds[0.95]
    return {
        "value": None if slope is None else slope.weekly,
        "numerator": None,
        "denominator": None,
        "n": days,
        "ci_low": bounds[0],
        "ci_high": bounds[1],
        "level": None if slope is None else slope.level,
        "change": None if slope is None else slope.level * slope.weekly,
        "q_value": q_value,
        "verdict": verdict_of(slope, q_value, min_change),
    }
