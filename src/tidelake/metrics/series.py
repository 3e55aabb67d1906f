"""What a metric was on each day, by entity or category: the rows that streaks, spikes and weekday profiles look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Unpack

import pyarrow as pa

from tidelake.config import Project, Settings
from tidelake.contracts.source import Source
from tidelake.contracts.table import literal, quoted
from tidelake.engine.base import Engine
from tidelake.engine.result import Result
from tidelake.gold.context import Gold, open_gold
from tidelake.gold.dates import Tables, dates_behind
from tidelake.gold.sqltext import date_literal
from tidelake.metrics.answer import answer, version_of
from tidelake.metrics.appearances import FIRST, VALUES, write_appearances
from tidelake.metrics.catalogue import Metric, catalogue, metric_named
from tidelake.metrics.dimensions import check_dimensions
from tidelake.metrics.knowing import leaves_of
from tidelake.metrics.measure import SEGMENT_LIMIT, measure
from tidelake.metrics.narrowing import Narrowed
from tidelake.metrics.periods import dates_between, in_order
from tidelake.metrics.status import Observed, Status, observe, worst

ENTITY_DAY = "gold.entity_day"
DAYS = "temp.series_days"


class OfSeries(Settings):
    """What every question about a metric's days has.

    Attributes:
        metric: Name or alias.
    """

    metric: str


@dataclass(frozen=True)
class Series:
    """Daily values.

    Attributes:
        by: Dimensions; `entity` for the entities of count facts.
        rows: SELECT of `day, s0, s1 ..., value, is_closed`: one row a day and segment from the segment's first
            appearance on; `value` is null where the day was not received or waits for a build, and where the entity
            is closed. Empty text where there are no days.
        days: Status of each day, also in `temp.series_days`.
    """

    gold: Gold
    metric: Metric
    by: tuple[str, ...]
    rows: str
    days: Mapping[date, Status]
    observed: Observed
    tables: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def segments(self) -> list[str]:
        return [f"s{index}" for index in range(len(self.by))]

    @property
    def listed(self) -> str:
        """The segments as the begin of a SELECT list."""
        return "".join(f"{name}, " for name in self.segments)

    @property
    def status(self) -> Status:
        """The status of all days as one period: degraded where only some are missing."""
        found = set(self.days.values())
        if found == {"missing"} or not found:
            return "missing"
        return worst({"degraded" if status == "missing" else status for status in found})

    def fields(self) -> list[pa.Field]:
        """The columns of a row about all days: what they are, and the dimensions."""
        dates = [pa.field(name, pa.date32()) for name in ("period_start", "period_end")]
        return [*dates, pa.field("grain", pa.string()), *self.dimension_fields()]

    def dimension_fields(self) -> list[pa.Field]:
        return [pa.field(name, pa.string()) for name in self.by]

    def answer(
        self,
        rows: Iterable[Mapping[str, Any]],
        fields: Sequence[pa.Field],
        asked: OfSeries,
        *,
        name: str,
        title: str,
        sql: str,
        notes: Sequence[str],
    ) -> Result:
        """An answer about these days: `name` of the metric, for people `title` of it."""
        by = f" by {', '.join(self.by)}" if self.by else ""
        return answer(
            self.gold,
            rows,
            fields,
            name=f"{name} of {asked.metric}",
            version=version_of(self.gold, asked),
            observed=self.observed,
            sql=sql,
            tables=self.tables,
            title=f"{title} of {self.metric.name}{by}",
            notes=notes if self.rows else [*notes, "The lake holds no rows for this metric in these dates."],
        )

    def named(self, row: Mapping[str, object]) -> dict[str, object]:
        """A row's segments by the dimensions' names, and the days that it is about."""
        segments = {name: row[segment] for name, segment in zip(self.by, self.segments, strict=True)}
        return {"period_start": min(self.days), "period_end": max(self.days), "grain": "day", **segments}


def daily_series(
    engine: Engine,
    lake: Tables,
    project: Project,
    sources: Mapping[str, Source],
    metric: str,
    *,
    segment_limit: int = SEGMENT_LIMIT,
    **narrowed: Unpack[Narrowed],
) -> Series:
    """A metric's daily values: of entities from gold.entity_day, of anything else as `measure` gives them.

    Args:
        segment_limit: Values of a dimension that have rows of their own; entities from gold.entity_day all have.

    Raises:
        UnknownNameError: Unknown metric or dimension.
        DefinitionError: The metric has no daily values, or its fact no such dimension.
        QueryError: `where` is not one portable condition.
    """
    gold = open_gold(engine, lake, project, sources)
    known = catalogue(project, sources)
    definition = metric_named(metric, known)
    given = narrowed.get("by", ())
    by = narrowed["by"] = (given,) if isinstance(given, str) else tuple(given)
    leaves = leaves_of(definition, known)
    check_dimensions(gold, definition, leaves, by)
    if definition.fact == "count" and by == ("entity",) and narrowed.get("where") is None:
        return _of_entities(gold, definition, narrowed.get("start"), narrowed.get("end"))
    found = measure(engine, lake, project, sources, metric, segment_limit=segment_limit, **narrowed)
    table = found.table
    days: dict[date, Status] = dict(
        zip(table.column("period_start").to_pylist(), table.column("status").to_pylist(), strict=True)
    )
    observed = observe(gold, _source_names(gold, definition))
    write_appearances(gold, leaves, by, table, end=narrowed.get("end"))
    notes = tuple(note for note in found.notes if "overlap" not in note)
    read = tuple(source.table for source in found.sources)
    series = Series(gold, definition, by, "", days, observed, read, notes)
    whole = f"SELECT day, value, FALSE AS is_closed FROM {VALUES}"
    return _with_days(replace(series, rows=_since_first(series) if by else whole))


def _since_first(series: Series) -> str:
    """SELECT of the values of segments from their first appearance on."""
    kept = "".join(f"held.{name}, " for name in series.segments)
    same = " AND ".join(f"seen.{name} = held.{name}" for name in series.segments)
    value, closed, joined = "held.value", "FALSE", ""
    if series.metric.fact == "count" and series.by == ("entity",):
        value, closed = "CASE WHEN closed.entity IS NULL THEN held.value END", "closed.entity IS NOT NULL"
        joined = (
            f" LEFT JOIN (SELECT entity, activity_date FROM {ENTITY_DAY} WHERE source = "
            f"{literal(series.metric.source or '')} AND status = 'closed') AS closed "
            "ON closed.entity = held.s0 AND closed.activity_date = held.day"
        )
    return (
        f"SELECT held.day, {kept}{value} AS value, {closed} AS is_closed FROM {VALUES} AS held "
        f"JOIN {FIRST} AS seen ON {same}{joined} WHERE held.day >= seen.first_day"
    )


def _of_entities(gold: Gold, metric: Metric, start: date | None, end: date | None) -> Series:
    observed = observe_read(gold, _source_names(gold, metric), [ENTITY_DAY])
    first, last = span(observed, start, end)
    days = {} if first is None or last is None else {day: observed.of_day(day) for day in dates_between(first, last)}
    series = Series(gold, metric, ("entity",), "", days, observed, (ENTITY_DAY,))
    if not days or gold.lake.version(ENTITY_DAY) is None:
        return series
    column = quoted(metric.column or "")
    behind = "".join(f", {date_literal(day)}" for day in sorted(observed.behind)).removeprefix(", ")
    value = f"CASE WHEN activity_date NOT IN ({behind}) THEN {column} END" if behind else column
    rows = (
        f"SELECT activity_date AS day, entity AS s0, CAST({value} AS DOUBLE) AS value, status = 'closed' AS is_closed "
        f"FROM {ENTITY_DAY} WHERE source = {literal(metric.source or '')} "
        f"AND activity_date BETWEEN {date_literal(min(days))} AND {date_literal(max(days))}"
    )
    return _with_days(replace(series, rows=rows))


def _with_days(series: Series) -> Series:
    if not series.days:
        return replace(series, rows="")
    kinds = pa.schema([("day", pa.date32()), ("status", pa.string())])
    rows = [{"day": day, "status": status} for day, status in series.days.items()]
    series.gold.temp("series_days", pa.Table.from_pylist(rows, schema=kinds))
    return series


def observe_read(gold: Gold, sources: Sequence[str], tables: Sequence[str]) -> Observed:
    """What is known of the sources, with the dates that a build has not brought to `tables` yet as `behind`."""
    observed = observe(gold, sources)
    if observed.first is None or observed.last is None:
        return observed
    behind: set[date] = set()
    for table in tables:
        days = dates_behind(gold.lake, gold.sources, table)
        behind |= set(dates_between(observed.first, observed.last)) if days is None else days
    return replace(observed, behind=frozenset(behind))


def span(observed: Observed, start: date | None, end: date | None) -> tuple[date | None, date | None]:
    """The first and last date asked for; without bounds, of the data.

    Raises:
        DefinitionError: The first lies after the last.
    """
    in_order(start, end)
    return start or observed.first, end or observed.last


def _source_names(gold: Gold, metric: Metric) -> list[str]:
    return [metric.source or ""] if metric.fact == "count" else [source.name for source in gold.events.sources]
